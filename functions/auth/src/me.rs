//! `GET /api/v1/auth/me`: the caller's own account.

use http::StatusCode;
use serde::Serialize;
use shared::caller::SignedIn;
use shared::email::Email;
use shared::function::Endpoint;
use shared::id::UserId;
use shared::time::Timestamp;
use shared::users::Role;
use shared::{Function, Init, Request, Response, Result};

/// `auth-me`.
pub static FUNCTION: Function = Function::http::<Me>("auth-me");

/// What a user is shown of their own account.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Account<'a> {
    id: UserId,
    name: &'a str,
    email: &'a Email,
    email_verified: bool,
    roles: &'a [Role],
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Needs nothing: the account was read to let the caller in.
pub struct Me;

impl Endpoint for Me {
    type Caller = SignedIn;

    fn init(_: &mut Init) -> Self {
        Self
    }

    async fn handle(&self, SignedIn { user, .. }: SignedIn, _: Request) -> Result<Response> {
        let account = Account {
            id: user.id,
            name: &user.name,
            email: &user.email,
            email_verified: user.email_verified,
            roles: &user.roles,
            created_at: user.created_at,
            updated_at: user.updated_at,
        };
        Response::json(StatusCode::OK, &account)
    }
}
