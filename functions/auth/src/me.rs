//! `GET /api/v1/auth/me`: the caller's own account.

use http::StatusCode;
use serde_json::json;
use shared::caller::SignedIn;
use shared::function::Endpoint;
use shared::{Function, Init, Request, Response, Result};

/// `auth-me`.
pub const FUNCTION: Function = Function::http::<Me>("auth-me");

/// Needs nothing: the account was read to let the caller in.
pub struct Me;

impl Endpoint for Me {
    type Caller = SignedIn;

    fn init(_: &mut Init) -> Self {
        Self
    }

    async fn handle(&self, SignedIn { user, .. }: SignedIn, _: Request) -> Result<Response> {
        let account = json!({
            "id": user.id,
            "name": user.name,
            "email": user.email,
            "emailVerified": user.email_verified,
            "roles": user.roles,
            "createdAt": user.created_at,
            "updatedAt": user.updated_at,
        });
        Response::json(StatusCode::OK, &account)
    }
}
