//! Rules of the house that no compiler holds.

use std::path::Path;

use crate::project::{hold, names_in, root};

/// The lines of a file at most; well before, it wants splitting.
const LINES: usize = 450;

/// A source file.
struct Source {
    /// Its path from the project's root.
    path: String,
    text: String,
}

impl Source {
    /// A module of nothing but tests.
    fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The lines that are no comment, numbered, up to the tests at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| *line != "#[cfg(test)]");
        let numbered = lines.enumerate().map(|(place, line)| (place + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// A fault for each line of code that has one of `words`.
    fn with_any(&self, words: &[&str], why: &str) -> Vec<String> {
        let lines = self.code().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        lines.map(|(number, line)| format!("{}:{number}: {why}: {}", self.path, line.trim())).collect()
    }
}

/// Every Rust file under the `src` folders below `folder`.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), folder, &mut found);
    found.retain(|source| source.path.contains("/src/"));
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

fn collect(folder: &Path, name: &str, found: &mut Vec<Source>) {
    for entry in names_in(folder) {
        let (path, name) = (folder.join(&entry), format!("{name}/{entry}"));
        if path.is_dir() {
            collect(&path, &name, found);
        } else if Path::new(&entry).extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            found.push(Source { path: name, text });
        }
    }
}

fn all_sources() -> Vec<Source> {
    ["shared", "functions", "local"].into_iter().flat_map(sources).collect()
}

#[test]
fn no_file_is_too_long() {
    let counted = all_sources().into_iter().map(|source| (source.text.lines().count(), source.path));
    let long = counted.filter(|(lines, _)| *lines > LINES);
    hold(long.map(|(lines, path)| format!("{path} has {lines} lines, more than {LINES}")));
}

#[test]
fn no_module_is_called_after_nothing_in_particular() {
    let vague = |source: &Source| {
        let mut parts = source.path.split(['/', '.']);
        parts.any(|part| matches!(part, "utils" | "util" | "helpers" | "helper" | "common"))
    };
    let found = all_sources().into_iter().filter(vague);
    hold(found.map(|source| format!("{} says nothing of what is in it", source.path)));
}

#[test]
fn every_module_begins_with_what_it_is_for() {
    let bare = |source: &Source| !source.is_tests() && !source.text.starts_with("//!");
    let found = all_sources().into_iter().filter(bare);
    hold(found.map(|source| format!("{} does not begin with `//!`", source.path)));
}

#[test]
fn no_function_scans_a_table() {
    let text = std::fs::read_to_string(root().join("template.yaml")).expect("a template");
    let template = Source { path: "template.yaml".to_owned(), text };
    let deployed = ["shared", "functions"].into_iter().flat_map(sources).chain([template]);
    let why = "a scan costs as much as the table is long";
    hold(deployed.flat_map(|source| source.with_any(&[".scan(", "Scan"], why)));
}

#[test]
fn no_handler_can_panic_on_purpose() {
    let handlers = sources("functions").into_iter().filter(|source| !source.is_tests());
    hold(handlers.flat_map(|source| source.with_any(&[".unwrap()", ".expect("], "answer an error instead")));
}
