//! `GET /api/v1/openapi.json`: what the API takes and answers.

use std::collections::BTreeMap;

use http::StatusCode;
use shared::caller::Anyone;
use shared::describe::{About, Value, json};
use shared::function::Endpoint;
use shared::{Function, Init, Request, Response, Result, precondition};

use crate::public::{self, DOCUMENT};

/// `ops-openapi`.
pub static FUNCTION: Function = Function::http::<OpenApi>("ops-openapi");

/// What showing the document needs.
pub struct OpenApi {
    etag: String,
}

impl Endpoint for OpenApi {
    type Caller = Anyone;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Read this document")
            .answers::<BTreeMap<String, Value>>(StatusCode::OK, json!({"openapi": "3.1.1"}))
            .header("Cache-Control", "How long the document may be kept")
            .versioned()
    }

    fn init(_: &mut Init) -> Self {
        Self { etag: precondition::etag_of(DOCUMENT) }
    }

    async fn handle(&self, Anyone: Anyone, request: &Request) -> Result<Response> {
        Ok(public::answer(request, "application/json", DOCUMENT, &self.etag))
    }
}
