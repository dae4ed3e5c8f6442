//! `GET /api/v1/auth/me`: the caller's own account.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::describe::About;
use shared::function::Endpoint;
use shared::profile::Profile;
use shared::{Function, Init, Request, Response, Result};

/// `auth-me`.
pub static FUNCTION: Function = Function::http::<Me>("auth-me");

/// Needs nothing: the account is read to let the caller in.
pub struct Me;

impl Endpoint for Me {
    type Caller = SignedIn;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Read the own account")
            .answers::<Profile<'_>>(StatusCode::OK, Profile::example())
            .versioned()
    }

    fn init(_: &mut Init) -> Self {
        Self
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let user = caller.user().await?;
        Response::tagged(request, user.version, &Profile::of(user))
    }
}
