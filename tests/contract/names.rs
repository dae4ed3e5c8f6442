//! One name everywhere: functions, template, binaries and sample events.

use std::collections::BTreeMap;

use crate::project::{binaries, differences, hold, sample_events, template};

fn functions() -> Vec<&'static str> {
    local::functions().map(|function| function.name).collect()
}

/// A line for each name that `names` has more than once.
fn doubles<'a>(names: impl IntoIterator<Item = &'a str>, of: &str) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let doubles = counts.into_iter().filter(|(_, count)| *count > 1);
    doubles.map(|(name, count)| format!("{of} {count} functions called {name}")).collect()
}

#[test]
fn every_function_is_in_the_template_once() {
    let deployed = template();
    let names = || deployed.iter().map(|function| function.name.as_str());
    let mut faults = differences(
        functions(),
        names(),
        |name| format!("template.yaml has no function for {name}"),
        |name| format!("template.yaml has a function for {name:?}, which is in no crate's FUNCTIONS"),
    );
    faults.extend(doubles(names(), "template.yaml has"));
    faults.extend(doubles(functions(), "the crates' FUNCTIONS have"));
    hold(faults);
}

#[test]
fn every_function_has_a_binary() {
    let binaries = binaries();
    let names = || binaries.iter().map(|binary| binary.name.as_str());
    let mut faults = differences(
        functions(),
        names(),
        |name| format!("functions/*/src/bin has no {name}.rs"),
        |name| format!("functions/*/src/bin has {name}.rs, but no crate's FUNCTIONS have {name}"),
    );
    faults.extend(doubles(names(), "functions/*/src/bin has"));
    hold(faults);
}

#[test]
fn every_function_has_a_sample_event() {
    hold(differences(
        functions(),
        sample_events().keys().map(String::as_str),
        |name| format!("events has no {name}.json"),
        |name| format!("events has {name}.json, but no crate's FUNCTIONS have {name}"),
    ));
}

#[test]
fn a_function_of_the_template_is_called_like_its_binary_and_built_from_its_crate() {
    let binaries = binaries();
    let mut faults = Vec::new();
    for function in template() {
        let (id, name) = (&function.id, &function.name);
        let wanted = pascal_case(name);
        if *id != wanted {
            faults.push(format!("template.yaml: {id} runs {name:?}, so it must be called {wanted}"));
        }
        let code = function.properties["CodeUri"].as_str().unwrap_or_default();
        // A binary that is missing is told by the test of that.
        let Some(binary) = binaries.iter().find(|binary| binary.name == *name) else { continue };
        let folder = format!("functions/{}", binary.domain);
        if code != folder {
            faults.push(format!("template.yaml: {id} has the CodeUri {code:?}, but {name} is in {folder}"));
        }
    }
    hold(faults);
}

/// `auth-login` → `AuthLogin`.
fn pascal_case(name: &str) -> String {
    let words = name.split('-').filter_map(|word| word.split_at_checked(1));
    words.map(|(first, rest)| first.to_uppercase() + rest).collect()
}
