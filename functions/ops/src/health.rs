//! `GET /health`: which version runs. It touches nothing.

use http::StatusCode;
use serde_json::json;
use shared::caller::Anyone;
use shared::function::Endpoint;
use shared::{Function, Init, Request, Response, Result};

/// `ops-health`.
pub const FUNCTION: Function = Function::http::<Health>("ops-health");

/// What runs.
pub struct Health {
    commit: String,
}

impl Endpoint for Health {
    type Caller = Anyone;

    fn init(init: &mut Init) -> Self {
        Self { commit: init.text("COMMIT") }
    }

    async fn handle(&self, Anyone: Anyone, _: Request) -> Result<Response> {
        let health = json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "commit": self.commit});
        Response::json(StatusCode::OK, &health)
    }
}
