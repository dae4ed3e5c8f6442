//! `DELETE /api/v1/auth/sessions/{id}`: end one of the caller's sessions.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::describe::About;
use shared::function::Endpoint;
use shared::sessions::{Ended, Sessions};
use shared::{Error, Function, Init, Request, Response, Result};

/// `auth-end-session`.
pub static FUNCTION: Function = Function::http::<EndSession>("auth-end-session");

/// What ending a session needs.
pub struct EndSession {
    sessions: Sessions,
    clock: Clock,
}

impl Endpoint for EndSession {
    type Caller = SignedIn;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("End one of the caller's sessions").answers_nothing(StatusCode::NO_CONTENT)
    }

    fn init(init: &mut Init) -> Self {
        Self { sessions: Sessions::init(init), clock: init.clock() }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let id = request.session_id()?;
        let change = request.origin().by(&caller.user_id(), Ended::ByUser.reason());
        // Only the caller's own sessions have their id for a key, and only those of their number are live.
        let end = self.sessions.end_step(caller.user_id(), id, self.clock.now(), change)?;
        let end = end.and(Sessions::of_version(caller.auth_version()));
        caller.write(vec![end.or(Error::NotFound("Session"))]).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}
