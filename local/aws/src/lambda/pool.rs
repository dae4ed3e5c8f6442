//! The processes of one function: who is idle, who is busy, and when there is a new one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{ACCOUNT, REGION};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use uuid::Uuid;

use crate::lambda::api::RuntimeApi;
use crate::lambda::binary::Binary;
use crate::lambda::error::InvokeError;
use crate::lambda::process::Process;
use crate::lambda::session::{Answer, Event};

/// An invocation that the function answered.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The answer.
    pub payload: Bytes,
    /// If a process was started for it: the time from its start to its first request
    /// for an event.
    pub cold_init: Option<Duration>,
    /// The time from the event to the answer.
    pub duration: Duration,
    /// The process that answered.
    pub pid: u32,
}

/// Runs one function, each invocation in a process of its own at that time. Clones
/// are the same pool; its processes are killed with the last of them.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    api: RuntimeApi,
    binary: Arc<Binary>,
    /// The most recently used last.
    idle: Mutex<Vec<Idle>>,
    /// As many as there may be processes.
    turns: Semaphore,
    closed: watch::Sender<bool>,
    /// Whether the task that ends idle processes runs.
    reaping: std::sync::Once,
}

struct Idle {
    process: Process,
    since: Instant,
}

impl Pool {
    /// A pool without processes; the first invocation starts the first one.
    pub fn new(api: &RuntimeApi, binary: Binary) -> Self {
        let max_processes = usize::try_from(binary.max_processes).unwrap_or(Semaphore::MAX_PERMITS);
        let shared = Shared {
            api: api.clone(),
            idle: Mutex::default(),
            turns: Semaphore::new(max_processes.clamp(1, Semaphore::MAX_PERMITS)),
            closed: watch::Sender::new(false),
            reaping: std::sync::Once::new(),
            binary: Arc::new(binary),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Has the function handle an event: by the most recently used idle process, or
    /// by a new one. Waits first if there are as many processes as there may be.
    ///
    /// To drop the future is to kill the process that handles the event.
    pub async fn invoke(&self, payload: Bytes, request_id: &str) -> Result<Invocation, InvokeError> {
        if !is_request_id(request_id) {
            return Err(InvokeError::RequestId(request_id.to_owned()));
        }
        let shared = &self.shared;
        let _turn = shared.turns.acquire().await.map_err(|_| InvokeError::Shutdown)?;
        let mut closed = shared.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(InvokeError::Shutdown),
            invocation = shared.invoke(payload, request_id) => invocation,
        }
    }

    /// Ends all processes. Invocations under way fail, as do those that come after.
    /// Returns when the idle processes are gone and the busy ones have their `SIGKILL`.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        shared.closed.send_replace(true);
        // Whoever waits for a turn gets it, sees that the pool is closed and leaves.
        let max_processes = shared.binary.max_processes.max(1);
        let _turns = shared.turns.acquire_many(max_processes).await;
        shared.turns.close();
        let idle = std::mem::take(&mut *shared.idle());
        for mut idle in idle {
            idle.process.kill().await;
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn invoke(self: &Arc<Self>, payload: Bytes, request_id: &str) -> Result<Invocation, InvokeError> {
        loop {
            let (mut process, cold_init) = self.process().await?;
            let started = Instant::now();
            let event = self.event(payload.clone(), request_id)?;
            let Some(answer) = process.handle(event).await else {
                // It went away before it got the event, so the event is still to handle.
                // A new one that does so is broken, and another would be too.
                if cold_init.is_some() {
                    let path = self.binary.path.display();
                    return Err(InvokeError::Init(format!("{path} hung up on its first event")));
                }
                continue;
            };
            let (answer, duration, pid) = (answer?, started.elapsed(), process.pid);
            self.idle().push(Idle { process, since: Instant::now() });
            return match answer {
                Answer::Response(payload) => Ok(Invocation { payload, cold_init, duration, pid }),
                Answer::Error(report) => Err(InvokeError::Function(report)),
                Answer::TooLarge => Err(InvokeError::ResponseTooLarge),
            };
        }
    }

    /// A process that is ready for an event and, if it is a new one, how long it took
    /// to start.
    async fn process(self: &Arc<Self>) -> Result<(Process, Option<Duration>), InvokeError> {
        loop {
            let Some(mut idle) = self.idle().pop() else {
                break;
            };
            if idle.process.is_ready().await {
                return Ok((idle.process, None));
            }
        }
        self.reaping.call_once(|| {
            tokio::spawn(reap(Arc::downgrade(self), self.binary.keep_warm));
        });
        let process = Process::start(&self.api, &self.binary).await?;
        let init = process.init;
        Ok((process, Some(init)))
    }

    fn event(&self, payload: Bytes, request_id: &str) -> Result<Event, InvokeError> {
        let deadline = since_epoch() + self.binary.timeout;
        let name = &self.binary.name;
        let headers = [
            ("lambda-runtime-aws-request-id", request_id.to_owned()),
            ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"),
            ),
            ("lambda-runtime-trace-id", trace_id()),
        ];
        let mut map = HeaderMap::new();
        for (header, value) in headers {
            let value = HeaderValue::try_from(value)
                .map_err(|_| InvokeError::Init(format!("not a name of a function: {name:?}")))?;
            map.insert(header, value);
        }
        Ok(Event { request_id: request_id.to_owned(), headers: map, payload })
    }
}

/// Ends processes that have been idle for too long or have exited, while the pool lives.
async fn reap(pool: Weak<Shared>, keep_warm: Duration) {
    let mut tick = tokio::time::interval((keep_warm / 10).max(Duration::from_millis(10)));
    loop {
        tick.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.idle().retain_mut(|idle| idle.since.elapsed() < keep_warm && idle.process.is_alive());
    }
}

fn is_request_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=128).contains(&id.len()) && id.bytes().all(allowed)
}

/// In the shape of AWS X-Ray, and not sampled.
fn trace_id() -> String {
    let random = Uuid::new_v4().simple().to_string();
    let parent = Uuid::new_v4().simple().to_string();
    let (unique, parent) = (&random[..24], &parent[..16]);
    format!("Root=1-{:08x}-{unique};Parent={parent};Sampled=0", since_epoch().as_secs())
}

/// By the clock of the system, for that is the one which the function compares with.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
