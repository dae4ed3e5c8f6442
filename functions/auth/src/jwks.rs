//! `GET /.well-known/jwks.json`: the keys that verify access tokens (RFC 7517).

use http::{StatusCode, header};
use shared::caller::Anyone;
use shared::function::Endpoint;
use shared::{Function, Init, Request, Response, Result};

/// `auth-jwks`.
pub static FUNCTION: Function = Function::http::<Jwks>("auth-jwks");

/// How long the set may be cached: the key that signs next is in it long before it signs.
const CACHED: &str = "public, max-age=3600";

/// What showing the keys needs.
pub struct Jwks {
    keys: String,
}

impl Endpoint for Jwks {
    type Caller = Anyone;
    const WRITES: bool = false;

    fn init(init: &mut Init) -> Self {
        Self { keys: init.text("PUBLIC_JWKS") }
    }

    async fn handle(&self, _: Anyone, _: Request) -> Result<Response> {
        let answer = Response::empty(StatusCode::OK).text("application/json", self.keys.clone());
        Ok(answer.header(header::CACHE_CONTROL, CACHED))
    }
}
