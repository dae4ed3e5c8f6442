//! EventBridge event patterns: content filtering over JSON events.
//!
//! A pattern has the shape of the events it matches. Every leaf is an array of
//! values and comparisons, one of which has to hold; every field has to match;
//! `$or` lists alternatives. An array in the event matches if any element does.

mod test;

use serde_json::{Map, Value};

use test::Test;

/// A pattern that was checked when it was made, so that matching cannot fail.
#[derive(Clone, Debug)]
pub struct Pattern {
    root: Fields,
}

/// All of the named fields and, where `$or` is given, one of the alternatives.
#[derive(Clone, Debug, Default)]
struct Fields {
    named: Vec<(String, Node)>,
    any_of: Vec<Fields>,
}

#[derive(Clone, Debug)]
enum Node {
    Object(Fields),
    Leaf(Leaf),
}

#[derive(Clone, Debug)]
struct Leaf {
    /// From the event's root: "exists: false" is a statement about the whole event.
    path: Vec<String>,
    tests: Vec<Test>,
    absent: bool,
}

impl Pattern {
    /// Checks a pattern; the error names the field and what is wrong with it.
    pub fn parse(pattern: &Value) -> Result<Self, String> {
        let Value::Object(fields) = pattern else {
            return Err("Filter is not an object".to_owned());
        };
        Ok(Self { root: Fields::parse(fields, &[])? })
    }

    /// Whether the event is one of those that the pattern describes.
    pub fn matches(&self, event: &Value) -> bool {
        self.root.matches(Some(event), event)
    }
}

impl Fields {
    fn parse(fields: &Map<String, Value>, path: &[String]) -> Result<Self, String> {
        if fields.is_empty() {
            return Err(format!("Empty objects are not allowed{}", at(path)));
        }
        let mut parsed = Self::default();
        for (name, value) in fields {
            match alternatives(name, value) {
                Some(alternatives) => {
                    parsed.any_of = alternatives
                        .into_iter()
                        .map(|fields| Self::parse(fields, path))
                        .collect::<Result<_, _>>()?;
                }
                None => {
                    let path = [path, std::slice::from_ref(name)].concat();
                    parsed.named.push((name.clone(), Node::parse(value, path)?));
                }
            }
        }
        Ok(parsed)
    }

    fn matches(&self, here: Option<&Value>, event: &Value) -> bool {
        // The elements of an array are tried one by one, so that the fields of
        // one pattern object are all met by one and the same element.
        if let Some(Value::Array(elements)) = here
            && !elements.is_empty()
        {
            return elements.iter().any(|element| self.matches(Some(element), event));
        }
        self.named.iter().all(|(name, node)| node.matches(here.and_then(|here| here.get(name)), event))
            && (self.any_of.is_empty() || self.any_of.iter().any(|fields| fields.matches(here, event)))
    }
}

/// The objects under `$or`, unless `$or` is an ordinary field's name: as in AWS
/// it is a choice only with at least two objects, none of them a comparison.
fn alternatives<'a>(name: &str, value: &'a Value) -> Option<Vec<&'a Map<String, Value>>> {
    let objects: Vec<_> =
        value.as_array().filter(|_| name == "$or")?.iter().map_while(Value::as_object).collect();
    let comparison =
        |object: &&Map<String, Value>| object.keys().any(|key| Test::NAMES.contains(&key.as_str()));
    let choice = objects.len() >= 2 && value.as_array().map(Vec::len) == Some(objects.len());
    (choice && !objects.iter().any(comparison)).then_some(objects)
}

impl Node {
    fn parse(value: &Value, path: Vec<String>) -> Result<Self, String> {
        match value {
            Value::Object(fields) => Fields::parse(fields, &path).map(Self::Object),
            Value::Array(tests) => Leaf::parse(tests, path).map(Self::Leaf),
            _ => Err(format!("\"{}\" must be an object or an array", path.join("."))),
        }
    }

    fn matches(&self, here: Option<&Value>, event: &Value) -> bool {
        match self {
            Self::Object(fields) => fields.matches(here, event),
            Self::Leaf(leaf) => leaf.matches(here, event),
        }
    }
}

impl Leaf {
    fn parse(values: &[Value], path: Vec<String>) -> Result<Self, String> {
        if values.is_empty() {
            return Err(format!("Empty arrays are not allowed{}", at(&path)));
        }
        let mut leaf = Self { tests: Vec::new(), absent: false, path };
        for value in values {
            match Test::parse(value).map_err(|wrong| format!("{wrong}{}", at(&leaf.path)))? {
                Some(test) => leaf.tests.push(test),
                None => leaf.absent = true,
            }
        }
        Ok(leaf)
    }

    fn matches(&self, here: Option<&Value>, event: &Value) -> bool {
        here.is_some_and(|value| self.any_scalar(value)) || (self.absent && !has_leaf(event, &self.path))
    }

    fn any_scalar(&self, value: &Value) -> bool {
        match value {
            Value::Array(elements) => elements.iter().any(|element| self.any_scalar(element)),
            Value::Object(_) => false,
            scalar => self.tests.iter().any(|test| test.holds(scalar)),
        }
    }
}

/// Whether a string, number, boolean or null stands at `path`, in some element
/// where arrays lie on the way: "exists" sees leaves only, as AWS documents.
fn has_leaf(value: &Value, path: &[String]) -> bool {
    match (value, path) {
        (Value::Array(elements), path) => elements.iter().any(|element| has_leaf(element, path)),
        (Value::Object(fields), [name, rest @ ..]) => {
            fields.get(name).is_some_and(|value| has_leaf(value, rest))
        }
        (Value::Object(_), []) => false,
        (_, path) => path.is_empty(),
    }
}

fn at(path: &[String]) -> String {
    if path.is_empty() { String::new() } else { format!(" at \"{}\"", path.join(".")) }
}

#[cfg(test)]
mod tests;
