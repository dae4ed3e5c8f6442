//! Who may call an endpoint.
//!
//! An endpoint names its [`Caller`] type; the runtime lets the caller in and hands it over, so no
//! handler can forget to ask.

use std::future::Future;

use crate::init::Init;
use crate::request::Request;
use crate::sessions::{Session, Sessions};
use crate::time::Timestamp;
use crate::token::Verifier;
use crate::users::{User, Users};
use crate::{Error, Result};

/// Whom an endpoint lets in: what the template's and the API document's view is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody; an `Authorization` header is not looked at.
    Anyone,
    /// Everybody; an `Authorization` header must be right if it is there.
    Visitor,
    /// Whoever has a live session.
    SignedIn,
}

/// A kind of caller and how it is let in.
pub trait Caller: Sized + Send + 'static {
    /// Whom this lets in.
    const ACCESS: Access;
    /// What it takes to decide.
    type Guard: Send + Sync + 'static;

    /// Takes what it takes to decide.
    fn guard(init: &mut Init) -> Self::Guard;

    /// Lets the caller of `request` in, or refuses.
    fn admit(
        guard: &Self::Guard,
        request: &Request,
        now: Timestamp,
    ) -> impl Future<Output = Result<Self>> + Send;
}

/// Everybody, unasked: for what touches no data (health, the public keys, the fallback).
pub struct Anyone;

/// Everybody, but a token that is sent must be a good one: a bad token is refused, never anonymous.
pub struct Visitor(pub Option<SignedIn>);

/// A user with a live session. It has no `Debug`.
pub struct SignedIn {
    /// The account, as it was read for this request.
    pub user: User,
    /// The session that the access token belongs to.
    pub session: Session,
}

/// Checks an access token and its session.
pub struct SessionGuard {
    verifier: Verifier,
    users: Users,
    sessions: Sessions,
}

impl SessionGuard {
    fn init(init: &mut Init) -> Self {
        Self { verifier: Verifier::init(init), users: Users::init(init), sessions: Sessions::init(init) }
    }

    async fn check(&self, token: &str, now: Timestamp) -> Result<SignedIn> {
        let claims = self.verifier.verify(token, now)?;
        match self.sessions.with_user(&self.users, claims.sub, claims.sid).await? {
            Some((session, user)) if session.is_alive(&user, now) => Ok(SignedIn { user, session }),
            _ => Err(Error::InvalidAccessToken("its session has ended")),
        }
    }
}

impl Caller for Anyone {
    const ACCESS: Access = Access::Anyone;
    type Guard = ();

    fn guard(_: &mut Init) {}

    async fn admit((): &(), _: &Request, _: Timestamp) -> Result<Self> {
        Ok(Self)
    }
}

impl Caller for Visitor {
    const ACCESS: Access = Access::Visitor;
    type Guard = SessionGuard;

    fn guard(init: &mut Init) -> SessionGuard {
        SessionGuard::init(init)
    }

    async fn admit(guard: &SessionGuard, request: &Request, now: Timestamp) -> Result<Self> {
        match request.bearer()? {
            Some(token) => Ok(Self(Some(guard.check(token, now).await?))),
            None => Ok(Self(None)),
        }
    }
}

impl Caller for SignedIn {
    const ACCESS: Access = Access::SignedIn;
    type Guard = SessionGuard;

    fn guard(init: &mut Init) -> SessionGuard {
        SessionGuard::init(init)
    }

    async fn admit(guard: &SessionGuard, request: &Request, now: Timestamp) -> Result<Self> {
        guard.check(request.bearer()?.ok_or(Error::Unauthenticated)?, now).await
    }
}
