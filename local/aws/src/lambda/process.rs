//! One process of a function: started, asked to handle events one by one, killed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::lambda::api::{Registration, RuntimeApi};
use crate::lambda::binary::Binary;
use crate::lambda::error::{InvokeError, exit_message};
use crate::lambda::log::{Tail, follow};
use crate::lambda::session::{Answer, Event};

/// How long a process may take to ask for its first event, as in AWS.
const INIT: Duration = Duration::from_secs(10);

/// How long to wait for the last words of a process that did not start.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A process that has asked for an event at least once. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    registration: Registration,
    binary: Arc<Binary>,
    /// From the start of the process to its first request for an event.
    pub(crate) init: Duration,
    /// The process id.
    pub(crate) pid: u32,
    /// Until when the last invocation may take, and what it still does after it
    /// has answered.
    deadline: Instant,
}

impl Process {
    /// Starts a process and waits until it asks for its first event.
    pub(crate) async fn start(api: &RuntimeApi, binary: &Arc<Binary>) -> Result<Self, InvokeError> {
        let started = Instant::now();
        let registration = api.register();
        let mut child = spawn(api, binary, &registration.url).await.map_err(|reason| {
            InvokeError::Init(format!("cannot start {}: {reason}", binary.path.display()))
        })?;
        let pid = child.id().unwrap_or_default();
        // Rust functions log to stdout, and say there why they do not start.
        let errors = Tail::default();
        let followed = [
            child.stdout.take().map(|out| follow(out, Arc::clone(binary), errors.clone())),
            child.stderr.take().map(|err| follow(err, Arc::clone(binary), errors.clone())),
        ];
        match first_request(&mut child, &registration).await {
            Ok(()) => {
                let (binary, init) = (Arc::clone(binary), started.elapsed());
                Ok(Self { child, registration, binary, init, pid, deadline: started + INIT })
            }
            Err(reason) => {
                // Ends the streams, unless a process of its own holds them open.
                let _ = child.kill().await;
                let _ = timeout(LAST_WORDS, finish(followed)).await;
                let path = binary.path.display();
                let message = format!("{path} did not start: {reason}\n{}", errors.text());
                Err(InvokeError::Init(message.trim_end().to_owned()))
            }
        }
    }

    /// Whether the process asks for an event, which it has to within the time that
    /// its last invocation had. It may also have ended since.
    pub(crate) async fn is_ready(&mut self) -> bool {
        let ready = async {
            tokio::select! {
                _ = self.child.wait() => false,
                asking = self.registration.session.asking() => asking.is_ok(),
            }
        };
        // Asked last, for the runtime may learn late that a process ended.
        timeout_at(self.deadline, ready).await.unwrap_or(false) && self.is_alive()
    }

    /// Whether the process has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Hands an event to a process that is ready and waits for the answer; `None` if
    /// the process hung up and never got the event.
    ///
    /// An error other than [`InvokeError::Function`] and
    /// [`InvokeError::ResponseTooLarge`] leaves a process of no further use.
    pub(crate) async fn handle(&mut self, event: Event) -> Option<Result<Answer, InvokeError>> {
        let limit = self.binary.timeout;
        let answer = self.registration.session.give(event)?;
        self.deadline = Instant::now() + limit;
        let handled = timeout_at(self.deadline, async {
            tokio::select! {
                // An answer counts, even if the process exits right after it.
                biased;
                Ok(answer) = answer => Ok(answer),
                ended = self.child.wait() => Err(ended),
            }
        });
        Some(match handled.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Ok(status))) => Err(InvokeError::Exited { status }),
            Ok(Err(Err(error))) => Err(InvokeError::Init(format!("cannot wait for it: {error}"))),
            Err(_) => {
                self.kill().await;
                Err(InvokeError::Timeout(limit))
            }
        })
    }

    /// Kills the process and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, pid = self.pid, "cannot kill a process");
        }
    }
}

/// Waits for the first request for an event; fails with the reason why there is none.
async fn first_request(child: &mut Child, registration: &Registration) -> Result<(), String> {
    let asking = async {
        tokio::select! {
            // A report counts, even if the process exits right after it.
            biased;
            asking = registration.session.asking() => {
                asking.map_err(|report| String::from_utf8_lossy(&report).into_owned())
            }
            ended = child.wait() => Err(match ended {
                Ok(status) => exit_message(status),
                Err(error) => error.to_string(),
            }),
        }
    };
    let late = || Err(format!("it did not ask for an event within {} s", INIT.as_secs()));
    timeout(INIT, asking).await.unwrap_or_else(|_| late())
}

async fn finish(followed: [Option<JoinHandle<()>>; 2]) {
    for stream in followed.into_iter().flatten() {
        let _ = stream.await;
    }
}

async fn spawn(api: &RuntimeApi, binary: &Binary, runtime_api: &str) -> Result<Child, String> {
    let path = std::path::absolute(&binary.path).map_err(|error| error.to_string())?;
    check(&path).await?;
    let task_root = path.parent().unwrap_or(Path::new("/")).to_owned();
    let variables = binary.variables(&task_root, runtime_api);
    let prepare = move |command: &mut Command| {
        command
            .env_clear()
            .envs(variables)
            .current_dir(task_root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    };
    api.spawner().spawn(&path, prepare).await.map_err(|error| error.to_string())
}

/// Finds the common mistakes before they become an exit status of a wrapper.
async fn check(path: &Path) -> Result<(), String> {
    let metadata = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a file".to_owned());
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err("not executable".to_owned());
    }
    Ok(())
}
