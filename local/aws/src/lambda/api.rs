//! The Runtime API over HTTP: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
//!
//! Each process has a path of its own, with an unguessable id, so that one process
//! cannot answer for another.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::{Bytes, BytesMut};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::lambda::session::{Answer, Refusal, Session};
use crate::lambda::spawner::Spawner;

/// The largest answer: 6 MiB and the little that AWS allows on top.
pub(crate) const MAX_ANSWER: usize = 6 * 1024 * 1024 + 100;
const _: () = assert!(MAX_ANSWER == 6_291_556, "the refusal's message has it in words");

/// The Runtime API endpoint on a loopback port. Clones are the same endpoint, which
/// lives as long as the last of them and of the pools that use it.
#[derive(Clone)]
pub struct RuntimeApi {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    sessions: Sessions,
    server: JoinHandle<()>,
    spawner: Spawner,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl RuntimeApi {
    /// Starts to serve on a free port of the loopback interface.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let listener = crate::loopback::undelayed(listener);
        let spawner = Spawner::start()?;
        let sessions = Sessions::default();
        let router = router(sessions.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the Runtime API stopped");
            }
        });
        Ok(Self { shared: Arc::new(Shared { address, sessions, server, spawner }) })
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.shared.spawner
    }

    /// Opens a path for a new process.
    pub(crate) fn register(&self) -> Registration {
        let id = Uuid::new_v4().simple().to_string();
        let session = Arc::new(Session::new());
        let sessions = self.shared.sessions.clone();
        sessions.lock().insert(id.clone(), Arc::clone(&session));
        // Without the scheme, lambda_runtime_api_client does not take a path.
        let url = format!("http://{}/{id}", self.shared.address);
        Registration { id, url, session, sessions }
    }
}

/// The path of one process, which closes when this is dropped.
pub(crate) struct Registration {
    id: String,
    /// What `AWS_LAMBDA_RUNTIME_API` says.
    pub(crate) url: String,
    pub(crate) session: Arc<Session>,
    sessions: Sessions,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.id);
    }
}

/// The processes by the id in their path.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<HashMap<String, Arc<Session>>>>);

impl Sessions {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, process: &str) -> Result<Arc<Session>, Refusal> {
        self.lock().get(process).cloned().ok_or(Refusal::UnknownProcess)
    }
}

fn router(sessions: Sessions) -> Router {
    Router::new()
        .route("/{process}/2018-06-01/runtime/invocation/next", get(next))
        .route("/{process}/2018-06-01/runtime/invocation/{request_id}/response", post(response))
        .route("/{process}/2018-06-01/runtime/invocation/{request_id}/error", post(error))
        .route("/{process}/2018-06-01/runtime/init/error", post(init_error))
        .with_state(sessions)
}

async fn next(State(sessions): State<Sessions>, Path(process): Path<String>) -> Result<Response, Refusal> {
    let event = sessions.find(&process)?.ask()?;
    // The sender is gone when the process asked again or is about to be killed.
    let event = event.await.map_err(|_| Refusal::OutOfTurn)?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((event.headers, json, event.payload).into_response())
}

async fn response(
    State(sessions): State<Sessions>,
    Path((process, request_id)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Refusal> {
    let session = sessions.find(&process)?;
    match read(body).await? {
        Some(body) => accept(session.answer(&request_id, Answer::Response(body))),
        None => too_large(&session, &request_id),
    }
}

async fn error(
    State(sessions): State<Sessions>,
    Path((process, request_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let session = sessions.find(&process)?;
    match read(body).await? {
        Some(body) => accept(session.answer(&request_id, Answer::Error(report(&headers, body)))),
        None => too_large(&session, &request_id),
    }
}

async fn init_error(
    State(sessions): State<Sessions>,
    Path(process): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let session = sessions.find(&process)?;
    let body = read(body).await?.unwrap_or_default();
    accept(session.fail_init(report(&headers, body)))
}

/// The whole body, or nothing if it is too large. What is beyond the limit is read
/// and thrown away: a client cut off while it writes would not see our status.
async fn read(mut body: Body) -> Result<Option<Bytes>, Refusal> {
    let mut read = BytesMut::new();
    let mut fits = true;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Refusal::Incomplete)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        fits = fits && read.len() + data.len() <= MAX_ANSWER;
        if fits {
            read.extend_from_slice(&data);
        }
    }
    Ok(fits.then(|| read.freeze()))
}

/// An error report as JSON, even from a process that sent something else.
fn report(headers: &HeaderMap, body: Bytes) -> Bytes {
    if serde_json::from_slice::<serde_json::Value>(&body).is_ok() {
        return body;
    }
    let error_type = headers
        .get("lambda-runtime-function-error-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("Runtime.Unknown");
    let report = serde_json::json!({
        "errorType": error_type,
        "errorMessage": String::from_utf8_lossy(&body),
    });
    Bytes::from(report.to_string())
}

fn too_large(session: &Session, request_id: &str) -> Result<Response, Refusal> {
    session.answer(request_id, Answer::TooLarge)?;
    Err(Refusal::TooLarge)
}

fn accept(taken: Result<(), Refusal>) -> Result<Response, Refusal> {
    taken?;
    Ok(json(StatusCode::ACCEPTED, &serde_json::json!({ "status": "OK" })))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error_type, message) = match self {
            Self::UnknownProcess => (StatusCode::FORBIDDEN, "Forbidden", "No such process"),
            Self::OutOfTurn => (StatusCode::FORBIDDEN, "InvalidStateTransition", "Request out of turn"),
            Self::WrongRequestId => (StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                "Exceeded maximum allowed payload size (6291556 bytes).",
            ),
            Self::Incomplete => (StatusCode::BAD_REQUEST, "InvalidRequest", "Incomplete body"),
        };
        json(status, &serde_json::json!({ "errorType": error_type, "errorMessage": message }))
    }
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
