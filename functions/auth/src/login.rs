//! `POST /api/v1/auth/login`: exchange an email address and a password for a token pair.

use aws_sdk_dynamodb::Client;
use http::StatusCode;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::credentials::Credentials;
use shared::email::Email;
use shared::event::Provenance;
use shared::function::Endpoint;
use shared::id::SessionId;
use shared::password::{self, Password};
use shared::request::Origin;
use shared::sessions::{Session, Sessions};
use shared::time::Timestamp;
use shared::token::Issuer;
use shared::transaction::{self, Written};
use shared::users::{Status, User, Users};
use shared::{Error, Function, Init, Request, Response, Result, input};

/// `auth-login`.
pub static FUNCTION: Function = Function::http::<Login>("auth-login");

/// How much of a `User-Agent` is worth keeping, in characters.
const USER_AGENT_MAX: usize = 255;

input! {
    struct Claim { email: Email, password: Password }
}

/// What logging in needs.
pub struct Login {
    dynamodb: Client,
    users: Users,
    credentials: Credentials,
    sessions: Sessions,
    issuer: Issuer,
    clock: Clock,
    refresh_lifetime: i64,
    session_lifetime: i64,
}

impl Endpoint for Login {
    type Caller = Visitor;

    fn init(init: &mut Init) -> Self {
        password::warm_up();
        Self {
            dynamodb: init.dynamodb(),
            users: Users::init(init),
            credentials: Credentials::init(init),
            sessions: Sessions::init(init),
            issuer: Issuer::init(init),
            clock: init.clock(),
            refresh_lifetime: init.number("REFRESH_TOKEN_SECONDS"),
            session_lifetime: init.number("SESSION_SECONDS"),
        }
    }

    async fn handle(&self, _: Visitor, request: Request) -> Result<Response> {
        let Claim { email, password } = request.json()?;
        let credential = self.credentials.get(&email).await?;
        let hash = credential.as_ref().map(|credential| credential.password_hash.clone());
        let matches = password::verify(password, hash).await?;
        let credential = credential.filter(|_| matches).ok_or(Error::LoginFailed)?;
        let user = self.users.get(credential.user_id).await?;
        let user = user.filter(|user| user.status == Status::Active).ok_or(Error::LoginFailed)?;

        let now = self.clock.now();
        let session = self.session(&user, request.origin(), now);
        // A login that races a new password, a suspension or a logout of all sessions loses.
        let items = vec![
            self.sessions.insert(&session)?,
            self.users.check_may_log_in(user.id, user.auth_version)?,
            self.credentials.check_unchanged(&credential)?,
        ];
        match transaction::write(&self.dynamodb, items).await? {
            Written::Committed => {}
            Written::Refused(_) => return Err(Error::LoginFailed),
        }
        Response::json(StatusCode::OK, &self.issuer.issue(&session, &user.roles, now)?)
    }
}

impl Login {
    fn session(&self, user: &User, origin: &Origin, now: Timestamp) -> Session {
        let ends_at = now.plus_seconds(self.session_lifetime);
        Session {
            user_id: user.id,
            id: SessionId::new(now),
            auth_version: user.auth_version,
            counter: 0,
            created_at: now,
            last_used_at: now,
            expires_at: now.plus_seconds(self.refresh_lifetime).min(ends_at),
            ends_at,
            ended_at: None,
            ip: origin.source_ip.clone(),
            user_agent: origin.user_agent.chars().take(USER_AGENT_MAX).collect(),
            version: 1,
            change: Provenance {
                correlation_id: origin.correlation_id.clone(),
                actor: user.id.to_string(),
                reason: "login".to_owned(),
            },
            ttl: ends_at.seconds(),
        }
    }
}
