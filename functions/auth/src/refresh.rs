//! `POST /api/v1/auth/refresh`: exchange a refresh token for a new pair.

use aws_sdk_dynamodb::Client;
use http::StatusCode;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::request::Origin;
use shared::sessions::{Ended, Session, Sessions};
use shared::time::Timestamp;
use shared::token::{Issuer, Presented, RefreshClaim, RefreshTokens, Standing, TokenPair};
use shared::transaction;
use shared::users::{User, Users};
use shared::{Error, Function, Init, Request, Response, Result, input};

/// `auth-refresh`.
pub static FUNCTION: Function = Function::http::<Refresh>("auth-refresh");

input! {
    struct Exchange { refresh_token as "refreshToken": Presented }
}

/// What refreshing needs.
pub struct Refresh {
    dynamodb: Client,
    users: Users,
    sessions: Sessions,
    tokens: RefreshTokens,
    issuer: Issuer,
    clock: Clock,
    lifetime: i64,
}

impl Endpoint for Refresh {
    type Caller = Visitor;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Exchange a refresh token for a new pair")
            .detail("Each refresh token is good for one exchange; the one before the newest is for ten seconds more, \
                for a client that lost the reply. An older one ends the session: there is a copy of it.")
            .body::<Exchange>(json!({"refreshToken": "k1.AaMDyPKh.mAc1"}))
            .answers::<TokenPair>(StatusCode::OK, TokenPair::example())
            .fails([Error::InvalidRefreshToken])
    }

    fn init(init: &mut Init) -> Self {
        Self {
            dynamodb: init.dynamodb(),
            users: Users::init(init),
            sessions: Sessions::init(init),
            tokens: RefreshTokens::init(init),
            issuer: Issuer::init(init),
            clock: init.clock(),
            lifetime: init.number("REFRESH_TOKEN_SECONDS"),
        }
    }

    async fn handle(&self, _: Visitor, request: &Request) -> Result<Response> {
        let Exchange { refresh_token } = request.json()?;
        let claim = self.tokens.open(&refresh_token.0).ok_or(Error::InvalidRefreshToken)?;
        let pair = transaction::retry_changed(|| Box::pin(self.exchange(&claim, request.origin()))).await?;
        Response::json(StatusCode::OK, &pair)
    }
}

impl Refresh {
    async fn exchange(&self, claim: &RefreshClaim, origin: &Origin) -> Result<TokenPair> {
        let now = self.clock.now();
        let read = self.sessions.with_user(&self.users, claim.user_id, claim.session_id).await?;
        let alive = read.filter(|(session, user)| session.is_alive(user, now));
        let (session, user) = alive.ok_or(Error::InvalidRefreshToken)?;

        match claim.standing(&session, now) {
            Standing::Current => self.rotate(&session, &user, now, origin).await,
            Standing::LostReply => self.issuer.issue(&session, &user.roles, now),
            Standing::Reused => {
                // The thief or the owner, and nobody knows which.
                let change = origin.by("auth-refresh", Ended::TokenReuse.reason());
                self.sessions.end(user.id, session.id, now, change).await?;
                Err(Error::InvalidRefreshToken)
            }
            Standing::Unknown => Err(Error::InvalidRefreshToken),
        }
    }

    async fn rotate(
        &self,
        session: &Session,
        user: &User,
        now: Timestamp,
        origin: &Origin,
    ) -> Result<TokenPair> {
        let expires_at = now.plus_seconds(self.lifetime).min(session.ends_at);
        let next = Session {
            counter: session.counter + 1,
            last_used_at: now,
            rotated_at: Some(now),
            expires_at,
            ttl: expires_at.seconds(),
            version: session.version + 1,
            change: origin.by(&user.id, "refresh"),
            ..session.clone()
        };
        let may_log_in = self.users.check_may_log_in(user.id, user.auth_version);
        let steps = vec![self.sessions.replace(session, &next)?, may_log_in];
        transaction::commit(&self.dynamodb, steps).await?;
        self.issuer.issue(&next, &user.roles, now)
    }
}
