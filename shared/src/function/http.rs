//! Entry kind http: an API Gateway event in, an API Gateway response out, whatever happens between.

use std::sync::atomic::Ordering;
use std::time::Instant;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use futures_util::future::{BoxFuture, join};
use lambda_http::aws_lambda_events;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Call, Endpoint, Failure, Running, answer};
use crate::caller::{Access, Caller, SignedIn};
use crate::idempotency::{self, Claimed, Keys};
use crate::init::Init;
use crate::request::{Origin, Request};
use crate::response::Response;
use crate::{Error, Result};

/// An event of which only the envelope can be read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unreadable {
    #[serde(default)]
    raw_path: String,
    request_context: RequestContext,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: String,
}

impl Unreadable {
    fn origin(self) -> Origin {
        Origin { request_id: self.request_context.request_id, path: self.raw_path, ..Origin::default() }
    }
}

pub(super) struct Http<E: Endpoint> {
    endpoint: E,
    guard: <E::Caller as Caller>::Guard,
    keys: Option<Keys>,
}

impl<E: Endpoint> Http<E> {
    pub(super) fn new(init: &mut Init) -> Self {
        let keys = E::KEYED.then(|| Keys::init(init));
        Self { endpoint: E::init(init), guard: E::Caller::guard(init), keys }
    }

    async fn handle(&self, request: Result<Request>) -> Result<Response> {
        let request = request?;
        let caller = E::Caller::admit(&self.guard, &request).await?;
        let Some(session) = caller.session() else { return self.endpoint.handle(caller, request).await };
        if !E::WRITES {
            let (stands, answer) = join(session.confirm(), self.endpoint.handle(caller, request)).await;
            return stands.and(answer);
        }
        // What a visitor writes does not hold to its session, so that comes first.
        if E::Caller::ACCESS == Access::Visitor {
            session.confirm().await?;
        }
        match &self.keys {
            Some(keys) => self.handle_once(keys, caller, &session, request).await,
            None => {
                let answer = self.endpoint.handle(caller, request).await;
                session.confirm().await.and(answer)
            }
        }
    }

    /// Handles a request that may come with an `Idempotency-Key`.
    async fn handle_once(
        &self,
        keys: &Keys,
        caller: E::Caller,
        session: &SignedIn,
        request: Request,
    ) -> Result<Response> {
        // What is said of a key is for those only who may still call.
        match keys.claim(session.user_id(), &request).await {
            Ok(None) => {}
            Ok(Some(Claimed::Held(claim))) => drop(session.claim().set(claim)),
            Ok(Some(Claimed::Answered(response))) => return session.confirm().await.map(|()| response),
            Err(error) => return session.confirm().await.and(Err(error)),
        }
        let origin = request.origin().clone();
        let answer = self.endpoint.handle(caller, request).await;
        let answer = session.confirm().await.and(answer);
        let Some(claim) = session.claim().get() else { return answer };
        let kept = match answer {
            Ok(response) if claim.answered.load(Ordering::Relaxed) => return Ok(response),
            Ok(response) => response,
            Err(error) if idempotency::is_kept(&error) => Response::problem(&error, &origin),
            Err(error) => {
                // The claim lapses by itself where this fails.
                if let Err(cause) = keys.give_back(claim).await {
                    tracing::warn!(
                        requestId = origin.request_id,
                        cause = cause.cause(),
                        "key not given back"
                    );
                }
                return Err(error);
            }
        };
        // What was done is done, and said.
        if let Err(cause) = keys.keep(claim, &kept).await {
            tracing::warn!(requestId = origin.request_id, cause = cause.cause(), "answer not kept");
        }
        Ok(kept)
    }

    /// The endpoint's answer, or what stands for it when it panics or takes too long.
    async fn respond(&self, request: Result<Request>, origin: &Origin, call: Call<'_>) -> Response {
        call.bounded(self.handle(request)).await.unwrap_or_else(|error| {
            if error.row().status.is_server_error() {
                call.failed(&error);
            }
            Response::problem(&error, origin)
        })
    }
}

impl<E: Endpoint> Running for Http<E> {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Box<RawValue>, Failure>> {
        Box::pin(async move {
            let started = Instant::now();
            let (origin, request) = match call.parse::<ApiGatewayV2httpRequest>() {
                Ok(event) => Request::parse(event),
                // From API Gateway, but with a header or a method that is none.
                Err(failure) => match call.parse::<Unreadable>() {
                    Ok(event) => {
                        (event.origin(), Err(Error::MalformedRequest("A header or the method is malformed")))
                    }
                    Err(_) => return Err(failure),
                },
            };
            let response = self.respond(request, &origin, call).await;
            tracing::info!(
                function = call.function,
                requestId = origin.request_id,
                correlationId = origin.correlation_id,
                route = origin.route,
                status = response.status().as_u16(),
                durationMs = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "request"
            );
            answer(&response.into_gateway(&origin))
        })
    }
}
