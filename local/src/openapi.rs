//! The `OpenAPI` document: the routes of the template, each with what its function says of itself
//! ([`shared::describe`]) and with what follows from its caller, its body, its query and its path.
//! (<https://spec.openapis.org/oas/v3.1.1.html>)

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use shared::Function;
use shared::caller::Access;
use shared::describe::{About, Content};
use shared::function::Kind;
use shared::input::Member;
use shared::response::Problem;

use crate::gateway::Route;
use crate::template::{Template, text};

mod answers;

/// What the API is and what holds for all of it.
const ABOUT: &str = include_str!("openapi/about.md");

/// What each domain is about, in the order in which they are read.
const DOMAINS: [(&str, &str); 5] = [
    ("auth", "Accounts, sessions and tokens"),
    ("users", "The accounts, for admins"),
    ("products", "The catalogue"),
    ("files", "Uploads"),
    ("ops", "Health, and what the API says of itself"),
];

/// The document of the API that `template` describes.
pub fn document(template: &Template) -> Value {
    let mut document = Document::new();
    let functions: BTreeMap<&str, &Function> =
        crate::functions().map(|function| (function.name, function)).collect();
    for (name, routes) in routes(template) {
        let Some(function) = functions.get(name.as_str()) else { continue };
        document.add(function, &routes);
    }
    document.finish()
}

/// The document as it is kept and served.
pub fn text_of(document: &Value) -> String {
    // Whether an object keeps the order in which it was made depends on what else is built along.
    let mut document = document.clone();
    document.sort_all_objects();
    format!("{document:#}\n")
}

/// Each function's routes.
fn routes(template: &Template) -> Vec<(String, Vec<Route>)> {
    let functions =
        template.resources().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    let of = |function: &Value| {
        let events = function["Properties"]["Events"].as_object().into_iter().flatten();
        let routes = events.filter(|(_, event)| event["Type"] == "HttpApi").map(|(_, event)| Route {
            method: text(&event["Properties"]["Method"]).to_uppercase(),
            path: text(&event["Properties"]["Path"]),
        });
        (text(&function["Metadata"]["BuildProperties"]["Binary"]), routes.collect())
    };
    let mut routes: Vec<_> = functions.map(|(_, function)| of(function)).collect();
    // Whether the template keeps its order depends on what else is built along.
    routes.sort_by(|(one, _), (other, _)| one.cmp(other));
    routes
}

/// One operation, while its part of the document is made.
struct Operation<'a> {
    name: &'static str,
    access: Access,
    /// Whether it takes an `Idempotency-Key`.
    keyed: bool,
    route: &'a Route,
    about: About,
}

impl Operation<'_> {
    /// Whether it takes `If-None-Match`.
    fn may_be_unchanged(&self) -> bool {
        self.about.versioned && self.route.method == Method::GET.as_str()
    }

    /// Whether it takes `If-Match`.
    fn holds_to_version(&self) -> bool {
        let changes = [Method::PUT, Method::PATCH, Method::DELETE];
        self.about.versioned && changes.iter().any(|method| method.as_str() == self.route.method)
    }
}

/// The document while it is made: what its operations share comes together on the way.
struct Document {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
    parameters: Map<String, Value>,
    responses: Map<String, Value>,
    /// A problem of each status and code.
    examples: Map<String, Value>,
    /// The codes of all problems.
    codes: BTreeSet<&'static str>,
    domains: BTreeSet<&'static str>,
}

impl Document {
    fn new() -> Self {
        // What is answered is what is serialised: every member is there, and may be null.
        let settings = SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into())
            .for_serialize();
        Self {
            generator: settings.into_generator(),
            paths: Map::new(),
            parameters: Map::new(),
            responses: Map::new(),
            examples: Map::new(),
            codes: BTreeSet::new(),
            domains: BTreeSet::new(),
        }
    }

    fn add(&mut self, function: &'static Function, routes: &[Route]) {
        let (Some(describe), Kind::Http { access, keyed, .. }) = (function.describe, function.kind) else {
            return;
        };
        for route in routes {
            let operation = Operation { name: function.name, access, keyed, route, about: describe() };
            // What takes every path has none of its own, but its problems are the API's too.
            if route.path == "$default" || route.path.contains("+}") {
                self.codes.extend(operation.about.errors.iter().map(|error| error.row().code));
                continue;
            }
            let described = self.operation(&operation);
            let common = self.common_parameters(&route.path);
            let path = self.paths.entry(&route.path).or_insert_with(|| json!({"parameters": common}));
            path[route.method.to_lowercase()] = described;
        }
    }

    fn operation(&mut self, operation: &Operation<'_>) -> Value {
        let Operation { name, access, about, .. } = operation;
        let domain = name.split('-').next().unwrap_or_default();
        self.domains.insert(domain);
        let mut described = json!({
            "operationId": name,
            "tags": [domain],
            "summary": about.summary,
            "security": security(*access),
        });
        if about.operation.is_none() {
            described["responses"] = self.answers(operation);
        }
        if !about.detail.is_empty() {
            described["description"] = json!(about.detail);
        }
        if let Some(body) = &about.body {
            let content = json!({"schema": object((body.members)()), "example": body.example});
            described["requestBody"] = json!({"required": true, "content": {"application/json": content}});
        }
        let parameters = self.own_parameters(operation);
        if !parameters.is_empty() {
            described["parameters"] = json!(parameters);
        }
        if let Some(own) = about.operation.as_ref().and_then(Value::as_object) {
            for (member, value) in own {
                described[member] = value.clone();
            }
        }
        described
    }

    /// What every operation of a path takes.
    fn common_parameters(&mut self, path: &str) -> Vec<Value> {
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut parameters: Vec<Value> = names
            .map(|name| {
                // Every thing of the API is known by a UUID in lower case.
                let schema = match name {
                    "id" => json!({"type": "string", "format": "uuid"}),
                    _ => json!({"type": "string"}),
                };
                self.parameter(json!({"name": name, "in": "path", "required": true, "schema": schema}))
            })
            .collect();
        parameters.push(self.parameter(json!({
            "name": "X-Correlation-Id", "in": "header", "schema": {"type": "string"},
            "description": "Follows the work into events, jobs and logs, if it is 1 to 64 of `A-Z a-z 0-9 -`; \
                otherwise another is made",
        })));
        parameters
    }

    fn own_parameters(&mut self, operation: &Operation<'_>) -> Vec<Value> {
        let members = operation.about.query.map(|members| members()).unwrap_or_default();
        let mut parameters: Vec<Value> = members
            .into_iter()
            .map(|Member { name, required, mut schema }| {
                let description = schema.remove("description");
                json!({
                    "name": name, "in": "query", "required": required, "schema": schema,
                    "description": description,
                })
            })
            .collect();
        if operation.keyed {
            parameters.push(self.parameter(json!({
                "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                "description": "The same key with the same request gives the first answer again, for 24 hours",
            })));
        }
        if operation.may_be_unchanged() {
            parameters.push(self.parameter(json!({
                "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
                "description": "The `ETag` of an answer that the client still has: 304 if it is the newest",
            })));
        }
        if operation.holds_to_version() {
            parameters.push(self.parameter(json!({
                "name": "If-Match", "in": "header", "schema": {"type": "string"},
                "description": "The `ETag` of what is to be changed: 412 if it has changed meanwhile",
            })));
        }
        parameters
    }

    /// A reference to a parameter that operations share.
    fn parameter(&mut self, parameter: Value) -> Value {
        let name = text(&parameter["name"]);
        let reference = json!({"$ref": format!("#/components/parameters/{name}")});
        self.parameters.insert(name, parameter);
        reference
    }

    fn schema(&mut self, content: &Content) -> Value {
        (content.schema)(&mut self.generator).to_value()
    }

    fn finish(mut self) -> Value {
        self.generator.subschema_for::<Problem<'_>>();
        let mut schemas = self.generator.take_definitions(true);
        schemas["Problem"]["properties"]["code"]["enum"] = json!(self.codes);
        schemas.insert("GatewayError".to_owned(), answers::gateway_error());
        let known = DOMAINS.iter().filter(|(name, _)| self.domains.remove(name)).collect::<Vec<_>>();
        let tags = known.iter().map(|(name, about)| json!({"name": name, "description": about}));
        let tags: Vec<Value> = tags.chain(self.domains.iter().map(|name| json!({"name": name}))).collect();
        json!({
            "openapi": "3.1.1",
            "info": {
                "title": "Arcana",
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "tags": tags,
            "paths": self.paths,
            "components": {
                "examples": self.examples,
                "headers": answers::headers(),
                "parameters": self.parameters,
                "responses": self.responses,
                "schemas": schemas,
                "securitySchemes": {"bearer": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The `accessToken` of a login or a refresh",
                }},
            },
        })
    }
}

/// Whom an operation lets in. A role stands where version 3.1 lets it: beside a scheme that has no scopes.
pub fn security(access: Access) -> Value {
    match access {
        Access::Anyone => json!([]),
        Access::Visitor | Access::ByMethod => json!([{}, {"bearer": []}]),
        Access::SignedIn => json!([{"bearer": []}]),
        Access::Admin => json!([{"bearer": ["admin"]}]),
    }
}

/// The schema of a body with these fields and no others.
fn object(members: Vec<Member>) -> Value {
    let required: Vec<&str> =
        members.iter().filter(|member| member.required).map(|member| member.name).collect();
    let properties: Map<String, Value> =
        members.into_iter().map(|member| (member.name.to_owned(), member.schema.to_value())).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
