//! The API's port: the API itself, and beside it what only a laptop has, under `/_local`.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /_local/mail` | the mails that were sent, oldest first |
//! | `GET /_local/events` | the events that went over the bus, oldest first |
//! | `POST /_local/clock {"advanceSeconds": n}` | moves the time that functions, tokens, TTL and schedules take for now |
//! | `POST /_local/invoke/{function}` | invokes a function with the body as its event |

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::bundle::Shared;

/// As many events as the bus remembers.
const EVENTS: usize = 10_000;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_local/mail", get(mail))
        .route("/_local/events", get(events))
        .route("/_local/clock", post(clock))
        .route("/_local/invoke/{function}", post(invoke))
        .route_layer(axum::middleware::from_fn(local_aws::loopback::only))
        .fallback(api)
        .with_state(shared)
}

async fn api(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    shared.gateway.answer(request, peer).await
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn said(status: StatusCode, message: impl std::fmt::Display) -> Response {
    json_response(status, &json!({"message": message.to_string()}))
}

async fn mail(State(shared): State<Arc<Shared>>) -> Response {
    let Some(cloud) = &shared.cloud else { return elsewhere() };
    match cloud.mail().list() {
        Ok(mails) => json_response(StatusCode::OK, &json!(mails)),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

async fn events(State(shared): State<Arc<Shared>>) -> Response {
    let Some(cloud) = &shared.cloud else { return elsewhere() };
    match cloud.bus().recent(EVENTS) {
        Ok(events) => json_response(StatusCode::OK, &json!(events)),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}

fn elsewhere() -> Response {
    said(StatusCode::NOT_IMPLEMENTED, "AWS_ENDPOINT_URL names another cloud: ask it")
}

async fn clock(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    if !shared.in_process {
        return said(StatusCode::NOT_IMPLEMENTED, "binaries go by the system's clock");
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    // A year is more than any schedule, token or time to live.
    match body["advanceSeconds"].as_i64() {
        Some(seconds @ 0..=31_536_000) => {
            let moved = match &shared.cloud {
                Some(cloud) => cloud.advance_clock(seconds * 1000).map_err(|error| error.to_string()),
                None => {
                    shared.clock.advance_ms(seconds * 1000);
                    Ok(())
                }
            };
            if let Err(error) = moved {
                return said(StatusCode::INTERNAL_SERVER_ERROR, error);
            }
            json_response(StatusCode::OK, &json!({"now": format!("{:.3}", shared.clock.now())}))
        }
        _ => {
            said(StatusCode::UNPROCESSABLE_ENTITY, "advanceSeconds must be a whole number from 0 to 31536000")
        }
    }
}

async fn invoke(State(shared): State<Arc<Shared>>, Path(name): Path<String>, body: String) -> Response {
    let Some(function) = shared.functions.get(&name) else {
        return said(StatusCode::NOT_FOUND, format!("there is no function {name}"));
    };
    match function.invoke(body).await {
        Ok(answer) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(error) => said(StatusCode::BAD_GATEWAY, error),
    }
}
