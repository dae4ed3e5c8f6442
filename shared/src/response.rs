//! What an HTTP function answers.

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use aws_lambda_events::encodings::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use lambda_http::aws_lambda_events;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Members;
use crate::request::Origin;
use crate::{Error, Request, precondition};

/// An HTTP response: status, headers and a body. It has no `Debug`: the body may hold tokens.
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
}

/// A problem document: RFC 9457's members, then ours.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    instance: &'a str,
    request_id: &'a str,
    #[serde(flatten)]
    members: Members<'a>,
}

impl<'a> Problem<'a> {
    /// What the sender of a request is told of an error.
    pub fn of(error: &'a Error, origin: &'a Origin) -> Self {
        let row = error.row();
        Self {
            kind: format!("urn:arcana:problem:{}", row.code.to_lowercase().replace('_', "-")),
            title: row.title,
            status: row.status.as_u16(),
            detail: error.detail(),
            code: row.code,
            instance: &origin.path,
            request_id: &origin.request_id,
            members: error.members(),
        }
    }
}

impl Response {
    /// A response without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Empty }
    }

    /// A JSON response.
    pub fn json(status: StatusCode, body: &impl Serialize) -> crate::Result<Self> {
        let body = serde_json::to_string(body).map_err(Error::internal)?;
        Ok(Self::empty(status).text("application/json", body))
    }

    /// The same response with this body.
    #[must_use]
    pub fn text(mut self, content_type: &'static str, body: String) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Body::Text(body);
        self
    }

    /// The same response with this header; one with control characters is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// A response that a library made: its body passes API Gateway in base64, unless it is JSON or base64 itself.
    pub fn from_http(response: http::Response<Vec<u8>>) -> Self {
        let (parts, body) = response.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        let texts = [&b"application/json"[..], b"application/grpc-web-text"];
        let body = match String::from_utf8(body) {
            Ok(text) if texts.iter().any(|kind| content_type.starts_with(kind)) => Body::Text(text),
            Ok(text) => Body::Binary(text.into_bytes()),
            Err(error) => Body::Binary(error.into_bytes()),
        };
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// The answer to a request that ended in an error.
    pub fn problem(error: &Error, origin: &Origin) -> Self {
        let body = serde_json::to_string(&Problem::of(error, origin)).unwrap_or_default();
        let mut response = Self::empty(error.row().status).text("application/problem+json", body);
        if let Some((name, value)) = error.header() {
            response = response.header(name, &value);
        }
        response
    }

    /// A JSON response with an entity tag, or 304 where whoever reads it has it already.
    pub fn tagged(request: &Request, version: u64, body: &impl Serialize) -> crate::Result<Self> {
        Self::tagged_as(request, &precondition::etag(version), body)
    }

    /// [`tagged`](Self::tagged) with an entity tag of its own.
    pub fn tagged_as(request: &Request, etag: &str, body: &impl Serialize) -> crate::Result<Self> {
        let reads = request.origin().method == Method::GET;
        if reads && precondition::not_modified(request.headers(), etag) {
            return Ok(Self::empty(StatusCode::NOT_MODIFIED).header(header::ETAG, etag));
        }
        Ok(Self::json(StatusCode::OK, body)?.header(header::ETAG, etag))
    }

    /// The same response with the entity tag of its body, or 304 where the sender of `request`, a GET, has it already.
    #[must_use]
    pub fn tagged_by_body(self, request: &Request) -> Self {
        let etag = precondition::etag_of(self.body_text().unwrap_or_default());
        if precondition::not_modified(request.headers(), &etag) {
            return Self::empty(StatusCode::NOT_MODIFIED).header(header::ETAG, &etag);
        }
        self.header(header::ETAG, &etag)
    }

    /// The value of a header, if it has it.
    pub(crate) fn header_text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, if it has one that is a text.
    pub fn body_text(&self) -> Option<&str> {
        if let Body::Text(text) = &self.body { Some(text) } else { None }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response in the form that API Gateway takes from a function, with the headers that every
    /// response carries.
    pub(crate) fn into_gateway(self, origin: &Origin) -> ApiGatewayV2httpResponse {
        let mut headers = self.headers;
        // A handler that wants its answer cached says so; nothing is cached by accident.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(id) = HeaderValue::from_str(&origin.request_id) {
            headers.insert("x-request-id", id);
        }
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = self.status.as_u16().into();
        response.headers = headers;
        response.is_base64_encoded = matches!(self.body, Body::Binary(_));
        response.body = (self.body != Body::Empty).then_some(self.body);
        response
    }
}
