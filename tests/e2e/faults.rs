//! A cloud that fails as AWS does (transactions that meet others, replies that are lost) and says what it costs.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{self, Request};
use axum::response::Response;
use futures_util::stream;
use local::Options;
use local_aws::{Clock, Cloud, State};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::app::{TestApp, skipped};
use crate::gate::{Gate, Stop};

/// How often the cloud fails.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Of 100 transactions, how many are answered `TransactionConflict` and not made.
    pub(crate) conflicts: u64,
    /// Of 100 writes that were made, how many get no reply.
    pub(crate) cuts: u64,
}

/// What was done to the calls.
pub(crate) struct Done {
    /// The cloud itself.
    pub(crate) cloud: Cloud,
    /// Where a call can be stopped.
    pub(crate) gate: Gate,
    pub(crate) conflicts: AtomicU64,
    pub(crate) cuts: AtomicU64,
    calls: AtomicU64,
    /// What was read.
    reads: Mutex<Reads>,
}

/// Reads of DynamoDB, and what AWS would charge for them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reads {
    /// Calls of `GetItem`, `BatchGetItem` and `Query`.
    pub(crate) calls: u64,
    /// Read capacity units.
    pub(crate) units: f64,
}

impl Done {
    /// What was read since it was asked for last.
    pub(crate) fn take_reads(&self) -> Reads {
        std::mem::take(&mut self.reads.lock().unwrap())
    }

    fn add_read(&self, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap();
        let consumed = &answer["ConsumedCapacity"];
        let units = |table: &Value| table["CapacityUnits"].as_f64().unwrap();
        let units =
            consumed.as_array().map_or_else(|| units(consumed), |tables| tables.iter().map(units).sum());
        let mut reads = self.reads.lock().unwrap();
        reads.calls += 1;
        reads.units += units;
    }
}

struct Proxy {
    client: reqwest::Client,
    faults: Faults,
    done: Arc<Done>,
}

/// A bundle over a cloud that fails so, once the proxy is told to; `None` where the environment names another.
///
/// Functions that are `held` are invoked by no stream.
pub(crate) async fn start(faults: Faults, held: &[&str]) -> Option<(TestApp, Arc<Done>)> {
    start_with(State::Memory, faults, held).await
}

/// Like [`start`], over a cloud that keeps its state so.
pub(crate) async fn start_with(state: State, faults: Faults, held: &[&str]) -> Option<(TestApp, Arc<Done>)> {
    for variable in ["ARCANA_API_URL", "AWS_ENDPOINT_URL"] {
        if std::env::var_os(variable).is_some() {
            skipped(&format!("it needs a cloud of its own, and {variable} is set"));
            return None;
        }
    }
    let listen = async || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let cloud = Cloud::start(listen().await, &state, Clock::default()).await.unwrap();
    // The first test of the process does it for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = Arc::new(Done {
        cloud,
        gate: Gate::default(),
        conflicts: AtomicU64::default(),
        cuts: AtomicU64::default(),
        calls: AtomicU64::default(),
        reads: Mutex::default(),
    });
    let proxy = Proxy { client: reqwest::Client::new(), faults, done: Arc::clone(&done) };
    let router = Router::new().fallback(forward).with_state(Arc::new(proxy));
    let listener = listen().await;
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let held = held.iter().map(ToString::to_string).collect();
    let options = Options { aws_endpoint: Some(endpoint), held, ..Options::default() };
    Some((TestApp::try_boot(options).await.unwrap(), done))
}

/// Whether the `count`th of something is one of the `share` in 100 that fail: they are spread, and the same each time.
fn is_due(count: u64, share: u64) -> bool {
    (count * share) % 100 < share
}

async fn forward(
    extract::State(proxy): extract::State<Arc<Proxy>>,
    request: Request,
) -> Result<Response, Infallible> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
    let transaction = operation == "TransactWriteItems";
    let writes = transaction || matches!(operation.as_str(), "PutItem" | "UpdateItem");
    let count = if writes { proxy.done.calls.fetch_add(1, Ordering::Relaxed) } else { 0 };
    let (parts, body) = request.into_parts();
    let mut body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let reads = matches!(operation.as_str(), "GetItem" | "BatchGetItem" | "Query");
    if reads {
        let mut request: Value = serde_json::from_slice(&body).unwrap();
        request["ReturnConsumedCapacity"] = json!("TOTAL");
        body = request.to_string().into();
    }
    if transaction && is_due(count, proxy.faults.conflicts) {
        proxy.done.conflicts.fetch_add(1, Ordering::Relaxed);
        return Ok(conflict(&body));
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let stop = proxy.done.gate.meets(&operation, path, &body);
    if stop == Some(Stop::Before) {
        proxy.done.gate.wait().await;
    }
    let url = format!("{}{path}", proxy.done.cloud.endpoint());
    // The host is signed: it stays as it was.
    let mut headers = parts.headers;
    if reads {
        headers.remove(http::header::CONTENT_LENGTH);
    }
    let sent = proxy.client.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
    let (status, headers) = (sent.status(), sent.headers().clone());
    let body = sent.bytes().await.unwrap();
    if stop == Some(Stop::After) {
        proxy.done.gate.wait().await;
    }
    if reads && status.is_success() {
        proxy.done.add_read(&body);
    }
    let mut response = Response::new(Body::from(body));
    // Another count than for the conflicts, which are not made.
    if writes && is_due(count.wrapping_mul(7) + 3, proxy.faults.cuts) {
        proxy.done.cuts.fetch_add(1, Ordering::Relaxed);
        let cut = stream::once(async { Err::<Bytes, _>(io::Error::other("cut")) });
        response = Response::new(Body::from_stream(cut));
    }
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// What DynamoDB answers a transaction that meets another.
fn conflict(request: &Bytes) -> Response {
    let request: Value = serde_json::from_slice(request).unwrap();
    let items = request["TransactItems"].as_array().unwrap().len();
    let reason = |place: usize| {
        if place == 0 {
            json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"})
        } else {
            json!({"Code": "None"})
        }
    };
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
        "CancellationReasons": (0..items).map(reason).collect::<Vec<_>>(),
    });
    let response = Response::builder().status(400).header("content-type", "application/x-amz-json-1.0");
    response.body(Body::from(body.to_string())).unwrap()
}
