//! What an endpoint says of itself: its part of the API's `OpenAPI` document.
//!
//! It says only what follows from nothing else. `local` joins it with the route, which is the template's, and
//! with what the endpoint's caller, body, query and path imply: security, the errors of each, the headers that
//! every answer has. No deployed function asks for it, so optimised binaries leave it out.

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::input::{Body, Input, Member, Source};
use crate::{Error, Result};

pub use serde_json::{Value, json};

/// What an endpoint says of itself.
pub struct About {
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What else a caller has to know, in Markdown.
    pub detail: &'static str,
    /// The JSON body that it takes.
    pub body: Option<Taken>,
    /// The query that it takes.
    pub query: Option<fn() -> Vec<Member>>,
    /// How it answers where nothing is wrong.
    pub answers: Vec<Answer>,
    /// What can go wrong beside what can with any endpoint of its kind.
    pub errors: Vec<Error>,
    /// Whether its answers carry an `ETag`, and its requests may hold to one.
    pub versioned: bool,
    /// Its operation as the document has it, for what speaks another protocol than all others: what follows from its
    /// route and its caller besides is said of it too, but not how it answers.
    pub operation: Option<Value>,
}

/// A body that an endpoint takes.
pub struct Taken {
    /// Its fields.
    pub members: fn() -> Vec<Member>,
    /// One that it takes.
    pub example: Value,
    read: fn(&[u8]) -> Result<()>,
}

impl Taken {
    /// Whether the endpoint does take its own example.
    pub fn check(&self) -> Result<()> {
        (self.read)(self.example.to_string().as_bytes())
    }
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// What is in it, if anything.
    pub content: Option<Content>,
    /// Its headers, beside those that every answer has.
    pub headers: Vec<Header>,
}

/// A header of an answer.
pub struct Header {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub what: &'static str,
    /// Whether the answer always has it.
    pub always: bool,
}

/// What is in an answer.
pub struct Content {
    /// Its content type.
    pub media_type: &'static str,
    /// Its form.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// One of its kind, where it is JSON.
    pub example: Option<Value>,
}

impl About {
    /// Of an endpoint that does this: a few words without a full stop.
    pub fn new(summary: &'static str) -> Self {
        Self {
            summary,
            detail: "",
            body: None,
            query: None,
            answers: Vec::new(),
            errors: Vec::new(),
            versioned: false,
            operation: None,
        }
    }

    /// What else a caller has to know, in Markdown.
    #[must_use]
    pub fn detail(self, detail: &'static str) -> Self {
        Self { detail, ..self }
    }

    /// It takes a JSON body, for example this one.
    #[must_use]
    pub fn body<T: Input>(self, example: Value) -> Self {
        let read = |bytes: &[u8]| T::read(Source::Body(&Body::parse(bytes)?)).map(drop);
        Self { body: Some(Taken { members: T::members, example, read }), ..self }
    }

    /// It takes a query.
    #[must_use]
    pub fn query<T: Input>(self) -> Self {
        Self { query: Some(T::members), ..self }
    }

    /// It answers JSON, for example this. What `T`'s documentation says stands for the answer's.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: StatusCode, example: Value) -> Self {
        let schema = SchemaGenerator::subschema_for::<T>;
        self.answer(status, Some(Content { media_type: "application/json", schema, example: Some(example) }))
    }

    /// It answers text of this content type.
    #[must_use]
    pub fn answers_text(self, status: StatusCode, media_type: &'static str) -> Self {
        let schema = SchemaGenerator::subschema_for::<String>;
        self.answer(status, Some(Content { media_type, schema, example: None }))
    }

    /// It answers without a body.
    #[must_use]
    pub fn answers_nothing(self, status: StatusCode) -> Self {
        self.answer(status, None)
    }

    fn answer(mut self, status: StatusCode, content: Option<Content>) -> Self {
        self.answers.push(Answer { status, content, headers: Vec::new() });
        self
    }

    /// The answer that was described last carries this header, which holds `what`.
    #[must_use]
    pub fn header(self, name: &'static str, what: &'static str) -> Self {
        self.with(Header { name, what, always: true })
    }

    /// The answer that was described last may carry this header.
    #[must_use]
    pub fn maybe_header(self, name: &'static str, what: &'static str) -> Self {
        self.with(Header { name, what, always: false })
    }

    fn with(mut self, header: Header) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push(header);
        }
        self
    }

    /// These can go wrong too. What can with any endpoint of its kind needs no word: what follows from its caller,
    /// its body, its query and its path.
    #[must_use]
    pub fn fails(mut self, errors: impl IntoIterator<Item = Error>) -> Self {
        self.errors.extend(errors);
        self
    }

    /// It speaks another protocol than all others: these members of its operation take the place of those that would
    /// follow from its answers.
    #[must_use]
    pub fn operation(self, operation: Value) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// It is about one resource with a version: what shows it carries its `ETag`; a `GET` takes `If-None-Match`,
    /// and what changes it takes `If-Match`.
    #[must_use]
    pub fn versioned(self) -> Self {
        Self { versioned: true, ..self }
    }
}
