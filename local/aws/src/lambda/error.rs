//! Why an invocation failed.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use bytes::Bytes;

/// Why an invocation failed; the message is the one that AWS gives, where it has one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvokeError {
    /// The function reported an error: a JSON object of `errorType`, `errorMessage`
    /// and, from some runtimes, `stackTrace`. Its process stays warm.
    #[error("{}", String::from_utf8_lossy(.0))]
    Function(Bytes),
    /// The function did not answer in time, and its process was killed.
    #[error("Task timed out after {:.2} seconds", .0.as_secs_f64())]
    Timeout(Duration),
    /// The process ended before it answered.
    #[error("{}", exit_message(*.status))]
    Exited {
        /// How the process ended.
        status: ExitStatus,
    },
    /// The process never came to ask for an event. The message names the binary and
    /// what it had to say.
    #[error("{0}")]
    Init(String),
    /// The answer was larger than Lambda lets through. The process stays warm.
    #[error(
        "Response payload size exceeded maximum allowed payload size ({} bytes).",
        crate::lambda::api::MAX_ANSWER
    )]
    ResponseTooLarge,
    /// The request id cannot stand in a header and a path.
    #[error("not a request id: {0:?}")]
    RequestId(String),
    /// The pool was shut down, before the invocation or during it.
    #[error("the pool of the function was shut down")]
    Shutdown,
}

/// How AWS words the end of a runtime's process.
pub(crate) fn exit_message(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(9)) => "Runtime exited with error: signal: killed".to_owned(),
        _ => format!("Runtime exited with error: {status}"),
    }
}
