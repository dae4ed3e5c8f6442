//! JSON Schemas in words and tables.

use serde_json::Value;

/// What a value is, in words; it may end in the name of a schema that is on the page.
pub(super) struct Kind {
    pub(super) words: String,
    pub(super) link: Option<String>,
}

/// A member of an object, or a parameter.
pub(super) struct Member {
    pub(super) name: String,
    /// Where it stands, if it is a parameter.
    pub(super) place: String,
    pub(super) required: bool,
    pub(super) kind: Kind,
    pub(super) about: Vec<Span>,
}

/// A piece of text, which may be code.
pub(super) struct Span {
    pub(super) code: bool,
    pub(super) text: String,
}

/// The text with what stands between backticks as code.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let pieces = text.split('`').enumerate().filter(|(_, piece)| !piece.is_empty());
    pieces.map(|(place, piece)| Span { code: place % 2 == 1, text: piece.to_owned() }).collect()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The last part of a reference.
pub(super) fn referred(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.rsplit('/').next()
}

impl Kind {
    pub(super) fn of(schema: &Value) -> Self {
        let plain = |words: String| Self { words, link: None };
        if let Some(name) = referred(schema) {
            return Self { words: String::new(), link: Some(name.to_owned()) };
        }
        if let Some(values) = values(schema) {
            return plain(values);
        }
        let null = schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"));
        let kind = schema["type"].as_array().map_or(&schema["type"], |kinds| &kinds[0]);
        let or_null = if null { " or null" } else { "" };
        match kind.as_str() {
            None => plain("any".to_owned()),
            Some("array") => {
                let items = Self::of(&schema["items"]);
                Self { words: format!("list of {}{or_null}", items.words), link: items.link }
            }
            Some(kind) => plain(format!("{}{or_null}{}", named(kind, schema), limits(schema))),
        }
    }
}

fn named(kind: &str, schema: &Value) -> String {
    match schema["format"].as_str() {
        Some(format) if kind == "string" => format!("{kind}, {format}"),
        _ => kind.to_owned(),
    }
}

/// The values of a schema that lists them.
fn values(schema: &Value) -> Option<String> {
    let constants = |all: &Vec<Value>| -> Option<Vec<String>> {
        all.iter().map(|one| one.get("const").map(Value::to_string)).collect()
    };
    let all = match schema["enum"].as_array() {
        Some(values) => values.iter().map(Value::to_string).collect(),
        None => schema["oneOf"].as_array().and_then(constants)?,
    };
    Some(all.join(", "))
}

fn limits(schema: &Value) -> String {
    let mut limits = Vec::new();
    // Of a machine's own limits nobody needs to know.
    let own =
        !schema["format"].as_str().is_some_and(|format| format.trim_start_matches('u').starts_with("int"));
    let get = |name| schema.get(name).filter(|_| own);
    for (least, most, of) in [("minLength", "maxLength", " characters"), ("minimum", "maximum", "")] {
        match (get(least), get(most)) {
            (Some(least), Some(most)) => limits.push(format!(", {least} to {most}{of}")),
            (Some(least), None) => limits.push(format!(", at least {least}{of}")),
            (None, Some(most)) => limits.push(format!(", at most {most}{of}")),
            (None, None) => {}
        }
    }
    for (rule, words) in [("pattern", "of the form"), ("default", "by default")] {
        limits.extend(schema.get(rule).map(|value| format!(", {words} {}", text(value))));
    }
    limits.concat()
}

/// The members of an object, those that are needed first.
pub(super) fn members(schema: &Value) -> Vec<Member> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut members: Vec<(usize, Member)> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let place = required.iter().position(|required| required == name);
            let member = Member {
                name: name.clone(),
                place: String::new(),
                required: place.is_some(),
                kind: Kind::of(property),
                about: spans(property["description"].as_str().unwrap_or_default()),
            };
            (place.unwrap_or(usize::MAX), member)
        })
        .collect();
    members.sort_by_key(|(place, _)| *place);
    members.into_iter().map(|(_, member)| member).collect()
}
