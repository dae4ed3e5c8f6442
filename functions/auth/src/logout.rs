//! `POST /api/v1/auth/logout`: end the session of a refresh token.

use http::StatusCode;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::request::Origin;
use shared::sessions::{Ended, Sessions};
use shared::token::{Presented, RefreshClaim, RefreshTokens, Standing};
use shared::users::Users;
use shared::{Function, Init, Request, Response, Result, input};

/// `auth-logout`.
pub static FUNCTION: Function = Function::http::<Logout>("auth-logout");

input! {
    struct Given { refresh_token as "refreshToken": Presented }
}

/// What logging out needs.
pub struct Logout {
    users: Users,
    sessions: Sessions,
    tokens: RefreshTokens,
    clock: Clock,
}

impl Endpoint for Logout {
    type Caller = Visitor;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("End the session of a refresh token")
            .detail("A token that is unknown or has ended is answered alike.")
            .body::<Given>(json!({"refreshToken": "k1.AaMDyPKh.mAc1"}))
            .answers_nothing(StatusCode::NO_CONTENT)
    }

    fn init(init: &mut Init) -> Self {
        Self {
            users: Users::init(init),
            sessions: Sessions::init(init),
            tokens: RefreshTokens::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, _: Visitor, request: &Request) -> Result<Response> {
        let Given { refresh_token } = request.json()?;
        // A token that is not ours has no session to end: that is what the client wants.
        if let Some(claim) = self.tokens.open(&refresh_token.0) {
            self.end(&claim, request.origin()).await?;
        }
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

impl Logout {
    /// Ends a session that stands; of one that does not, nothing is told a second time.
    async fn end(&self, claim: &RefreshClaim, origin: &Origin) -> Result<()> {
        let now = self.clock.now();
        let read = self.sessions.with_user(&self.users, claim.user_id, claim.session_id).await?;
        let Some((session, _)) = read.filter(|(session, user)| session.is_alive(user, now)) else {
            return Ok(());
        };
        let ended = match claim.standing(&session, now) {
            Standing::Reused => Ended::TokenReuse,
            Standing::Current | Standing::LostReply | Standing::Unknown => Ended::Logout,
        };
        self.sessions
            .end(claim.user_id, claim.session_id, now, origin.by(&claim.user_id, ended.reason()))
            .await
    }
}
