//! `POST /api/v1/auth/logout-all`: end all sessions of the caller.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::describe::About;
use shared::function::Endpoint;
use shared::request::Origin;
use shared::sessions::{Ended, Sessions};
use shared::transaction;
use shared::users::Users;
use shared::{Function, Init, Request, Response, Result};

/// `auth-logout-all`.
pub static FUNCTION: Function = Function::http::<LogoutAll>("auth-logout-all");

/// What ending all sessions needs.
pub struct LogoutAll {
    users: Users,
    sessions: Sessions,
    clock: Clock,
}

impl Endpoint for LogoutAll {
    type Caller = SignedIn;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("End all sessions of the caller").answers_nothing(StatusCode::NO_CONTENT)
    }

    fn init(init: &mut Init) -> Self {
        Self { users: Users::init(init), sessions: Sessions::init(init), clock: init.clock() }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        transaction::retry_changed(|| Box::pin(self.end_all(&caller, request.origin()))).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

impl LogoutAll {
    async fn end_all(&self, caller: &SignedIn, origin: &Origin) -> Result<()> {
        let user = caller.user_now().await?;
        let now = self.clock.now();
        let mut next = user.next(now, origin.by(&user.id, "logout-all"));
        next.end_sessions();
        // Its number ends every session, wherever it is. The caller's own is marked, for the event.
        let change = origin.by(&user.id, Ended::Logout.reason());
        let own = self.sessions.end_step(user.id, caller.session_id(), now, change)?;
        caller.write(vec![self.users.replace(&user, &next)?, own]).await
    }
}
