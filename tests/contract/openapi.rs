//! The API's document is what the code says, and says all that a caller has to know.

use std::collections::BTreeMap;

use local::openapi::{document, security, text_of};
use local::template::Template;
use serde_json::Value;
use shared::caller::Access;
use shared::function::Kind;

use crate::project::{hold, root, template};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn current() -> Value {
    document(&Template::read(&root().join("template.yaml"), &BTreeMap::new()).expect("a template"))
}

/// Each operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of = |(path, item): (&String, &'_ Value)| -> Vec<String> {
        let methods = METHODS.iter().filter(|method| !item[**method].is_null());
        methods.map(|method| format!("{method} {path}")).collect()
    };
    let keys = paths.iter().flat_map(of);
    keys.map(|key| {
        let (method, path) = key.split_once(' ').expect("a method and a path");
        (key.clone(), &document["paths"][path][method])
    })
    .collect()
}

#[test]
fn the_document_that_is_kept_is_todays() {
    let kept = std::fs::read_to_string(root().join("docs/openapi.json")).unwrap_or_default();
    let fresh = kept == text_of(&current());
    assert!(fresh, "docs/openapi.json is stale: run: cargo run -- openapi docs/openapi.json");
}

#[test]
fn every_route_is_in_the_document_with_whom_the_template_lets_in() {
    let document = current();
    let mut faults = Vec::new();
    let mut routes = Vec::new();
    for function in template() {
        let access = match function.access.as_deref() {
            Some("Anyone") => Access::Anyone,
            Some("Visitor") => Access::Visitor,
            Some("SignedIn") => Access::SignedIn,
            Some("Admin") => Access::Admin,
            Some("ByMethod") => Access::ByMethod,
            _ => continue,
        };
        for route in function.routes() {
            let Some((method, path)) = route.split_once(' ').filter(|(_, path)| !path.contains("+}")) else {
                continue;
            };
            let key = format!("{} {path}", method.to_lowercase());
            let operation = &document["paths"][path][method.to_lowercase()];
            if operation["operationId"] != function.name.as_str() {
                faults.push(format!("{route} is not in the document as {}", function.name));
            } else if operation["security"] != security(access) {
                faults.push(format!("the document lets in others to {route} than the template"));
            }
            routes.push(key);
        }
    }
    let unknown = operations(&document).into_iter().filter(|(key, _)| !routes.contains(key));
    faults.extend(unknown.map(|(key, _)| format!("{key} is in the document, but no route")));
    hold(faults);
}

#[test]
fn every_method_of_grpc_is_in_the_document() {
    let proto = root().join("functions/products/proto/arcana/product/v1/product_service.proto");
    let proto = std::fs::read_to_string(proto).unwrap();
    let operation = &current()["paths"]["/arcana.product.v1.ProductService/{method}"]["post"];
    let said = operation["description"].as_str().unwrap();
    let methods: Vec<&str> =
        proto.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next()).collect();
    assert!(methods.len() > 6, "{methods:?}");
    let missing = methods.into_iter().filter(|method| !said.contains(&format!("`{method}`")));
    let faults: Vec<String> =
        missing.map(|method| format!("{method} is not in what describe of products-grpc says")).collect();
    hold(faults);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = current();
    let mut references = Vec::new();
    collect(&document, &mut references);
    let lost = references.iter().filter(|reference| {
        reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer)).is_none()
    });
    hold(lost.map(|reference| format!("{reference} leads nowhere")));
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
            object.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[test]
fn every_operation_says_what_it_does_and_how_it_answers() {
    let document = current();
    let mut faults = Vec::new();
    for (key, operation) in operations(&document) {
        let mut fault = |what: &str| faults.push(format!("{key} {what}"));
        let summary = operation["summary"].as_str().unwrap_or_default();
        if summary.is_empty() || summary.ends_with('.') {
            fault("needs a summary, without a full stop");
        }
        let answers = operation["responses"].as_object().expect("answers");
        if !answers.keys().any(|status| status.starts_with('2') || status.starts_with('3')) {
            fault("says no answer where nothing is wrong");
        }
        let body = &operation["requestBody"]["content"]["application/json"];
        if !body.is_null() && body["example"].is_null() {
            fault("takes a body and shows none");
        }
    }
    hold(faults);
}

#[test]
fn an_endpoint_takes_the_body_that_it_shows() {
    let mut faults = Vec::new();
    for function in local::functions().filter(|function| matches!(function.kind, Kind::Http { .. })) {
        let described = function.describe.map(|describe| describe());
        let body = described.and_then(|description| description.body);
        if let Some(Err(error)) = body.map(|body| body.check()) {
            faults.push(format!("{} refuses its own example: {}", function.name, error.detail()));
        }
    }
    hold(faults);
}

/// Of two types of one name, the second gets a number behind it, which says nothing to anybody.
#[test]
fn what_is_answered_has_a_name_of_its_own() {
    let document = current();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let numbered = schemas.keys().filter(|name| name.ends_with(|last: char| last.is_ascii_digit()));
    hold(numbered.map(|name| format!("two types are called as {name}: give one #[schemars(rename)]")));
}

#[test]
fn every_domain_says_what_it_is_about() {
    let document = current();
    let bare = document["tags"].as_array().expect("tags").iter().filter(|tag| tag["description"].is_null());
    hold(bare.map(|tag| format!("{} is missing in DOMAINS of local/src/openapi.rs", tag["name"])));
}
