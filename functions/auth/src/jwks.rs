//! `GET /.well-known/jwks.json`: the keys that verify access tokens (RFC 7517).

use std::collections::BTreeMap;

use http::{StatusCode, header};
use schemars::JsonSchema;
use shared::caller::Anyone;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::{Function, Init, Request, Response, Result};

/// `auth-jwks`.
pub static FUNCTION: Function = Function::http::<Jwks>("auth-jwks");

/// How long the set may be cached: the key that signs next is in it long before it signs.
const CACHED: &str = "public, max-age=3600";

/// The keys.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the set is passed on as it is; this says its form")]
struct KeySet {
    /// JSON Web Keys: `kty`, `crv`, `alg`, `use`, `kid` and `x`.
    keys: Vec<BTreeMap<String, String>>,
}

/// What showing the keys needs.
pub struct Jwks {
    keys: String,
}

impl Endpoint for Jwks {
    type Caller = Anyone;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Read the keys that verify access tokens")
            .detail("A JSON Web Key Set (RFC 7517) of Ed25519 keys. The key that signs next is in it long before it does.")
            .answers::<KeySet>(
                StatusCode::OK,
                json!({"keys": [{
                    "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1",
                    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
                }]}),
            )
            .header("Cache-Control", "How long the set may be kept")
    }

    fn init(init: &mut Init) -> Self {
        Self { keys: init.text("PUBLIC_JWKS") }
    }

    async fn handle(&self, _: Anyone, _: &Request) -> Result<Response> {
        let answer = Response::empty(StatusCode::OK).text("application/json", self.keys.clone());
        Ok(answer.header(header::CACHE_CONTROL, CACHED))
    }
}
