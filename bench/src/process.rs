//! One process of a function, driven through the Lambda Runtime API, and what it costs.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use local_aws::lambda::Binary;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::Result;

/// How long anything may take that a process does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A function to be started: what runs it, with which arguments.
#[derive(Clone)]
pub(crate) struct Program {
    /// Its name and environment.
    pub(crate) binary: Binary,
    /// What is executed, where it is not the binary itself: an interpreter.
    pub(crate) interpreter: Option<PathBuf>,
    /// What it writes goes here.
    pub(crate) log: PathBuf,
}

/// A wall clock's time and a process's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// As a user waits.
    pub(crate) wall: Duration,
    /// On any CPU, in the process or for it in the kernel.
    pub(crate) cpu: Duration,
}

/// A process that waits for an event. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    clock: ClockId,
    /// What the process had used when it asked for its next event.
    used: Duration,
    /// From the start to the first request for an event.
    pub(crate) init: Cost,
    next: Next,
    asked: mpsc::Receiver<Next>,
    answered: mpsc::Receiver<Answered>,
    server: JoinHandle<()>,
    invocations: usize,
}

/// A request for an event, and where the event is sent.
type Next = oneshot::Sender<(usize, Bytes)>;

struct Answered {
    at: Instant,
    answer: std::result::Result<Bytes, Bytes>,
}

#[derive(Clone)]
struct Api {
    asked: mpsc::Sender<Next>,
    answered: mpsc::Sender<Answered>,
}

impl Process {
    /// Starts a process and waits until it asks for its first event.
    pub(crate) async fn start(program: &Program) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (asking, mut asked) = mpsc::channel(1);
        let (answering, answered) = mpsc::channel(1);
        let router = router(Api { asked: asking, answered: answering });
        let listener = local_aws::loopback::undelayed(listener);
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        let log = std::fs::File::create(&program.log)?;
        let path = &program.binary.path;
        let mut command = Command::new(program.interpreter.as_ref().unwrap_or(path));
        if program.interpreter.is_some() {
            command.arg(path);
        }
        let root = path.parent().unwrap_or(Path::new("/"));
        command
            .env_clear()
            .envs(program.binary.variables(root, &address))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", path.display()))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or("a process without an id")?;
        let clock = clock_getcpuclockid(Pid::from_raw(pid))?;
        let next = alive(&mut child, &mut asked).await?;
        let used = clock.now()?.into();
        let init = Cost { wall: started.elapsed(), cpu: used };
        Ok(Self { child, clock, used, init, next, asked, answered, server, invocations: 0 })
    }

    /// Invokes the function. Its CPU time lasts until it asks for the next event.
    pub(crate) async fn invoke(&mut self, event: Bytes) -> Result<(Bytes, Cost)> {
        let (unused, _) = oneshot::channel();
        let next = std::mem::replace(&mut self.next, unused);
        self.invocations += 1;
        let started = Instant::now();
        next.send((self.invocations, event)).map_err(|_| "the process has hung up")?;
        let answered = alive(&mut self.child, &mut self.answered).await?;
        let wall = answered.at.duration_since(started);
        let answer = answered.answer.map_err(|error| String::from_utf8_lossy(&error).into_owned())?;
        self.next = alive(&mut self.child, &mut self.asked).await?;
        let before = std::mem::replace(&mut self.used, self.clock.now()?.into());
        let cpu = self.used.saturating_sub(before);
        Ok((answer, Cost { wall, cpu }))
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// The most memory that was resident, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(peak.ok_or("no VmHWM")?.parse::<u64>()? * 1024)
    }

    /// Ends the process and waits until it is gone.
    pub(crate) async fn end(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What the process sends next, unless it ends or takes too long.
async fn alive<T>(process: &mut Child, sent: &mut mpsc::Receiver<T>) -> Result<T> {
    tokio::select! {
        sent = sent.recv() => Ok(sent.ok_or("no Runtime API")?),
        ended = process.wait() => Err(format!("the process ended, {}", ended?).into()),
        () = tokio::time::sleep(PATIENCE) => Err(format!("nothing came within {PATIENCE:?}").into()),
    }
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
fn router(api: Api) -> Router {
    const INVOCATION: &str = "/2018-06-01/runtime/invocation";
    Router::new()
        .route(&format!("{INVOCATION}/next"), get(next))
        .route(&format!("{INVOCATION}/{{id}}/response"), post(response))
        .route(&format!("{INVOCATION}/{{id}}/error"), post(error))
        .route("/2018-06-01/runtime/init/error", post(error))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(api)
}

async fn next(State(api): State<Api>) -> Response {
    let (next, event) = oneshot::channel();
    let event = match api.asked.send(next).await {
        Ok(()) => event.await.ok(),
        Err(_) => None,
    };
    let Some((number, event)) = event else { return StatusCode::GONE.into_response() };
    let deadline = (std::time::SystemTime::now() + PATIENCE)
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let headers = [
        ("lambda-runtime-aws-request-id", format!("00000000-0000-0000-0000-{number:012}")),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:bench".to_owned(),
        ),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event).into_response()
}

async fn response(State(api): State<Api>, body: Bytes) -> StatusCode {
    answered(&api, Ok(body)).await
}

async fn error(State(api): State<Api>, body: Bytes) -> StatusCode {
    answered(&api, Err(body)).await
}

async fn answered(api: &Api, answer: std::result::Result<Bytes, Bytes>) -> StatusCode {
    match api.answered.send(Answered { at: Instant::now(), answer }).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    }
}
