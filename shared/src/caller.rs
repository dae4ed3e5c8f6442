//! Who may call an endpoint.
//!
//! An endpoint names its [`Caller`] type; the runtime lets the caller in and hands it over, so no
//! handler can forget to ask.
//!
//! A token that is well signed may belong to a session that has ended, which only the database knows. An
//! endpoint that reads works while the runtime looks, and its answer is withheld until the session is known to
//! stand. One that writes takes the session's and the user's state along as conditions of its own transaction
//! ([`SignedIn::write`]); if it wrote nothing, the runtime looks before it answers. Either way no answer goes to
//! a dead session, without a round trip of its own.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::Client;
use tokio::sync::OnceCell;

use crate::clock::Clock;
use crate::id::{SessionId, UserId};
use crate::idempotency::{Answer, Claim};
use crate::init::Init;
use crate::request::Request;
use crate::sessions::Sessions;
use crate::time::Timestamp;
use crate::token::{Claims, Verifier};
use crate::transaction::{self, Condition, Item, Step, Written};
use crate::users::{Role, User, Users};
use crate::{Error, Result};

/// Whom an endpoint lets in: what the template's view is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody; an `Authorization` header is not looked at.
    Anyone,
    /// Everybody; an `Authorization` header must be right if it is there.
    Visitor,
    /// Whoever has a live session.
    SignedIn,
    /// Whoever has a live session and the role `admin`.
    Admin,
    /// Whom the method lets in that is called: for what has several.
    ByMethod,
}

/// A kind of caller and how it is let in.
pub trait Caller: Sized + Send + 'static {
    /// Whom this lets in.
    const ACCESS: Access;
    /// What it takes to decide.
    type Guard: Send + Sync + 'static;

    /// Takes what it takes to decide.
    fn guard(init: &mut Init) -> Self::Guard;

    /// Lets the caller of `request` in, or refuses. Whether its session stands is still to be seen.
    fn admit(guard: &Self::Guard, request: &Request) -> impl Future<Output = Result<Self>> + Send;

    /// The session that is still to be looked at.
    fn session(&self) -> Option<SignedIn>;
}

/// Everybody, unasked: for what touches no data (health, the public keys, the fallback).
pub struct Anyone;

/// Everybody, for an endpoint of several methods, each of which lets callers in by [`Admission`](crate::admission::Admission).
pub struct ByMethod;

/// Everybody, but a token that is sent must be a good one: a bad token is refused, never anonymous.
pub struct Visitor(pub Option<SignedIn>);

/// A user with a session. It has no `Debug`.
#[derive(Clone)]
pub struct SignedIn {
    guard: Arc<Guard>,
    claims: Arc<Claims>,
    now: Timestamp,
    read: Arc<OnceCell<User>>,
    held: Arc<AtomicBool>,
    claim: Arc<OnceLock<Claim>>,
}

/// A user with a session and the role `admin`.
pub struct Admin(pub SignedIn);

/// Checks access tokens and their sessions.
pub struct Guard {
    verifier: Verifier,
    users: Users,
    sessions: Sessions,
    client: Client,
    clock: Clock,
}

impl Guard {
    pub(crate) fn init(init: &mut Init) -> Arc<Self> {
        Arc::new(Self {
            verifier: Verifier::init(init),
            users: Users::init(init),
            sessions: Sessions::init(init),
            client: init.dynamodb(),
            clock: init.clock(),
        })
    }
}

impl SignedIn {
    fn admit(guard: &Arc<Guard>, token: &str) -> Result<Self> {
        let now = guard.clock.now();
        let claims = guard.verifier.verify(token, now)?;
        Ok(Self {
            guard: Arc::clone(guard),
            claims: Arc::new(claims),
            now,
            read: Arc::default(),
            held: Arc::default(),
            claim: Arc::default(),
        })
    }

    /// Who calls.
    pub fn user_id(&self) -> UserId {
        self.claims.sub
    }

    /// From which session.
    pub fn session_id(&self) -> SessionId {
        self.claims.sid
    }

    /// The user's number when the session began.
    pub fn auth_version(&self) -> u64 {
        self.claims.auth_version
    }

    /// The caller's account, if the session stands: read with it, once for a request, strongly consistent, in
    /// one round trip.
    pub async fn user(&self) -> Result<&User> {
        self.read.get_or_try_init(|| self.user_now()).await
    }

    /// The caller's account as it is now, if the session stands: for what is read, changed and written.
    pub async fn user_now(&self) -> Result<User> {
        let Guard { sessions, users, .. } = &*self.guard;
        match sessions.with_user(users, self.user_id(), self.session_id()).await? {
            Some((session, user)) if session.is_alive(&user, self.now) => Ok(user),
            _ => Err(Error::InvalidAccessToken("its session has ended")),
        }
    }

    /// Writes `steps` in one transaction that holds only while the session stands. A step about the caller's own
    /// user or session takes the condition along.
    ///
    /// A step that was refused is the error that it says, but [`Error::InvalidAccessToken`] comes before it.
    ///
    /// Of a request that is repeated under its `Idempotency-Key` and has been written before, nothing is written.
    pub async fn write(&self, steps: Vec<Step>) -> Result<()> {
        self.write_once(steps, None).await
    }

    /// [`write`](Self::write) where it is known by then what will be answered: it is kept in the same transaction
    /// for repetitions of the request.
    pub async fn write_and_answer<A: Answer>(&self, steps: Vec<Step>, answer: A) -> Result<A> {
        let kept = self.claim.get().map(|_| answer.keep()).transpose()?;
        self.write_once(steps, kept).await.map(|()| answer)
    }

    async fn write_once(&self, mut steps: Vec<Step>, answer: Option<String>) -> Result<()> {
        let answers = answer.is_some();
        let token = match self.claim.get() {
            Some(claim) if claim.done => return Ok(()),
            Some(claim) => {
                steps.push(claim.effect(answer));
                claim.next_token()
            }
            None => uuid::Uuid::now_v7(),
        };
        let Guard { sessions, users, client, .. } = &*self.guard;
        let (user, session) = (self.user_id(), self.session_id());
        hold(&mut steps, users.table(), Users::key(user), Users::may_log_in(self.auth_version()));
        hold(
            &mut steps,
            sessions.table(),
            Sessions::key(user, session),
            Sessions::stands(self.now, ":callerNow"),
        );
        match transaction::write_as(client, token, steps).await? {
            Written::Committed => {
                self.held.store(true, Ordering::Relaxed);
                if let Some(claim) = self.claim.get() {
                    claim.answered.store(answers, Ordering::Relaxed);
                }
                Ok(())
            }
            Written::Refused(refused) => {
                self.user_now().await?;
                self.held.store(true, Ordering::Relaxed);
                Err(refused)
            }
        }
    }

    /// Whether the request has an `Idempotency-Key`, and its effect is not there yet.
    pub fn is_keyed(&self) -> bool {
        self.claim.get().is_some_and(|claim| !claim.done)
    }

    /// Whether this repeats a request under its `Idempotency-Key` whose effect is there, and only its answer is missing.
    pub fn repeats(&self) -> bool {
        self.claim.get().is_some_and(|claim| claim.done)
    }

    /// Whether its token says that it is an admin: true for as long as its session stands.
    pub fn is_admin(&self) -> bool {
        self.claims.roles.contains(&Role::Admin)
    }

    /// The claim of the request's `Idempotency-Key`, which its transaction takes along.
    pub(crate) fn claim(&self) -> &OnceLock<Claim> {
        &self.claim
    }

    /// Sees to it that the session stands, unless a transaction has held to it.
    pub(crate) async fn confirm(&self) -> Result<()> {
        if self.held.load(Ordering::Relaxed) { Ok(()) } else { self.user().await.map(drop) }
    }
}

/// Adds a condition to the step about an item, or a check where there is no such step.
fn hold(steps: &mut Vec<Step>, table: &str, key: Item, condition: Condition) {
    match steps.iter_mut().find(|step| step.is_about(table, &key)) {
        Some(step) => step.require(condition),
        None => steps.push(Step::check(table, key, condition)),
    }
}

impl Caller for Anyone {
    const ACCESS: Access = Access::Anyone;
    type Guard = ();

    fn guard(_: &mut Init) {}

    async fn admit((): &(), _: &Request) -> Result<Self> {
        Ok(Self)
    }

    fn session(&self) -> Option<SignedIn> {
        None
    }
}

impl Caller for ByMethod {
    const ACCESS: Access = Access::ByMethod;
    type Guard = ();

    fn guard(_: &mut Init) {}

    async fn admit((): &(), _: &Request) -> Result<Self> {
        Ok(Self)
    }

    fn session(&self) -> Option<SignedIn> {
        None
    }
}

impl Visitor {
    /// Whether it is an admin who asks.
    pub fn is_admin(&self) -> bool {
        self.0.as_ref().is_some_and(SignedIn::is_admin)
    }
}

impl Caller for Visitor {
    const ACCESS: Access = Access::Visitor;
    type Guard = Arc<Guard>;

    fn guard(init: &mut Init) -> Arc<Guard> {
        Guard::init(init)
    }

    async fn admit(guard: &Arc<Guard>, request: &Request) -> Result<Self> {
        let token = request.bearer()?;
        token.map(|token| SignedIn::admit(guard, token)).transpose().map(Self)
    }

    fn session(&self) -> Option<SignedIn> {
        self.0.clone()
    }
}

impl Caller for SignedIn {
    const ACCESS: Access = Access::SignedIn;
    type Guard = Arc<Guard>;

    fn guard(init: &mut Init) -> Arc<Guard> {
        Guard::init(init)
    }

    async fn admit(guard: &Arc<Guard>, request: &Request) -> Result<Self> {
        SignedIn::admit(guard, request.bearer()?.ok_or(Error::Unauthenticated)?)
    }

    fn session(&self) -> Option<SignedIn> {
        Some(self.clone())
    }
}

impl Caller for Admin {
    const ACCESS: Access = Access::Admin;
    type Guard = Arc<Guard>;

    fn guard(init: &mut Init) -> Arc<Guard> {
        Guard::init(init)
    }

    async fn admit(guard: &Arc<Guard>, request: &Request) -> Result<Self> {
        let caller = <SignedIn as Caller>::admit(guard, request).await?;
        // The token's roles are the user's for as long as the session stands: a change of roles ends it.
        if !caller.is_admin() {
            caller.confirm().await?;
            return Err(Error::Forbidden);
        }
        Ok(Self(caller))
    }

    fn session(&self) -> Option<SignedIn> {
        Some(self.0.clone())
    }
}
