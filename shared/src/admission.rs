//! The way of a request to its handler: its caller is let in, its key is claimed, and no answer goes to a dead session.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join;

use crate::caller::{Access, Caller, Guard, SignedIn};
use crate::idempotency::{self, Answer, Claimed, Keys};
use crate::init::Init;
use crate::request::Request;
use crate::{Error, Result};

/// What it takes to let callers in that a guard `G` looks at.
pub struct Admission<G> {
    guard: G,
    keys: Option<Keys>,
}

impl Admission<Arc<Guard>> {
    /// For an endpoint whose methods let callers in themselves ([`ByMethod`](crate::caller::ByMethod)).
    pub fn by_method(init: &mut Init) -> Self {
        Self { guard: Guard::init(init), keys: Some(Keys::init(init)) }
    }
}

impl<G: Send + Sync> Admission<G> {
    /// For callers `C`, with `Idempotency-Key`s where `keyed`.
    pub(crate) fn of<C: Caller<Guard = G>>(init: &mut Init, keyed: bool) -> Self {
        let keyed = keyed && C::ACCESS != Access::ByMethod;
        Self { keys: keyed.then(|| Keys::init(init)), guard: C::guard(init) }
    }

    /// Lets the caller of `request` in and answers what `work` reads for it, if its session stands.
    pub async fn read<C, A, F>(&self, request: &Request, work: impl FnOnce(C) -> F + Send) -> Result<A>
    where
        C: Caller<Guard = G>,
        F: Future<Output = Result<A>> + Send,
    {
        let caller = C::admit(&self.guard, request).await?;
        let Some(session) = caller.session() else { return work(caller).await };
        let (stands, answer) = join(session.confirm(), work(caller)).await;
        stands.and(answer)
    }

    /// Lets the caller of `request` in and answers what `work` writes for it, through [`SignedIn::write`]: once under
    /// an `Idempotency-Key`.
    pub async fn write<C, A, F>(&self, request: &Request, work: impl FnOnce(C) -> F + Send) -> Result<A>
    where
        C: Caller<Guard = G>,
        A: Answer,
        F: Future<Output = Result<A>> + Send,
    {
        let caller = C::admit(&self.guard, request).await?;
        let Some(session) = caller.session() else { return work(caller).await };
        // What a visitor writes does not hold to its session, so that comes first.
        if C::ACCESS == Access::Visitor {
            session.confirm().await?;
        }
        let work = work(caller);
        match &self.keys {
            Some(keys) => once(keys, &session, request, work).await,
            None => {
                let answer = work.await;
                session.confirm().await.and(answer)
            }
        }
    }
}

/// Does the `work` of a request that may come with an `Idempotency-Key`.
async fn once<A: Answer>(
    keys: &Keys,
    session: &SignedIn,
    request: &Request,
    work: impl Future<Output = Result<A>> + Send,
) -> Result<A> {
    // What is said of a key is for those only who may still call.
    match keys.claim(session.user_id(), request).await {
        Ok(None) => {}
        Ok(Some(Claimed::Held(claim))) => drop(session.claim().set(claim)),
        Ok(Some(Claimed::Answered(kept))) => return session.confirm().await.and_then(|()| A::replay(&kept)),
        Err(error) => return session.confirm().await.and(Err(error)),
    }
    let answer = work.await;
    let answer = session.confirm().await.and(answer);
    let Some(claim) = session.claim().get() else { return answer };
    let warn = |error: &Error, what: &'static str| {
        tracing::warn!(requestId = request.origin().request_id, cause = error.cause(), "{what}");
    };
    let kept = match answer {
        Ok(answer) if claim.answered.load(Ordering::Relaxed) => return Ok(answer),
        Ok(answer) => answer,
        Err(error) if idempotency::is_kept(&error) => A::refusal(&error, request),
        Err(error) => {
            // The claim lapses by itself where this fails.
            if let Err(cause) = keys.give_back(claim).await {
                warn(&cause, "key not given back");
            }
            return Err(error);
        }
    };
    // What was done is done, and said.
    if let Err(cause) = keys.keep(claim, &kept).await {
        warn(&cause, "answer not kept");
    }
    Ok(kept)
}
