//! A function's cold start: configuration, clients and secrets, read once.
//!
//! A function takes what it needs from an [`Init`] and keeps it in its state. Nothing fails on the
//! way: what is missing is noted, a placeholder stands in, and [`crate::Function::start`] reports
//! *every* fault at once before any placeholder is used.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use serde::de::DeserializeOwned;

use crate::aws::{Aws, Environment};
use crate::clock::Clock;

/// How long a secret may take: after 10 s, Lambda starts a function's init all over.
const PATIENCE: Duration = Duration::from_secs(6);

/// A function's environment variables: the process's on Lambda, the template's on a laptop.
pub type Variables = BTreeMap<String, String>;

/// What a starting function reads its configuration from.
pub struct Init {
    function: &'static str,
    variables: Variables,
    clock: Clock,
    aws: Aws,
    faults: Vec<String>,
    secrets: Vec<BoxFuture<'static, Result<(), String>>>,
    dynamodb: Option<aws_sdk_dynamodb::Client>,
    services: Vec<&'static str>,
}

/// Why a function did not start: every fault, each naming the variable or secret at fault.
#[derive(Debug, thiserror::Error)]
#[error("{function} cannot start: {}", .faults.join("; "))]
pub struct StartError {
    /// The function's name.
    pub function: &'static str,
    /// What is missing or wrong.
    pub faults: Vec<String>,
}

/// A value that is a secret of Secrets Manager. It is there once the function has started.
#[derive(Clone)]
pub struct Secret<T>(Arc<OnceLock<T>>);

impl<T> Deref for Secret<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.get().expect("a function starts only with all its secrets")
    }
}

impl Init {
    pub(crate) fn new(function: &'static str, variables: Variables, clock: Clock) -> Self {
        let mut faults = Vec::new();
        let mut required = |name: &str| required(&variables, name, &mut faults);
        let environment = Environment {
            region: required("AWS_REGION"),
            access_key_id: required("AWS_ACCESS_KEY_ID"),
            secret_access_key: required("AWS_SECRET_ACCESS_KEY"),
            session_token: variables.get("AWS_SESSION_TOKEN").cloned(),
            endpoint: variables.get("AWS_ENDPOINT_URL").cloned(),
        };
        let aws = Aws::new(environment);
        Self {
            function,
            variables,
            clock,
            aws,
            faults,
            secrets: Vec::new(),
            dynamodb: None,
            services: Vec::new(),
        }
    }

    /// The variable `name`, which must not be empty.
    pub fn text(&mut self, name: &str) -> String {
        required(&self.variables, name, &mut self.faults)
    }

    /// The variable `name` as a positive whole number.
    pub fn number(&mut self, name: &str) -> i64 {
        let text = self.text(name);
        match text.parse() {
            Ok(number) if number > 0 => number,
            _ if text.is_empty() => 1, // noted already
            _ => {
                self.faults.push(format!("the variable {name} is not a positive number"));
                1
            }
        }
    }

    /// The variable `name` parsed by `parse`, which says what is wrong with it.
    pub fn parsed<T: Default>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> T {
        let text = self.text(name);
        if text.is_empty() {
            return T::default();
        }
        parse(&text).unwrap_or_else(|fault| {
            self.faults.push(format!("the variable {name} {fault}"));
            T::default()
        })
    }

    /// The secret whose ARN is in the variable `name`, read from its JSON.
    pub fn secret<T: DeserializeOwned + Send + Sync + 'static>(&mut self, name: &'static str) -> Secret<T> {
        let secret = Secret(Arc::new(OnceLock::new()));
        let arn = self.text(name);
        if !arn.is_empty() {
            let (client, slot) = (self.aws.secrets(), Arc::clone(&secret.0));
            self.secrets.push(Box::pin(async move {
                let answer = tokio::time::timeout(PATIENCE, client.get_secret_value().secret_id(&arn).send());
                let answer =
                    answer.await.map_err(|_| format!("the secret of {name} ({arn}) did not come"))?;
                let value = answer.map_err(|error| {
                    format!(
                        "the secret of {name} ({arn}) cannot be read: {}",
                        crate::Error::from(error).cause()
                    )
                })?;
                // The text of a parse error may quote the secret: it is not repeated.
                let value = serde_json::from_str(value.secret_string().unwrap_or_default())
                    .map_err(|_| format!("the secret of {name} ({arn}) is missing, short or malformed"))?;
                let _ = slot.set(value);
                Ok(())
            }));
        }
        secret
    }

    /// The name of the function that starts.
    pub fn function(&self) -> &'static str {
        self.function
    }

    /// The clock that the function goes by.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// AWS's service clients.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The one DynamoDB client. Like those below, its connection is opened before the first invocation; what only some
    /// invocations need, a function takes from [`aws`](Self::aws).
    pub fn dynamodb(&mut self) -> aws_sdk_dynamodb::Client {
        let Self { dynamodb, services, aws, .. } = self;
        let client = dynamodb.get_or_insert_with(|| {
            services.push("dynamodb");
            aws.dynamodb()
        });
        client.clone()
    }

    /// An EventBridge client.
    pub fn eventbridge(&mut self) -> aws_sdk_eventbridge::Client {
        self.services.push("events");
        self.aws.eventbridge()
    }

    /// An SES client ([`Aws::ses`]).
    pub fn ses(&mut self) -> aws_sdk_sesv2::Client {
        self.services.push("email");
        self.aws.ses()
    }

    /// An SQS client.
    pub fn sqs(&mut self) -> aws_sdk_sqs::Client {
        self.services.push("sqs");
        self.aws.sqs()
    }

    /// Fetches the secrets and opens the connections, all at once, or reports every fault.
    pub(crate) async fn finish(self) -> Result<(), StartError> {
        let Self { function, mut faults, secrets, aws, services, .. } = self;
        if faults.is_empty() {
            let connections = services.iter().map(async |service| {
                // A service being away is the first request's problem, not a reason not to start.
                if let Err(error) = aws.open_connection(service).await {
                    tracing::warn!(function, service, cause = error.cause(), "no connection yet");
                }
            });
            let (read, _) = futures_util::future::join(join_all(secrets), join_all(connections)).await;
            faults.extend(read.into_iter().filter_map(Result::err));
        }
        if faults.is_empty() { Ok(()) } else { Err(StartError { function, faults }) }
    }
}

fn required(variables: &Variables, name: &str, faults: &mut Vec<String>) -> String {
    match variables.get(name) {
        Some(value) if !value.is_empty() => value.clone(),
        _ => {
            faults.push(format!("the variable {name} is missing"));
            String::new()
        }
    }
}
