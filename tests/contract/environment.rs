//! A function gets every environment variable that it reads, and no other.

use std::collections::{BTreeMap, BTreeSet};

use shared::Function;
use shared::clock::Clock;

use crate::project::{differences, hold, template};

/// What Lambda gives to every function.
const OF_LAMBDA: [&str; 3] = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

#[tokio::test]
async fn the_template_gives_each_function_the_variables_that_it_reads() {
    let deployed = template();
    let mut faults = Vec::new();
    for function in local::functions() {
        let name = function.name;
        let Some(deployed) = deployed.iter().find(|deployed| deployed.name == name) else { continue };
        let given = deployed.variables();
        faults.extend(differences(
            variables(function).await.iter().map(String::as_str),
            given.iter().map(String::as_str).chain(OF_LAMBDA),
            |variable| format!("template.yaml does not give {variable} to {name}, which reads it"),
            |variable| format!("template.yaml gives {variable} to {name}, which does not read it"),
        ));
    }
    hold(faults);
}

/// The variables that a function asks for: without any, it does not start and names them all.
async fn variables(function: &Function) -> BTreeSet<String> {
    let name = function.name;
    let started = function.start(BTreeMap::new(), Clock::default()).await;
    let faults = started.err().unwrap_or_else(|| panic!("{name} starts without any variable")).faults;
    let variable = |fault: &String| {
        let variable = fault.strip_prefix("the variable ").and_then(|rest| rest.strip_suffix(" is missing"));
        variable.unwrap_or_else(|| panic!("{name} misses more than a variable: {fault}")).to_owned()
    };
    faults.iter().map(variable).collect()
}
