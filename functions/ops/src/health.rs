//! `GET /health`: which version runs. It touches nothing.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use shared::caller::Anyone;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::{Function, Init, Request, Response, Result};

/// `ops-health`.
pub static FUNCTION: Function = Function::http::<Health>("ops-health");

/// What runs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
struct Report<'a> {
    status: &'static str,
    version: &'static str,
    commit: &'a str,
}

/// What runs.
pub struct Health {
    commit: String,
}

impl Endpoint for Health {
    type Caller = Anyone;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Tell which version runs")
            .detail("Touches nothing: for whether what it needs answers too, see `/health/ready`.")
            .answers::<Report<'_>>(
                StatusCode::OK,
                json!({"status": "ok", "version": "0.1.0", "commit": "0123abc"}),
            )
    }

    fn init(init: &mut Init) -> Self {
        Self { commit: init.text("COMMIT") }
    }

    async fn handle(&self, Anyone: Anyone, _: &Request) -> Result<Response> {
        let health = Report { status: "ok", version: env!("CARGO_PKG_VERSION"), commit: &self.commit };
        Response::json(StatusCode::OK, &health)
    }
}
