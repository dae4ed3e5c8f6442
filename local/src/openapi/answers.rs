//! The answers of an operation: what it says, and the problems that it or any of its kind can have.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};
use shared::Error;
use shared::caller::Access;
use shared::describe::{Answer, Header};
use shared::input::{FieldError, Place};
use shared::request::{MAX_BODY, Origin};
use shared::response::Problem;

use super::{Document, Operation};

/// Headers that answers share, with what they hold.
const HEADERS: [(&str, &str); 6] = [
    ("X-Request-Id", "The request's id"),
    ("ETag", "The version of what is answered, for `If-None-Match` and `If-Match`"),
    ("Idempotency-Replayed", "`true` where this is the answer to an earlier request with the same key"),
    ("Retry-After", "In how many seconds to try again"),
    ("WWW-Authenticate", "`Bearer`, and what is wrong with a token that was sent (RFC 6750)"),
    ("apigw-requestid", "The request's id, where API Gateway answers"),
];

/// What API Gateway answers itself, before or in place of a function.
const OF_GATEWAY: [StatusCode; 4] = [
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The headers of [`HEADERS`] that an answer has whenever it has this status.
const ALWAYS: [&str; 3] = ["X-Request-Id", "ETag", "WWW-Authenticate"];

pub(super) fn headers() -> Value {
    let header = |(name, what): &(&str, &str)| {
        let header =
            json!({"description": what, "required": ALWAYS.contains(name), "schema": {"type": "string"}});
        ((*name).to_owned(), header)
    };
    HEADERS.iter().map(header).collect::<Map<_, _>>().into()
}

pub(super) fn gateway_error() -> Value {
    json!({
        "description": "What API Gateway says itself",
        "type": "object",
        "properties": {"message": {"type": ["string", "null"]}},
        "required": ["message"],
    })
}

fn header(name: &str) -> (String, Value) {
    (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}))
}

impl Document {
    pub(super) fn answers(&mut self, operation: &Operation<'_>) -> Value {
        let mut answers = Map::new();
        for answer in &operation.about.answers {
            answers.insert(answer.status.as_str().to_owned(), self.answer(answer, operation));
        }
        if operation.may_be_unchanged() {
            let headers = Map::from_iter([header("X-Request-Id"), header("ETag")]);
            let unchanged = json!({"description": "It has not changed", "headers": headers});
            answers.insert(StatusCode::NOT_MODIFIED.as_str().to_owned(), unchanged);
        }
        let implied = implied(operation);
        let mut problems: BTreeMap<StatusCode, Vec<&Error>> = BTreeMap::new();
        for error in operation.about.errors.iter().chain(&implied) {
            problems.entry(error.row().status).or_default().push(error);
        }
        // It throttles whatever it likes.
        problems.entry(StatusCode::TOO_MANY_REQUESTS).or_default();
        for (status, errors) in problems {
            answers.insert(status.as_str().to_owned(), self.problem(status, errors));
        }
        answers.into()
    }

    fn answer(&mut self, answer: &Answer, operation: &Operation<'_>) -> Value {
        let mut headers = Map::from_iter([header("X-Request-Id")]);
        if operation.about.versioned && answer.content.is_some() {
            headers.extend([header("ETag")]);
        }
        if operation.keyed {
            headers.extend([header("Idempotency-Replayed")]);
        }
        for Header { name, what, always } in &answer.headers {
            let header = json!({"description": what, "required": always, "schema": {"type": "string"}});
            headers.insert((*name).to_owned(), header);
        }
        let mut described =
            json!({"description": answer.status.canonical_reason().unwrap_or_default(), "headers": headers});
        if let Some(content) = &answer.content {
            let mut media = json!({"schema": self.schema(content)});
            if let Some(example) = &content.example {
                media["example"] = example.clone();
            }
            described["content"] = json!({content.media_type: media});
        }
        described
    }

    /// A reference to the answer that tells these errors, which all have this status.
    fn problem(&mut self, status: StatusCode, mut errors: Vec<&Error>) -> Value {
        errors.sort_by_key(|error| error.row().code);
        let mut titles: Vec<String> =
            errors.iter().map(|error| format!("`{}`: {}", error.row().code, error.row().title)).collect();
        titles.dedup();
        let of_headers = errors.iter().filter_map(|error| error.header()).map(|(name, _)| name);
        let of_headers: Vec<String> = of_headers.map(|name| name.as_str().to_owned()).collect();
        let shared = HEADERS.iter().filter(|(name, _)| {
            *name == "X-Request-Id" || of_headers.iter().any(|other| other.eq_ignore_ascii_case(name))
        });
        let mut headers: Map<String, Value> = shared.map(|(name, _)| header(name)).collect();
        let mut content = Map::new();
        if OF_GATEWAY.contains(&status) {
            // Where the gateway answers, the function's own id is not there.
            headers.insert(
                "X-Request-Id".to_owned(),
                json!({"description": "The request's id, where a function answers", "schema": {"type": "string"}}),
            );
            headers.extend([header("apigw-requestid")]);
            content.insert(
                "application/json".to_owned(),
                json!({"schema": {"$ref": "#/components/schemas/GatewayError"}}),
            );
        }
        let mut codes: Vec<&str> = errors.iter().map(|error| error.row().code).collect();
        codes.dedup();
        if !errors.is_empty() {
            content.insert(
                "application/problem+json".to_owned(),
                json!({
                    "schema": {
                        "$ref": "#/components/schemas/Problem",
                        "properties": {"status": {"const": status.as_u16()}, "code": {"enum": codes}},
                    },
                    "examples": self.examples(status, &errors),
                }),
            );
        }
        let description =
            if titles.is_empty() { "API Gateway throttles".to_owned() } else { titles.join("\n\n") };
        self.codes.extend(errors.iter().map(|error| error.row().code));
        let name = [status.as_str()].into_iter().chain(codes).collect::<Vec<_>>().join("-");
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        let response = json!({"description": description, "headers": headers, "content": content});
        self.responses.insert(name, response);
        reference
    }

    /// References to a problem document of each code.
    fn examples(&mut self, status: StatusCode, errors: &[&Error]) -> Value {
        let mut references = Map::new();
        for error in errors {
            let code = error.row().code;
            let name = format!("{}-{code}", status.as_str());
            references.insert(code.to_owned(), json!({"$ref": format!("#/components/examples/{name}")}));
            self.examples.insert(name, json!({"value": Problem::of(error, &asked())}));
        }
        references.into()
    }
}

/// What an example of a problem answers.
fn asked() -> Origin {
    Origin { request_id: "QxT7Vh0woAMEZ5Q=".to_owned(), path: "/api/v1/...".to_owned(), ..Origin::default() }
}

/// The problems of any operation of this one's kind.
fn implied(operation: &Operation<'_>) -> Vec<Error> {
    let fault = |place, code, detail: &'static str| vec![FieldError::new(place, code, detail)];
    let mut errors = vec![
        Error::MalformedRequest("The query has characters that must be encoded"),
        Error::internal("an example"),
        Error::unavailable("an example"),
    ];
    if operation.access != Access::Anyone {
        errors.push(Error::InvalidAccessToken("an example"));
    }
    if operation.access == Access::Admin {
        errors.push(Error::Forbidden);
    }
    if operation.route.path.contains('{') {
        errors.push(Error::NotFound("User"));
    }
    if operation.holds_to_version() {
        errors.push(Error::PreconditionFailed);
    }
    if operation.keyed {
        let place = Place::Parameter("Idempotency-Key".to_owned());
        errors.extend([
            Error::IdempotencyInProgress,
            Error::IdempotencyKeyReused,
            Error::Validation(fault(place, "TOO_LONG", "must have at most 255 characters")),
        ]);
    }
    if operation.about.body.is_some() {
        let place = Place::Pointer("/name".to_owned());
        errors.extend([
            Error::MalformedJson("EOF while parsing an object at line 1 column 1".to_owned()),
            Error::InvalidType(fault(place.clone(), "INVALID_VALUE", "must be a string")),
            Error::PayloadTooLarge(MAX_BODY),
            Error::UnsupportedMediaType("application/json"),
            Error::Validation(fault(place, "REQUIRED", "is required")),
        ]);
    } else if operation.about.query.is_some() {
        let place = Place::Parameter("size".to_owned());
        errors.push(Error::Validation(fault(place, "OUT_OF_RANGE", "must be from 1 to 100")));
    }
    errors
}
