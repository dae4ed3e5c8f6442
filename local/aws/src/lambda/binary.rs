//! What a pool runs, and the environment variables that it runs with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

/// Takes each line that a function writes to stdout or stderr: the function's name
/// and the line, without its line end.
pub type Log = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// One function: the binary to run and the limits that it runs under.
#[derive(Clone)]
pub struct Binary {
    /// The name of the function.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// The whole environment of the process, but for the reserved variables, which
    /// are Lambda's to set. Region and credentials are not set unless given here.
    pub environment: BTreeMap<String, String>,
    /// How long an invocation may take, from the event to the answer.
    pub timeout: Duration,
    /// What `AWS_LAMBDA_FUNCTION_MEMORY_SIZE` says; nothing enforces it.
    pub memory_mb: u32,
    /// How many processes there may be; invocations beyond that wait for their turn.
    pub max_processes: u32,
    /// How long a process may be idle before it is ended.
    pub keep_warm: Duration,
    /// Takes the output of the processes.
    pub log: Log,
}

impl Binary {
    /// A function with the defaults of Lambda: 3 seconds, 128 MB, a concurrency of
    /// 1000, nothing in its environment, and output that goes to `tracing`.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(3),
            memory_mb: 128,
            max_processes: 1000,
            keep_warm: Duration::from_mins(10),
            log: Arc::new(|function, line| tracing::info!(function, "{line}")),
        }
    }

    /// The environment of a process: what AWS lets the function override comes
    /// before the function's own variables, the reserved ones after.
    pub fn variables(&self, task_root: &Path, runtime_api: &str) -> Vec<(String, String)> {
        let handler = self.path.file_name().unwrap_or_default();
        let reserved = [
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory_mb.to_string()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream()),
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
            ("LAMBDA_TASK_ROOT", task_root.to_string_lossy().into_owned()),
            ("_HANDLER", handler.to_string_lossy().into_owned()),
        ];
        let given = self.environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
        [("TZ", ":UTC".to_owned())]
            .into_iter()
            .chain(given)
            .chain(reserved)
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

impl fmt::Debug for Binary {
    /// Without the environment, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binary")
            .field("name", &self.name)
            .field("path", &self.path)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Each process logs to a stream of its own.
fn log_stream() -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d");
    format!("{day}/[$LATEST]{}", Uuid::new_v4().simple())
}
