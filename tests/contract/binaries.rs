//! A binary is three lines that run the handler of its name.

use crate::project::{Binary, binaries, hold, template};

/// The lines of a binary at most, the one that says what it is for included.
const LINES: usize = 5;

#[test]
fn a_binary_only_runs_the_handler_of_its_name() {
    let mut faults = Vec::new();
    for binary in binaries() {
        let Binary { domain, name, source } = &binary;
        let mut fault = |what: String| faults.push(format!("functions/{domain}/src/bin/{name}.rs {what}"));
        let lines = source.lines().count();
        if lines > LINES {
            fault(format!("has {lines} lines, more than {LINES}"));
        }
        if !source.starts_with("//!") {
            fault("does not begin with `//!`".to_owned());
        }
        let call = format!("shared::run(&{domain}::{}::FUNCTION)", binary.module());
        if !source.contains(&call) {
            fault(format!("does not call `{call}`"));
        }
    }
    hold(faults);
}

#[test]
fn a_handler_gives_its_function_the_name_of_its_binary() {
    let mut faults = Vec::new();
    for binary in binaries() {
        let handler = binary.handler();
        let declared = handler.split("pub static FUNCTION: Function =").nth(1);
        let declared = declared.and_then(|rest| rest.split(';').next()).unwrap_or_default();
        if !declared.contains(&format!("\"{}\"", binary.name)) {
            let file = format!("functions/{}/src/{}.rs", binary.domain, binary.module());
            faults.push(format!("{file} does not declare a FUNCTION called {:?}", binary.name));
        }
    }
    hold(faults);
}

#[test]
fn the_first_line_of_an_endpoint_names_its_route() {
    let binaries = binaries();
    let mut faults = Vec::new();
    for function in template() {
        let routes = function.routes();
        // The fallback takes whatever is no route.
        if routes.is_empty() || routes.iter().any(|key| key == "$default") {
            continue;
        }
        let Some(binary) = binaries.iter().find(|binary| binary.name == function.name) else { continue };
        let (domain, module, name) = (&binary.domain, binary.module(), &binary.name);
        let files = [
            (format!("functions/{domain}/src/{module}.rs"), binary.handler()),
            (format!("functions/{domain}/src/bin/{name}.rs"), binary.source.clone()),
        ];
        for (file, source) in files {
            let first = source.lines().next().unwrap_or_default();
            let names_one = routes.iter().any(|key| first.contains(&format!("`{key}`")));
            if !(first.starts_with("//!") && names_one) {
                faults.push(format!("{file} does not begin with `//!` and `{}`", routes.join("` or `")));
            }
        }
    }
    hold(faults);
}
