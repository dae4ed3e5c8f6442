//! Reads the routes out of `template.yaml`, the only routing table, for `ops-fallback`.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use serde_yaml_ng::Value;

fn main() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    println!("cargo::rerun-if-changed={}", template.display());
    let text = fs::read_to_string(&template).expect("template.yaml stands at the workspace root");
    let template: Value = serde_yaml_ng::from_str(&text).expect("template.yaml is YAML");

    let mut routes = String::from("&[\n");
    for (path, method) in routes_of(&template) {
        writeln!(routes, "    ({:?}, {path:?}),", method.to_uppercase()).expect("a String can be written to");
    }
    routes.push(']');
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("routes.rs"), routes).expect("OUT_DIR can be written to");
}

/// Path and method of every HttpApi event; those of the fallback itself are not routes.
fn routes_of(template: &Value) -> Vec<(String, String)> {
    let functions = template["Resources"].as_mapping().into_iter().flatten().map(|(_, resource)| resource);
    let events =
        functions.flat_map(|resource| resource["Properties"]["Events"].as_mapping().into_iter().flatten());
    let routes =
        events.filter(|(_, event)| event["Type"] == "HttpApi").map(|(_, event)| &event["Properties"]);
    routes
        .filter_map(|route| Some((route["Path"].as_str()?.to_owned(), route["Method"].as_str()?.to_owned())))
        .filter(|(path, _)| path != "$default" && path != "/{proxy+}")
        .collect()
}
