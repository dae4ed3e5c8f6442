//! `POST /api/v1/auth/login`: exchange an email address and a password for a token pair.

use aws_sdk_dynamodb::Client;
use futures_util::future::{join, join3, try_join};
use http::StatusCode;
use shared::attempts::Attempts;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::credentials::{Credential, Credentials};
use shared::describe::{About, json};
use shared::email::Email;
use shared::function::Endpoint;
use shared::id::SessionId;
use shared::listing;
use shared::password::{self, Password, Verified};
use shared::request::Origin;
use shared::sessions::{Session, Sessions};
use shared::time::Timestamp;
use shared::token::{Issuer, TokenPair};
use shared::transaction;
use shared::users::{self, Status, User, Users};
use shared::{Error, Function, Init, Request, Response, Result, input};

/// `auth-login`.
pub static FUNCTION: Function = Function::http::<Login>("auth-login");

/// How much of a `User-Agent` is worth keeping, in characters.
const USER_AGENT_MAX: usize = 255;
/// Live sessions of a user at most.
const SESSIONS_MAX: usize = 50;
/// As many as logins side by side may begin unseen by each other.
const SIDE_BY_SIDE: usize = 25;

input! {
    struct Claim { email: Email, password: Password }
}

/// What logging in needs.
pub struct Login {
    dynamodb: Client,
    users: Users,
    credentials: Credentials,
    sessions: Sessions,
    attempts: Attempts,
    issuer: Issuer,
    clock: Clock,
    refresh_lifetime: i64,
    session_lifetime: i64,
}

impl Endpoint for Login {
    type Caller = Visitor;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Log in")
            .detail("Unknown, suspended and known accounts are answered alike. After 10 failures an account takes an \
                attempt only after a pause that doubles.")
            .body::<Claim>(json!({"email": "ada@example.com", "password": "Analytical-1843"}))
            .answers::<TokenPair>(StatusCode::OK, TokenPair::example())
            .fails([Error::LoginFailed, Error::TooManyRequests { seconds: 60 }])
    }

    fn init(init: &mut Init) -> Self {
        password::warm_up();
        Self {
            dynamodb: init.dynamodb(),
            users: Users::init(init),
            credentials: Credentials::init(init),
            sessions: Sessions::init(init),
            attempts: Attempts::init(init),
            issuer: Issuer::init(init),
            clock: init.clock(),
            refresh_lifetime: init.number("REFRESH_TOKEN_SECONDS"),
            session_lifetime: init.number("SESSION_SECONDS"),
        }
    }

    async fn handle(&self, _: Visitor, request: &Request) -> Result<Response> {
        let Claim { email, password } = request.json()?;
        let origin = request.origin();
        let (seen, credential) =
            try_join(self.attempts.look(&email, &origin.source_ip), self.credentials.get(&email)).await?;

        // From here on, unknown, known and suspended accounts go exactly the same way.
        let user_id =
            credential.as_ref().map_or_else(|| users::nobody(&email), |credential| credential.user_id);
        let (attempt, user) =
            join(self.attempts.reserve(seen, credential.as_ref()), self.users.get(user_id)).await;
        let (attempt, user) = (attempt?, user?.filter(|user| user.status == Status::Active));
        let hash = credential.as_ref().map(|credential| credential.password_hash.clone());
        let verified = password::verify(password, hash).await?;

        let (Some(credential), Some(user), Verified::Yes | Verified::Rehashed(_)) =
            (&credential, &user, &verified)
        else {
            let of = credential.map(|credential| credential.user_id);
            self.attempts.failed(&attempt, of, &origin.by("auth-login", "login-failed")).await?;
            return Err(Error::LoginFailed);
        };
        let now = self.clock.now();
        let session = self.session(user, origin, now);
        let begun = self.begin(&session, user, credential);
        let counted = self.attempts.succeeded(&attempt, credential);
        let (begun, counted, sessions) = join3(begun, counted, self.sessions.of_user(user.id)).await;
        begun?;
        // The session has begun: what only tidies up does not stop it.
        let rehashed = match &verified {
            Verified::Rehashed(hash) => self.credentials.rehash(credential, hash).await,
            _ => Ok(()),
        };
        let trimmed = match sessions {
            Ok(sessions) => self.trim(user, sessions, now).await,
            Err(error) => Err(error),
        };
        for tidied in [counted, rehashed, trimmed] {
            if let Err(error) = tidied {
                tracing::warn!(cause = error.cause(), "not tidied up after a login");
            }
        }
        Response::json(StatusCode::OK, &self.issuer.issue(&session, &user.roles, now)?)
    }
}

impl Login {
    /// Stores the session. A login that races a new password, a suspension or a logout of all sessions loses.
    async fn begin(&self, session: &Session, user: &User, credential: &Credential) -> Result<()> {
        let steps = vec![
            self.sessions.insert(session)?.or(Error::LoginFailed),
            self.users.check_may_log_in(user.id, user.auth_version).or(Error::LoginFailed),
            self.credentials.check_unchanged(credential).or(Error::LoginFailed),
        ];
        transaction::commit(&self.dynamodb, steps).await
    }

    /// Removes what is over of the `sessions` that were there, and the oldest where there are too many. Where that may
    /// be, it looks once more now that the new one is stored: so of logins side by side the last to look sees all, and all
    /// choose the same.
    async fn trim(&self, user: &User, sessions: Vec<Session>, now: Timestamp) -> Result<()> {
        let is_over = |session: &Session| session.is_over(user.auth_version, now);
        let (mut removed, mut live): (Vec<_>, Vec<_>) = sessions.into_iter().partition(is_over);
        if live.len() + SIDE_BY_SIDE > SESSIONS_MAX {
            (removed, live) = self.sessions.of_user(user.id).await?.into_iter().partition(is_over);
        }
        let surplus = live.len().saturating_sub(SESSIONS_MAX);
        // Ids sort by the time that they were made.
        live.sort_by_key(|session| *session.id.as_bytes());
        removed.extend(live.into_iter().take(surplus));
        self.sessions.forget(&removed).await
    }

    fn session(&self, user: &User, origin: &Origin, now: Timestamp) -> Session {
        let ends_at = now.plus_seconds(self.session_lifetime);
        let expires_at = now.plus_seconds(self.refresh_lifetime).min(ends_at);
        let id = SessionId::new(now);
        Session {
            user_id: user.id,
            id,
            auth_version: user.auth_version,
            counter: 0,
            created_at: now,
            last_used_at: now,
            rotated_at: None,
            expires_at,
            ends_at,
            ended_at: None,
            ip: origin.source_ip.clone(),
            user_agent: origin.user_agent.chars().take(USER_AGENT_MAX).collect(),
            version: 1,
            change: origin.by(&user.id, "login"),
            ttl: expires_at.seconds(),
            shard: listing::shard(id.as_bytes()),
        }
    }
}
