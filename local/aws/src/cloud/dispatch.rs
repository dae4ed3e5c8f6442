//! Finds the service that a request is for, and holds its caller to their rights.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::Services;
use crate::iam::{self, Caller, Need};
use crate::{AwsError, Protocol, Reply};

/// The largest request that any service takes: an object of S3 in one PUT is streamed and has no bound.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Finds the service that a request is for, as its protocol tells.
pub(super) async fn dispatch(Shared(services): Shared<Arc<Services>>, request: Request) -> Response {
    let target =
        request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    match target.as_deref().and_then(|target| target.split_once('.')) {
        Some(("DynamoDB_20120810" | "DynamoDBStreams_20120810", action)) => {
            services.dynamodb(request, action).await
        }
        Some(("AmazonSQS", action)) => {
            let reply = match services.authorized(request, |input| iam::needs::sqs(action, input)).await {
                Ok(input) => services.sqs.handle(action, input).await,
                Err(error) => Err(error.of_sqs()),
            };
            Protocol::Json10.respond(reply)
        }
        Some(("AWSEvents", action)) => {
            let reply = match services.authorized(request, |input| iam::needs::events(action, input)).await {
                Ok(input) => services.bus.handle(action, input).await,
                Err(error) => Err(error),
            };
            // Queues that the events went to are told of them now that they are committed.
            services.sqs.wake();
            Protocol::Json11.respond(reply)
        }
        Some(("secretsmanager", action)) => {
            let arn_of = |id: &str| services.secrets.arn_of(id);
            let needs = |input: &Value| iam::needs::secrets(action, input, arn_of);
            let reply = match services.authorized(request, needs).await {
                Ok(input) => services.secrets.handle(action, input).await,
                Err(error) => Err(error),
            };
            Protocol::Json11.respond(reply)
        }
        Some((service, _)) => Protocol::Json11.respond(Err(AwsError::client(
            "UnknownOperationException",
            format!("{service} is not emulated"),
        ))),
        None if request.uri().path() == "/v2/email/outbound-emails"
            && request.method() == http::Method::POST =>
        {
            let input = services.authorized(request, iam::needs::send_email).await;
            let reply = input.map_err(|error| match error.code.as_str() {
                "SerializationException" | "RequestEntityTooLarge" => error,
                _ => AwsError { status: 403, ..error },
            });
            Protocol::RestJson.respond(reply.and_then(|input| services.mail.handle_send(input)))
        }
        None if request.uri().path() == "/"
            && request.method() == http::Method::GET
            && !is_signed(&request) =>
        {
            services.to_dynamodb(request).await
        }
        None => services.object(request).await,
    }
}

/// Whether a DynamoDB operation may put records into a stream.
fn writes(action: &str) -> bool {
    matches!(
        action,
        "PutItem"
            | "UpdateItem"
            | "DeleteItem"
            | "BatchWriteItem"
            | "TransactWriteItems"
            | "ExecuteStatement"
            | "BatchExecuteStatement"
            | "ExecuteTransaction"
    )
}

fn is_signed(request: &Request) -> bool {
    request.headers().contains_key(header::AUTHORIZATION)
}

/// The access key id of a signed request, and the region that it is for
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>).
fn credential(headers: &HeaderMap) -> Option<(&str, Option<&str>)> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    let mut parts = credential.split('/');
    Some((parts.next()?, parts.nth(1)))
}

async fn body(request: Request) -> Result<Bytes, AwsError> {
    axum::body::to_bytes(request.into_body(), MAX_BODY)
        .await
        .map_err(|error| AwsError::client("RequestEntityTooLarge", error.to_string()))
}

fn json(body: &[u8]) -> Result<Value, AwsError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| AwsError::client("SerializationException", error.to_string()))
}

impl Services {
    /// Whoever signed a request. What it was signed with is not looked at: whoever reaches this port could read it anyhow.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, AwsError> {
        let Some((id, region)) = credential(headers) else {
            return Err(AwsError::client(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            ));
        };
        if region.is_some_and(|region| region != crate::REGION) {
            let message =
                format!("Credential should be scoped to a valid region: there is {} alone", crate::REGION);
            return Err(AwsError::client("InvalidSignatureException", message));
        }
        let token = headers.get("x-amz-security-token").and_then(|token| token.to_str().ok());
        self.iam.caller(id, token).ok_or_else(|| {
            AwsError::client(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        })
    }

    /// The JSON of a request whose caller may make it.
    async fn authorized(
        &self,
        request: Request,
        needs: impl FnOnce(&Value) -> Vec<Need>,
    ) -> Result<Value, AwsError> {
        let caller = self.caller(request.headers())?;
        let input = json(&body(request).await?)?;
        self.iam.authorize(&caller, &needs(&input))?;
        Ok(input)
    }

    async fn dynamodb(&self, request: Request, action: &str) -> Response {
        let authorized = async {
            let caller = self.caller(request.headers())?;
            let (parts, body_of) = request.into_parts();
            let bytes = body(Request::new(body_of)).await?;
            if let Caller::Role(_) = caller {
                self.iam.authorize(&caller, &iam::needs::dynamodb(action, &json(&bytes)?))?;
            }
            Ok::<_, AwsError>(Request::from_parts(parts, Body::from(bytes)))
        };
        let request = match authorized.await {
            Ok(request) => request,
            Err(error) => return Protocol::Json10.respond(Err(error)),
        };
        let response = self.to_dynamodb(request).await;
        if writes(action) {
            self.written.notify_waiters();
        }
        response
    }

    async fn to_dynamodb(&self, mut request: Request) -> Response {
        let uri = format!("http://{}/", self.dynamodb);
        *request.uri_mut() = uri.parse().expect("an address makes a URI");
        match self.http.request(request).await {
            Ok(response) => response.map(Body::new),
            Err(error) => Protocol::Json10.respond(unavailable("DynamoDB", error)),
        }
    }

    async fn object(&self, request: Request) -> Response {
        match self.s3.answer(request).await {
            Ok(response) => {
                // Queues that were told of an object hear it now that it is committed.
                self.sqs.wake();
                response
            }
            Err(error) => {
                let mut response = Protocol::Json10.respond(unavailable("S3", error));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }
}

fn unavailable(service: &str, error: impl std::fmt::Display) -> Reply {
    tracing::error!(service, %error, "failed");
    Err(AwsError { status: 500, ..AwsError::client("InternalServerError", format!("{service} failed")) })
}
