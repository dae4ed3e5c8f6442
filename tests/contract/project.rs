//! The project as the tests see it: its files, its template and its functions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use local::template::Template;
use serde_json::Value;

/// A function of `template.yaml`.
pub(crate) struct Deployed {
    /// Its logical id.
    pub(crate) id: String,
    /// Its binary's name; empty if it names none.
    pub(crate) name: String,
    /// Whom it lets in, if it says so.
    pub(crate) access: Option<String>,
    /// Its properties, as they are written.
    pub(crate) properties: Value,
}

/// A file `functions/<domain>/src/bin/<name>.rs`.
pub(crate) struct Binary {
    /// The folder of its crate, and the crate's name.
    pub(crate) domain: String,
    /// Its name.
    pub(crate) name: String,
    /// Its source.
    pub(crate) source: String,
}

impl Deployed {
    /// The types of its events.
    pub(crate) fn event_types(&self) -> BTreeSet<&str> {
        self.events().map(|event| event["Type"].as_str().unwrap_or_default()).collect()
    }

    /// The keys of its routes.
    pub(crate) fn routes(&self) -> Vec<String> {
        let routes = self.events().filter(|event| event["Type"] == "HttpApi");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        routes
            .map(|route| (text(&route["Properties"]["Method"]), text(&route["Properties"]["Path"])))
            .map(|(method, path)| if path == "$default" { path } else { format!("{method} {path}") })
            .collect()
    }

    /// The names of its environment variables.
    pub(crate) fn variables(&self) -> BTreeSet<String> {
        let variables = self.properties["Environment"]["Variables"].as_object();
        variables.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    /// The queue that it consumes, if it does.
    pub(crate) fn queue(&self) -> Option<String> {
        let event = self.events().find(|event| event["Type"] == "SQS")?;
        let attribute = &event["Properties"]["Queue"]["Fn::GetAtt"];
        let name = attribute[0].as_str().or_else(|| attribute.as_str())?;
        Some(name.split('.').next()?.to_owned())
    }

    /// Whether a statement of its own allows it an action on a resource of the template.
    pub(crate) fn may(&self, action: &str, resource: &str) -> bool {
        let has = |value: &Value, text: &str| value.to_string().contains(&format!("\"{text}"));
        let policies = self.properties["Policies"].as_array().into_iter().flatten();
        let mut statements = policies.flat_map(|policy| policy["Statement"].as_array().into_iter().flatten());
        statements.any(|statement| has(&statement["Action"], action) && has(&statement["Resource"], resource))
    }

    fn events(&self) -> impl Iterator<Item = &Value> {
        self.properties["Events"].as_object().into_iter().flatten().map(|(_, event)| event)
    }
}

impl Binary {
    /// The module of its handler: the name without the domain before it, which jobs do not have.
    pub(crate) fn module(&self) -> String {
        let own = self.name.strip_prefix(&format!("{}-", self.domain)).unwrap_or(&self.name);
        own.replace('-', "_")
    }

    /// The source of its handler; empty if there is none.
    pub(crate) fn handler(&self) -> String {
        let path = root().join(format!("functions/{}/src/{}.rs", self.domain, self.module()));
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn template() -> Vec<Deployed> {
    let template = Template::read(&root().join("template.yaml"), &BTreeMap::new()).expect("a template");
    let functions =
        template.resources().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    functions
        .map(|(id, resource)| Deployed {
            id: id.clone(),
            name: resource["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap_or_default().to_owned(),
            access: resource["Metadata"]["Access"].as_str().map(ToOwned::to_owned),
            properties: resource["Properties"].clone(),
        })
        .collect()
}

pub(crate) fn binaries() -> Vec<Binary> {
    let mut binaries = Vec::new();
    for domain in names_in(&root().join("functions")) {
        let folder = root().join("functions").join(&domain).join("src/bin");
        for file in names_in(&folder) {
            let source = std::fs::read_to_string(folder.join(&file)).expect("a source file");
            let name = file.strip_suffix(".rs").unwrap_or(&file).to_owned();
            binaries.push(Binary { domain: domain.clone(), name, source });
        }
    }
    binaries
}

/// The sample events by the names of their files.
pub(crate) fn sample_events() -> BTreeMap<String, Value> {
    let folder = root().join("events");
    let read = |file: String| {
        let text = std::fs::read_to_string(folder.join(&file)).expect("a sample event");
        let event = serde_json::from_str(&text).unwrap_or_else(|error| panic!("events/{file}: {error}"));
        (file.strip_suffix(".json").unwrap_or(&file).to_owned(), event)
    };
    names_in(&folder).into_iter().map(read).collect()
}

/// The names of what is in `folder`, sorted; none if there is no such folder.
pub(crate) fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// A line for each name that `found` lacks, made by `missing`, and for each that it has too many.
pub(crate) fn differences<'a>(
    wanted: impl IntoIterator<Item = &'a str>,
    found: impl IntoIterator<Item = &'a str>,
    missing: impl Fn(&str) -> String,
    surplus: impl Fn(&str) -> String,
) -> Vec<String> {
    let (wanted, found) = (wanted.into_iter().collect::<BTreeSet<_>>(), found.into_iter().collect());
    let missing = wanted.difference(&found).map(|name| missing(name));
    missing.chain(found.difference(&wanted).map(|name| surplus(name))).collect()
}

/// Fails with all faults, one a line.
#[track_caller]
pub(crate) fn hold(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "\n  {}\n", faults.join("\n  "));
}
