//! Entry kind http: an API Gateway event in, an API Gateway response out, whatever happens between.

use std::time::Instant;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use futures_util::future::BoxFuture;
use lambda_http::aws_lambda_events;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Call, Endpoint, Failure, Running, answer};
use crate::admission::Admission;
use crate::caller::Caller;
use crate::init::Init;
use crate::log::OF_REQUEST;
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
    admission: Admission<<E::Caller as Caller>::Guard>,
}

impl<E: Endpoint> Http<E> {
    pub(super) fn new(init: &mut Init) -> Self {
        Self { endpoint: E::init(init), admission: Admission::of::<E::Caller>(init, E::KEYED) }
    }

    async fn handle(&self, request: &Request) -> Result<Response> {
        let work = |caller| self.endpoint.handle(caller, request);
        if E::WRITES {
            let answer = self.admission.write(request, work).await?;
            if answer.status().is_success() {
                self.endpoint.add_unkept(request, answer).await
            } else {
                Ok(answer)
            }
        } else {
            self.admission.read(request, work).await
        }
    }

    /// The endpoint's answer, or what stands for it when it panics or takes too long.
    async fn respond(&self, request: Result<Request>, origin: &Origin, call: Call<'_>) -> Response {
        match call.bounded(async { self.handle(&request?).await }).await {
            Ok(response) => response,
            Err(error) => {
                if error.row().status.is_server_error() {
                    call.failed(&error);
                }
                E::refuse(&error, origin).await
            }
        }
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
            let Origin { request_id, correlation_id, .. } = &origin;
            let response = self.respond(request, &origin, Call { request_id, correlation_id, ..call }).await;
            let took = started.elapsed();
            tracing::info!(
                function = call.function,
                requestId = origin.request_id,
                correlationId = origin.correlation_id,
                route = origin.route,
                status = response.status().as_u16(),
                durationMs = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                Latency = took.as_secs_f64() * 1000.0,
                Faults = u64::from(response.status().is_server_error()),
                metrics = OF_REQUEST,
                "request"
            );
            answer(&response.into_gateway(&origin))
        })
    }
}
