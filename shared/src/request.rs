//! What an HTTP function is asked: an API Gateway HTTP API event (payload 2.0), parsed with care.

use std::str::FromStr;
use std::sync::Arc;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, header};
use lambda_http::request::LambdaRequest;
use lambda_http::{RequestExt as _, aws_lambda_events};

use crate::event::Provenance;
use crate::id::{FileId, ProductId, SessionId, UserId};
use crate::input::{Body, Input, Source, Texts};
use crate::precondition::IfMatch;
use crate::{Error, Result};

/// The largest JSON body, in bytes.
pub const MAX_BODY: usize = 256 * 1024;

/// A request as a handler sees it. A copy costs nothing.
#[derive(Clone)]
pub struct Request {
    http: Arc<lambda_http::Request>,
    origin: Arc<Origin>,
}

/// Where a request came from and what it is called: what logs, answers and events repeat.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// API Gateway's id of the request.
    pub request_id: String,
    /// The caller's `X-Correlation-Id`, or a new one: it follows the work into events and jobs.
    pub correlation_id: String,
    /// The route's key in the template, e.g. `POST /api/v1/auth/login`, with the `{method}` that is called.
    pub route: String,
    /// HTTP method.
    pub method: Method,
    /// The `Content-Type`, which may decide what an answer looks like.
    pub content_type: String,
    /// The path as API Gateway passes it on.
    pub path: String,
    /// The caller's address as API Gateway saw it.
    pub source_ip: String,
    /// The caller's `User-Agent`.
    pub user_agent: String,
}

impl Request {
    /// Splits an event into where it came from, which every event tells, and the request, which a
    /// malformed one does not have.
    pub(crate) fn parse(event: ApiGatewayV2httpRequest) -> (Origin, Result<Self>) {
        let origin = Origin::of(&event);
        let request = parse(event).map(|http| Self { http: http.into(), origin: origin.clone().into() });
        (origin, request)
    }

    /// Where the request came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its headers.
    pub fn headers(&self) -> &HeaderMap {
        self.http.headers()
    }

    /// The value of `{name}` in the route's path, percent-decoded by API Gateway.
    pub fn path_parameter(&self, name: &str) -> Option<String> {
        self.http.path_parameters_ref().and_then(|parameters| parameters.first(name)).map(ToOwned::to_owned)
    }

    /// The `{method}` in the route's path, if a method may be called so: up to 64 letters and digits.
    pub fn method_name(&self) -> Option<String> {
        self.path_parameter("method").filter(|name| is_method_name(name))
    }

    /// Its body, as it came.
    pub fn body(&self) -> &[u8] {
        self.http.body()
    }

    /// Which versions its sender is ready to change.
    pub fn if_match(&self) -> IfMatch {
        IfMatch::of(self.headers())
    }

    /// The id in the route's path; what is no id names nothing.
    fn id<T: FromStr>(&self, what: &'static str) -> Result<T> {
        let id = self.path_parameter("id").and_then(|id| id.parse().ok());
        id.ok_or(Error::NotFound(what))
    }

    /// The user that `{id}` in the route's path names; what is no id is nobody's.
    pub fn user_id(&self) -> Result<UserId> {
        self.id("User")
    }

    /// The session that `{id}` in the route's path names; what is no id is nobody's.
    pub fn session_id(&self) -> Result<SessionId> {
        self.id("Session")
    }

    /// The product that `{id}` in the route's path names; what is no id is none.
    pub fn product_id(&self) -> Result<ProductId> {
        self.id("Product")
    }

    /// The file that `{id}` in the route's path names; what is no id is none.
    pub fn file_id(&self) -> Result<FileId> {
        self.id("File")
    }

    /// The bearer token, if an `Authorization` header was sent (RFC 6750, section 2.1).
    ///
    /// A header of another scheme is an invalid token, never an anonymous request.
    pub fn bearer(&self) -> Result<Option<&str>> {
        let mut values = self.headers().get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let refused = || Error::InvalidAccessToken("not one bearer token");
        if values.next().is_some() {
            return Err(refused());
        }
        let (scheme, token) =
            value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(refused)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused());
        }
        Ok(Some(token.trim()))
    }

    /// Reads the query as `T`, with every fault in one error.
    pub fn query<T: Input>(&self) -> Result<T> {
        let parameters = self.http.query_string_parameters();
        let owned = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut parameters: Vec<(String, String)> = owned.collect();
        // They come out of a map: faults are told in the same order each time.
        parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
        T::read(Source::Texts(&Texts::new(parameters)))
    }

    /// Reads the body as `T`, with every fault in one error.
    pub fn json<T: Input>(&self) -> Result<T> {
        let bytes: &[u8] = self.http.body();
        if bytes.len() > MAX_BODY {
            return Err(Error::PayloadTooLarge(MAX_BODY));
        }
        // A missing body is the plainer fault than its missing content type.
        if !bytes.is_empty() && !self.is_json() {
            return Err(Error::UnsupportedMediaType("application/json"));
        }
        T::read(Source::Body(&Body::parse(bytes)?))
    }

    fn is_json(&self) -> bool {
        let essence = self.origin.content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    }
}

impl Origin {
    /// What the items that this request changes say of it.
    pub fn by(&self, actor: &(impl ToString + ?Sized), reason: &str) -> Provenance {
        Provenance {
            correlation_id: self.correlation_id.clone(),
            actor: actor.to_string(),
            reason: reason.to_owned(),
        }
    }

    fn of(event: &ApiGatewayV2httpRequest) -> Self {
        let context = &event.request_context;
        let header = |name: &str| event.headers.get(name).and_then(|value| value.to_str().ok());
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            request_id: text(&context.request_id),
            correlation_id: header("x-correlation-id")
                .filter(|id| is_correlation_id(id))
                .map_or_else(|| uuid::Uuid::now_v7().to_string(), ToOwned::to_owned),
            route: match event.path_parameters.get("method").filter(|name| is_method_name(name)) {
                Some(method) => text(&event.route_key).replace("{method}", method),
                None => text(&event.route_key),
            },
            method: context.http.method.clone(),
            content_type: header("content-type").unwrap_or_default().to_owned(),
            path: text(&event.raw_path),
            source_ip: text(&context.http.source_ip),
            user_agent: text(&context.http.user_agent),
        }
    }
}

/// Whether a method may be called so.
fn is_method_name(method: &str) -> bool {
    (1..=64).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether `id` may follow work into events, jobs and logs: 1 to 64 of `[A-Za-z0-9-]`.
pub(crate) fn is_correlation_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Turns the event into an `http::Request`.
///
/// `lambda_http` builds an absolute URI out of the `Host` and `X-Forwarded-Proto` headers, and decodes
/// base64, with `unwrap`: what it would panic on is taken away or refused first. No handler needs the
/// absolute URI.
fn parse(mut event: ApiGatewayV2httpRequest) -> Result<lambda_http::Request> {
    event.headers.remove(header::HOST);
    event.headers.remove("x-forwarded-proto");
    event.request_context.domain_name = None;
    // The stage would be put before the path of any stage but `$default`.
    event.request_context.stage = Some("$default".to_owned());

    // Handlers know the path from its route; API Gateway may have decoded it into something no URI is.
    event.raw_path = Some("/".to_owned());
    let query = event.raw_query_string.as_deref().unwrap_or_default();
    if format!("/?{query}").parse::<http::uri::PathAndQuery>().is_err() {
        return Err(Error::MalformedRequest("The query has characters that must be encoded"));
    }
    let body = event.body.as_deref().unwrap_or_default();
    if event.is_base64_encoded && STANDARD.decode(body).is_err() {
        return Err(Error::MalformedRequest("The body is not what its base64 encoding says"));
    }
    // The guards above know the panics of one version; this holds for the next one too.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| LambdaRequest::ApiGatewayV2(event).into()))
        .map_err(|_| Error::MalformedRequest("The request cannot be read"))
}
