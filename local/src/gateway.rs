//! Plays API Gateway: an HTTP API with payload format 2.0, and native gRPC, which it does not have.
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>)

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::invoke::{Failed, Invoker};

mod cors;
mod grpc;
mod route;
mod throttle;

pub use cors::Cors;
pub use route::{Route, Routes};
pub use throttle::Throttle;

/// API Gateway's own limit of a request's body, in bytes.
const MAX_BODY: usize = 10 * 1024 * 1024;

/// Lambda's limits of what a function is given and what it answers, in bytes
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
/// How long API Gateway waits for a function
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).
const LONGEST: Duration = Duration::from_secs(30);
const MAX_EVENT: usize = 6 * 1024 * 1024;
const MAX_ANSWER: usize = MAX_EVENT + 100;

/// The log target of the line that each request leaves.
pub const REQUESTS: &str = "request";

/// The API: its routes, its CORS, and how often it may be called.
pub struct Gateway {
    routes: Routes<Arc<Invoker>>,
    cors: Cors,
    throttle: Throttle,
    clock: local_aws::Clock,
}

impl Gateway {
    /// An API with these routes.
    pub fn new(
        routes: Routes<Arc<Invoker>>,
        cors: Cors,
        throttle: Throttle,
        clock: local_aws::Clock,
    ) -> Self {
        Self { routes, cors, throttle, clock }
    }

    /// Answers a request as API Gateway would, and logs a line of it.
    pub async fn answer(&self, request: Request, peer: SocketAddr) -> Response {
        let started = Instant::now();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let request_headers = request.headers().clone();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let native = grpc::is_native(&request_headers);
        let request = if native { grpc::to_web(request) } else { request };
        let (mut response, function) = self.route(request, peer, &id).await;
        if native {
            response = grpc::to_native(response).await;
        }
        self.cors.apply(&method, &request_headers, response.headers_mut());
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(HeaderName::from_static("apigw-requestid"), value);
        }
        // The query may hold what somebody searched for: it is not logged.
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_secs_f64() * 1000.0);
        tracing::info!(target: REQUESTS, "{method:<7} {} {status} {ms:.1} ms {function}", uri.path());
        response
    }

    async fn route(&self, request: Request, peer: SocketAddr, id: &str) -> (Response, &str) {
        let Some((route, parameters, invoker)) = self.routes.find(request.method(), request.uri().path())
        else {
            return (own(StatusCode::NOT_FOUND, "Not Found"), "-");
        };
        if !self.throttle.lets(&route.key(), Instant::now()) {
            return (own(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"), "-");
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
            return (own(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"), "-");
        };
        let event = self.event(&parts, &body, route, &parameters, peer, id).to_string();
        if event.len() > MAX_EVENT {
            return (own(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"), &invoker.name);
        }
        let invoked = tokio::time::timeout(LONGEST, invoker.invoke(event)).await;
        let response = match invoked.unwrap_or(Err(Failed::Timeout(LONGEST))) {
            Ok(answer) if answer.len() > MAX_ANSWER => {
                tracing::error!(
                    function = invoker.name,
                    bytes = answer.len(),
                    "answered more than Lambda passes on"
                );
                own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
            Ok(answer) => respond(&answer).unwrap_or_else(|| {
                tracing::error!(function = invoker.name, "answered what is no response");
                own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }),
            Err(failed @ Failed::Timeout(_)) => {
                tracing::error!(function = invoker.name, %failed, "no answer");
                own(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Err(failed) => {
                tracing::error!(function = invoker.name, %failed, "no answer");
                own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        };
        (response, &invoker.name)
    }

    fn event(
        &self,
        parts: &http::request::Parts,
        body: &[u8],
        route: &Route,
        parameters: &BTreeMap<String, String>,
        peer: SocketAddr,
        id: &str,
    ) -> Value {
        let now = self.clock.now_ms();
        let (headers, cookies) = headers(&parts.headers);
        let text = |name: HeaderName| headers.get(name.as_str()).and_then(Value::as_str).unwrap_or_default();
        let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
        let query = parts.uri.query().unwrap_or_default();
        let host = text(header::HOST).to_owned();
        let mut event = json!({
            "version": "2.0",
            "routeKey": route.key(),
            "rawPath": path,
            "rawQueryString": query,
            "requestContext": {
                "accountId": local_aws::ACCOUNT,
                "apiId": "local",
                "domainName": host,
                "domainPrefix": "local",
                "http": {
                    "method": parts.method.as_str(),
                    "path": path,
                    "protocol": format!("{:?}", parts.version),
                    "sourceIp": peer.ip().to_string(),
                    "userAgent": text(header::USER_AGENT),
                },
                "requestId": id,
                "routeKey": route.key(),
                "stage": "$default",
                "time": jiff::Timestamp::from_millisecond(now).map(|t| t.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()).unwrap_or_default(),
                "timeEpoch": now,
            },
            "isBase64Encoded": false,
        });
        if !query.is_empty() {
            event["queryStringParameters"] = parameters_of(query);
        }
        if !parameters.is_empty() {
            event["pathParameters"] = json!(parameters);
        }
        if !cookies.is_empty() {
            event["cookies"] = json!(cookies);
        }
        if !body.is_empty() {
            match std::str::from_utf8(body).ok().filter(|_| is_text(text(header::CONTENT_TYPE))) {
                Some(text) => event["body"] = json!(text),
                None => {
                    event["body"] = json!(STANDARD.encode(body));
                    event["isBase64Encoded"] = json!(true);
                }
            }
        }
        event["headers"] = Value::Object(headers);
        event
    }
}

/// What API Gateway says without a function.
fn own(status: StatusCode, message: &str) -> Response {
    let body = Body::from(json!({"message": message}).to_string());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Headers in lower case, those of one name joined by commas; cookies stand apart.
fn headers(all: &HeaderMap) -> (Map<String, Value>, Vec<String>) {
    let mut joined: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in all {
        joined.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let cookies = joined.remove("cookie").unwrap_or_default();
    let cookies = cookies.iter().flat_map(|line| line.split("; ")).map(ToOwned::to_owned).collect();
    (joined.into_iter().map(|(name, values)| (name.to_owned(), json!(values.join(",")))).collect(), cookies)
}

/// Query parameters, decoded, those of one name joined by commas.
fn parameters_of(query: &str) -> Value {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut joined: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        joined.entry(decode(name)).or_default().push(decode(value));
    }
    joined.into_iter().map(|(name, values)| (name, json!(values.join(",")))).collect::<Map<_, _>>().into()
}

/// Whether a body of this content type reaches a function as it is rather than as base64.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || matches!(essence.as_str(), "application/json" | "application/javascript" | "application/xml")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

/// The HTTP response that a function's answer describes.
fn respond(answer: &str) -> Option<Response> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let status = u16::try_from(answer["statusCode"].as_u64()?).ok()?;
    let text = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true { STANDARD.decode(text).ok()? } else { text.into() };
    let mut response = Response::builder().status(status).body(Body::from(body)).ok()?;
    for (name, value) in answer["headers"].as_object()? {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        response.headers_mut().insert(name, HeaderValue::try_from(value.as_str()?).ok()?);
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, HeaderValue::try_from(cookie.as_str()?).ok()?);
    }
    Some(response)
}

/// Whether `method` is a preflight's.
fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}
