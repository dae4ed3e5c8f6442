//! The document as the page shows it.

use askama::Template;
use serde_json::Value;

use super::schema::{Kind, Member, Span, members, spans, text};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page.
#[derive(Template)]
#[template(path = "docs.html")]
pub(super) struct Page<'a> {
    style: &'a str,
    title: String,
    version: String,
    about: Vec<Block>,
    domains: Vec<Domain>,
    schemas: Vec<Schema>,
}

/// A paragraph, or a list of them.
enum Block {
    Paragraph(Vec<Span>),
    List(Vec<Vec<Span>>),
}

struct Domain {
    name: String,
    about: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: Vec<Span>,
    callers: &'static str,
    parameters: Vec<Member>,
    takes_body: bool,
    body: Vec<Member>,
    example: String,
    answers: Vec<Answer>,
}

struct Answer {
    status: String,
    about: Vec<Vec<Span>>,
    kind: Option<Kind>,
    headers: String,
    example: String,
}

struct Schema {
    name: String,
    about: Vec<Span>,
    values: String,
    members: Vec<Member>,
}

impl<'a> Page<'a> {
    pub(super) fn of(document: &Value, style: &'a str) -> Self {
        let domain = |tag: &Value| Domain {
            name: text(&tag["name"]),
            about: tag["description"].as_str().unwrap_or_default().to_owned(),
            operations: operations(document, &tag["name"]),
        };
        let schema = |(name, schema): (&String, &Value)| Schema {
            name: name.clone(),
            about: spans(schema["description"].as_str().unwrap_or_default()),
            values: if schema["properties"].is_null() { Kind::of(schema).words } else { String::new() },
            members: members(schema),
        };
        Self {
            style,
            title: text(&document["info"]["title"]),
            version: text(&document["info"]["version"]),
            about: blocks(document["info"]["description"].as_str().unwrap_or_default()),
            domains: document["tags"].as_array().into_iter().flatten().map(domain).collect(),
            schemas: entries(&document["components"]["schemas"]).map(schema).collect(),
        }
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The Markdown that the document uses: paragraphs, and lists with a dash.
fn blocks(markdown: &str) -> Vec<Block> {
    let block = |part: &str| match part.strip_prefix("- ") {
        Some(list) => Block::List(list.split("\n- ").map(spans).collect()),
        None => Block::Paragraph(spans(part)),
    };
    markdown.trim().split("\n\n").map(block).collect()
}

/// The operations of one domain.
fn operations(document: &Value, domain: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in entries(&document["paths"]) {
        for method in METHODS {
            let operation = &item[method];
            if operation["tags"][0] == *domain {
                found.push(Operation::of(document, path, item, method, operation));
            }
        }
    }
    found
}

/// What a reference into the document leads to, or the value itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

impl Operation {
    fn of(document: &Value, path: &str, item: &Value, method: &str, operation: &Value) -> Self {
        let parameters = [&item["parameters"], &operation["parameters"]].into_iter();
        let parameters = parameters.filter_map(Value::as_array).flatten();
        let body = &operation["requestBody"]["content"]["application/json"];
        let answer = |(status, answer): (&String, &Value)| Answer::of(document, status, answer);
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            about: spans(operation["description"].as_str().unwrap_or_default()),
            callers: callers(&operation["security"]),
            parameters: parameters.map(|one| parameter(resolve(document, one))).collect(),
            takes_body: !body.is_null(),
            body: members(&body["schema"]),
            example: shown(&body["example"]),
            answers: entries(&operation["responses"]).map(answer).collect(),
        }
    }
}

/// Who may call, as `security` says it.
fn callers(security: &Value) -> &'static str {
    let ways: Vec<&Value> = security.as_array().into_iter().flatten().collect();
    match ways.as_slice() {
        [] => "Everybody",
        [only] if only["bearer"][0] == "admin" => "Admins",
        [_] => "Signed-in users",
        _ => "Everybody, signed in or not",
    }
}

fn parameter(parameter: &Value) -> Member {
    Member {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        required: parameter["required"] == true,
        kind: Kind::of(&parameter["schema"]),
        about: spans(parameter["description"].as_str().unwrap_or_default()),
    }
}

impl Answer {
    fn of(document: &Value, status: &str, answer: &Value) -> Self {
        let answer = resolve(document, answer);
        // A problem is what a client has to understand; what stands before it is the gateway's.
        let content = entries(&answer["content"]).last().map(|(_, content)| content);
        let headers: Vec<&str> = entries(&answer["headers"]).map(|(name, _)| name.as_str()).collect();
        Self {
            status: status.to_owned(),
            about: answer["description"].as_str().unwrap_or_default().split("\n\n").map(spans).collect(),
            kind: content.map(|content| Kind::of(&content["schema"])),
            headers: headers.join(", "),
            example: content.map(|content| shown(&content["example"])).unwrap_or_default(),
        }
    }
}

/// An example as it is read best; nothing where there is none.
fn shown(example: &Value) -> String {
    if example.is_null() { String::new() } else { format!("{example:#}") }
}
