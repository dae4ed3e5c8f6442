//! `POST /api/v1/auth/logout`: end the session of a refresh token.

use http::StatusCode;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::function::Endpoint;
use shared::sessions::{Ended, Sessions};
use shared::token::{Presented, RefreshTokens};
use shared::{Function, Init, Request, Response, Result, input};

/// `auth-logout`.
pub static FUNCTION: Function = Function::http::<Logout>("auth-logout");

input! {
    struct Given { refresh_token as "refreshToken": Presented }
}

/// What logging out needs.
pub struct Logout {
    sessions: Sessions,
    tokens: RefreshTokens,
    clock: Clock,
}

impl Endpoint for Logout {
    type Caller = Visitor;
    const WRITES: bool = true;

    fn init(init: &mut Init) -> Self {
        Self { sessions: Sessions::init(init), tokens: RefreshTokens::init(init), clock: init.clock() }
    }

    async fn handle(&self, _: Visitor, request: Request) -> Result<Response> {
        let Given { refresh_token } = request.json()?;
        // A token that is not ours has no session to end: that is what the client wants.
        if let Some(claim) = self.tokens.open(&refresh_token.0) {
            let change = request.origin().by(&claim.user_id, Ended::Logout.reason());
            self.sessions.end(claim.user_id, claim.session_id, self.clock.now(), change).await?;
        }
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}
