//! A cloud that fails as AWS does (transactions that meet others, replies that are lost) and says what it costs.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{self, Request};
use axum::response::Response;
use futures_util::stream;
use local::Options;
use local_aws::{Clock, Cloud, State};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::app::{TestApp, client, may_have_a_cloud};
use crate::gate::{Gate, Stop};
use crate::repeats::Repeats;

/// How often the cloud fails.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Of 100 transactions, how many are answered `TransactionConflict` and not made.
    pub(crate) conflicts: u64,
    /// Of 100 writes that were made, how many get no reply.
    pub(crate) cuts: u64,
    /// Of 100 entries of `PutEvents`, how many the bus refuses.
    pub(crate) refusals: u64,
    /// Of 100 calls of DynamoDB, how many are throttled.
    pub(crate) throttles: u64,
    /// Of 100 calls of DynamoDB, how many are answered after [`SPIKE`] only.
    pub(crate) spikes: u64,
    /// Milliseconds from one mail that SES takes to the next: any sooner is too many.
    pub(crate) mail_gap_ms: u64,
    /// Whether messages of queues are delivered five times, in any order, and records of streams as often, in theirs.
    pub(crate) repeats: bool,
    /// Milliseconds that each call of DynamoDB is answered later: what is asked side by side then overlaps.
    pub(crate) delay_ms: u64,
}

/// What a slow call takes: longer than anybody waits for one attempt.
const SPIKE: Duration = Duration::from_secs(5);

/// A service that can be away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Service {
    Bus,
    Ses,
    DynamoDb,
    /// DynamoDB that takes calls and does not answer.
    HangingDynamoDb,
}

impl Service {
    /// Which service a call is for, if it can be away. Not of `DynamoDB`'s streams: what Lambda waits for is not what a request waits for.
    fn of(target: &str, path: &str) -> Option<Self> {
        if target.starts_with("DynamoDB_") {
            Some(Self::DynamoDb)
        } else if target.ends_with(".PutEvents") {
            Some(Self::Bus)
        } else {
            (path == "/v2/email/outbound-emails").then_some(Self::Ses)
        }
    }
}

/// What was done to the calls.
pub(crate) struct Done {
    /// The cloud itself.
    pub(crate) cloud: Cloud,
    /// Where a call can be stopped.
    pub(crate) gate: Gate,
    pub(crate) conflicts: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) refusals: AtomicU64,
    pub(crate) throttles: AtomicU64,
    calls: AtomicU64,
    calls_of_dynamodb: AtomicU64,
    away: Mutex<Option<Service>>,
    /// When SES took the last mail.
    last_mail: Mutex<Option<Instant>>,
    repeats: Repeats,
    /// When SES refused a mail.
    pub(crate) refused_mails: Mutex<Vec<Instant>>,
    /// What was asked of DynamoDB.
    spent: Mutex<Spent>,
}

/// What was asked of DynamoDB, and what AWS would charge for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    /// The longest chain of calls of which each began after the one before had ended: what a request waits for, where
    /// [`Faults::delay_ms`] has calls overlap that are made side by side.
    pub(crate) trips: u64,
    /// The longest such chain that has ended.
    ended: u64,
    /// All calls.
    pub(crate) calls: u64,
    /// Those of them that read.
    pub(crate) reads: u64,
    /// Read capacity units.
    pub(crate) read: f64,
    /// Write capacity units.
    pub(crate) written: f64,
}

impl Done {
    /// What was asked of DynamoDB since this was asked last.
    pub(crate) fn take_spent(&self) -> Spent {
        std::mem::take(&mut self.spent.lock().unwrap())
    }

    /// Counts a call that begins; answers its place in a chain.
    fn begin(&self) -> u64 {
        let mut spent = self.spent.lock().unwrap();
        spent.calls += 1;
        let place = spent.ended + 1;
        spent.trips = spent.trips.max(place);
        place
    }

    /// Has a service be away from now on, or none.
    pub(crate) fn is_away(&self, service: impl Into<Option<Service>>) {
        *self.away.lock().unwrap() = service.into();
    }

    /// Whether all that was delivered was delivered five times.
    pub(crate) fn has_repeated_all(&self) -> bool {
        self.repeats.is_over()
    }

    fn end(&self, place: u64, operation: &str, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let units = |table: &Value| table["CapacityUnits"].as_f64().unwrap_or_default();
        let units = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().map(units).sum(),
            table => units(table),
        };
        let mut spent = self.spent.lock().unwrap();
        spent.ended = spent.ended.max(place);
        if is_read(operation) {
            spent.reads += 1;
            spent.read += units;
        } else {
            spent.written += units;
        }
    }
}

fn is_read(operation: &str) -> bool {
    matches!(operation, "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems")
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
    let held = held.iter().map(ToString::to_string).collect();
    start_with(State::Memory, faults, Options { held, ..Options::default() }).await
}

/// Like [`start`], with these options, over a cloud that keeps its state so.
pub(crate) async fn start_with(
    state: State,
    faults: Faults,
    options: Options,
) -> Option<(TestApp, Arc<Done>)> {
    if !may_have_a_cloud() {
        return None;
    }
    let listen = async || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let cloud = Cloud::start(listen().await, &state, Clock::default()).await.unwrap();
    let done = Arc::new(Done {
        cloud,
        gate: Gate::default(),
        conflicts: AtomicU64::default(),
        cuts: AtomicU64::default(),
        refusals: AtomicU64::default(),
        throttles: AtomicU64::default(),
        calls: AtomicU64::default(),
        calls_of_dynamodb: AtomicU64::default(),
        away: Mutex::default(),
        last_mail: Mutex::default(),
        repeats: Repeats::default(),
        refused_mails: Mutex::default(),
        spent: Mutex::default(),
    });
    let proxy = Proxy { client: client().build().unwrap(), faults, done: Arc::clone(&done) };
    let router = Router::new().fallback(forward).with_state(Arc::new(proxy));
    let listener = listen().await;
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let iam = Some(done.cloud.iam().clone());
    let options = Options { aws_endpoint: Some(endpoint), iam, ..options };
    Some((TestApp::try_boot(options).await.unwrap(), done))
}

/// Whether the `count`th of something is one of the `share` in 100 that fail: they are spread, and the same each time.
fn is_due(count: u64, share: u64) -> bool {
    (count * share) % 100 < share
}

/// Whether the `count`th of something is one of the `share` in 100 that are drawn by chance, and the same each time (`SplitMix64`).
fn is_drawn(count: u64, share: u64) -> bool {
    let mixed = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % 100 < share
}

async fn forward(
    extract::State(proxy): extract::State<Arc<Proxy>>,
    request: Request,
) -> Result<Response, Infallible> {
    let target =
        request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let service = Service::of(target, request.uri().path());
    let away_now = *proxy.done.away.lock().unwrap();
    if service == Some(Service::DynamoDb) {
        if away_now == Some(Service::HangingDynamoDb) {
            std::future::pending::<()>().await;
        }
        let count = proxy.done.calls_of_dynamodb.fetch_add(1, Ordering::Relaxed);
        if is_drawn(count, proxy.faults.throttles) {
            proxy.done.throttles.fetch_add(1, Ordering::Relaxed);
            return Ok(throttled());
        }
        if is_drawn(!count, proxy.faults.spikes) {
            tokio::time::sleep(SPIKE).await;
        }
    }
    if service.is_some() && service == away_now {
        return Ok(away());
    }
    let transaction = operation == "TransactWriteItems";
    let writes = transaction || matches!(operation.as_str(), "PutItem" | "UpdateItem");
    let count = if writes { proxy.done.calls.fetch_add(1, Ordering::Relaxed) } else { 0 };
    let (parts, body) = request.into_parts();
    let mut body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let length = body.len();
    if proxy.faults.repeats && operation == "ReceiveMessage" {
        // What is to come once more does not wait for what is new.
        let mut request: Value = serde_json::from_slice(&body).unwrap();
        request["WaitTimeSeconds"] = json!(1);
        body = request.to_string().into();
    }
    let asked = body.clone();
    if transaction && is_due(count, proxy.faults.conflicts) {
        proxy.done.conflicts.fetch_add(1, Ordering::Relaxed);
        return Ok(conflict(&body));
    }
    let place = (service == Some(Service::DynamoDb)).then(|| proxy.done.begin());
    if place.is_some() {
        let mut request: Value = serde_json::from_slice(&body).unwrap();
        request["ReturnConsumedCapacity"] = json!("TOTAL");
        body = request.to_string().into();
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    if service == Some(Service::Ses) && proxy.is_too_fast() {
        return Ok(too_many());
    }
    let refused = if service == Some(Service::Bus) { proxy.refused(&mut body) } else { Vec::new() };
    let stop = proxy.done.gate.meets(&operation, path, &body);
    if stop == Some(Stop::Before) {
        proxy.done.gate.wait().await;
    }
    let url = format!("{}{path}", proxy.done.cloud.endpoint());
    // The host is signed: it stays as it was.
    let mut headers = parts.headers;
    if body.len() != length {
        headers.remove(http::header::CONTENT_LENGTH);
    }
    let sent = proxy.client.request(parts.method, url).headers(headers).body(body).send().await.unwrap();
    let (status, headers) = (sent.status(), sent.headers().clone());
    let mut body = sent.bytes().await.unwrap();
    if service == Some(Service::Ses) && !status.is_success() {
        proxy.done.refused_mails.lock().unwrap().push(Instant::now());
    }
    let mut changed = !refused.is_empty();
    if changed {
        body = with_refusals(&body, &refused);
    }
    if proxy.faults.repeats && status.is_success() {
        changed |= proxy.done.repeats.add(&operation, &asked, &mut body);
    }
    if stop == Some(Stop::After) {
        proxy.done.gate.wait().await;
    }
    if let Some(place) = place {
        tokio::time::sleep(Duration::from_millis(proxy.faults.delay_ms)).await;
        proxy.done.end(place, &operation, &body);
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
    if changed {
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        // The checksum that DynamoDB answers.
        response.headers_mut().remove("x-amz-crc32");
    }
    Ok(response)
}

impl Proxy {
    /// Whether a mail comes too soon after the last that was taken; it is taken otherwise.
    fn is_too_fast(&self) -> bool {
        let mut last = self.done.last_mail.lock().unwrap();
        let gap = Duration::from_millis(self.faults.mail_gap_ms);
        let soon = last.is_some_and(|last| last.elapsed() < gap);
        if !soon {
            *last = Some(Instant::now());
        }
        soon
    }

    /// Takes out of a `PutEvents` call the entries that the bus refuses; answers their places.
    fn refused(&self, body: &mut Bytes) -> Vec<usize> {
        if self.faults.refusals == 0 {
            return Vec::new();
        }
        let mut request: Value = serde_json::from_slice(body).unwrap();
        let entries = std::mem::take(request["Entries"].as_array_mut().unwrap());
        let is_refused =
            |_: &Value| is_due(self.done.refusals.fetch_add(1, Ordering::Relaxed), self.faults.refusals);
        let (refused, put): (Vec<_>, Vec<_>) =
            entries.into_iter().enumerate().partition(|(_, entry)| is_refused(entry));
        if put.is_empty() {
            // The bus takes no call without an entry: so much of it is refused another time.
            return Vec::new();
        }
        request["Entries"] = put.into_iter().map(|(_, entry)| entry).collect();
        if !refused.is_empty() {
            *body = request.to_string().into();
        }
        refused.into_iter().map(|(place, _)| place).collect()
    }
}

/// What the bus answers where it has refused some entries.
fn with_refusals(answer: &Bytes, refused: &[usize]) -> Bytes {
    let mut answer: Value = serde_json::from_slice(answer).unwrap();
    let entries = answer["Entries"].as_array_mut().unwrap();
    for place in refused {
        entries.insert(*place, json!({"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}));
    }
    answer["FailedEntryCount"] = json!(refused.len());
    answer.to_string().into()
}

/// What a service answers that is away.
fn away() -> Response {
    let body = Body::from("{\"__type\":\"ServiceUnavailable\",\"message\":\"away\"}");
    Response::builder().status(503).header("content-type", "application/json").body(body).unwrap()
}

/// What SES answers whoever sends faster than it is allowed.
fn too_many() -> Response {
    let body = Body::from("{\"message\":\"Maximum sending rate exceeded.\"}");
    let response = Response::builder().status(429).header("content-type", "application/json");
    response.header("x-amzn-errortype", "TooManyRequestsException").body(body).unwrap()
}

/// What DynamoDB answers where there is too much to do.
fn throttled() -> Response {
    let body =
        "{\"__type\":\"com.amazon.coral.availability#ThrottlingException\",\"message\":\"Rate exceeded\"}";
    let response = Response::builder().status(400).header("content-type", "application/x-amz-json-1.0");
    response.body(Body::from(body)).unwrap()
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
