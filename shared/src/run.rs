//! A function as a Lambda binary.

use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::function::{Failure, Function, Instance, Invocation};
use crate::init::{StartError, Variables};

/// What `main` answers.
pub type Exit = ExitCode;

/// Runs `function` against the Lambda Runtime API until Lambda ends the process.
///
/// The executor has one thread: Lambda gives one invocation at a time, and a second thread only costs
/// start-up time and memory.
pub fn run(function: &Function) -> Exit {
    let variables: Variables = std::env::vars().collect();
    let name = function.name;
    let variable = |name: &str| variables.get(name).map(String::as_str);
    crate::log::start(variable("AWS_LAMBDA_LOG_LEVEL"), variable("METRICS_NAMESPACE"));
    let starting = function.start(variables, Clock::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(serve(starting)),
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(function = name, cause = crate::log::chain(&*error), "stopped");
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    starting: impl Future<Output = Result<Instance, StartError>>,
) -> Result<(), lambda_runtime::Error> {
    let instance = starting.await.map_err(Box::new)?;
    let instance = &instance;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let invocation = Invocation { request_id: event.context.request_id };
        instance.invoke(event.payload.get(), invocation).await
    }))
    .await
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.error_type, error_message: failure.message }
    }
}
