//! Plays Lambda: invokes a function in this process, or a binary through the Runtime API.

use std::time::Duration;

use local_aws::lambda::{InvokeError, Pool};
use shared::function::{Instance, Invocation};

/// A function that can be invoked.
pub struct Invoker {
    /// The function's name.
    pub name: String,
    timeout: Duration,
    runs: Runs,
}

enum Runs {
    /// As a library, in this process.
    Here(Instance),
    /// As a binary, one process for each concurrent invocation.
    Processes(Pool),
}

/// Why an invocation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The function said so.
    #[error("{0}")]
    Function(String),
    /// It took longer than it may.
    #[error("Task timed out after {:.2} seconds", .0.as_secs_f64())]
    Timeout(Duration),
    /// Its process did not start, or ended.
    #[error("{0}")]
    Process(String),
}

impl Invoker {
    /// A function of this process.
    pub fn here(name: &str, timeout: Duration, instance: Instance) -> Self {
        Self { name: name.to_owned(), timeout, runs: Runs::Here(instance) }
    }

    /// A function that is a binary.
    pub fn processes(name: &str, timeout: Duration, pool: Pool) -> Self {
        Self { name: name.to_owned(), timeout, runs: Runs::Processes(pool) }
    }

    /// Invokes the function with an event and answers what it answers, both as JSON.
    pub async fn invoke(&self, event: String) -> Result<String, Failed> {
        let request_id = uuid::Uuid::new_v4().to_string();
        match &self.runs {
            Runs::Here(instance) => {
                let call = instance.invoke(&event, Invocation { request_id });
                let outcome = tokio::time::timeout(self.timeout, call).await;
                let answer = outcome.map_err(|_| Failed::Timeout(self.timeout))?;
                answer
                    .map(|json| json.get().to_owned())
                    .map_err(|failure| Failed::Function(failure.to_string()))
            }
            Runs::Processes(pool) => match pool.invoke(event.into(), &request_id).await {
                Ok(invocation) => String::from_utf8(invocation.payload.to_vec())
                    .map_err(|_| Failed::Function("the answer is not UTF-8".to_owned())),
                Err(InvokeError::Timeout(after)) => Err(Failed::Timeout(after)),
                Err(InvokeError::Function(error)) => {
                    Err(Failed::Function(String::from_utf8_lossy(&error).into_owned()))
                }
                Err(other) => Err(Failed::Process(other.to_string())),
            },
        }
    }

    /// Ends the function's processes.
    pub async fn stop(&self) {
        if let Runs::Processes(pool) = &self.runs {
            pool.shutdown().await;
        }
    }
}
