//! The time invokes a function, and Lambda tries again what failed.
//! (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>)

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use local_aws::Clock;
use local_aws::schedule::Schedule;
use serde_json::{Value, json};
use shared::aws::Aws;

use crate::invoke::Invoker;
use crate::template::number;

/// How often the clock is looked at: it may jump forward.
const LOOK: Duration = Duration::from_millis(250);

/// How long Lambda waits before it tries again an event that its function failed.
const PAUSES: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

/// What Scheduler writes the time for
/// (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html>).
const TIME: &str = "<aws.scheduler.scheduled-time>";

/// Which schedule.
pub struct Mapping {
    /// The schedule's name.
    pub id: String,
    /// `rate(...)`, `cron(...)` or `at(...)`.
    pub expression: String,
    /// Whether it runs at all.
    pub enabled: bool,
    /// What the function is given, with [`TIME`] for when it was due.
    pub input: String,
    /// What becomes of an event that the function failed.
    pub failing: Failing,
}

/// What Lambda does with an event that nobody waits for and that its function failed: `EventInvokeConfig`.
#[derive(Clone, Debug)]
pub struct Failing {
    /// How often it is tried again, at most twice.
    pub retries: usize,
    /// How long after it came it is tried at most.
    pub longest: Duration,
    /// The ARN of the queue that takes it in the end.
    pub destination: Option<String>,
}

impl Failing {
    /// Reads a resolved `EventInvokeConfig`.
    pub fn read(configuration: &Value) -> Self {
        Self {
            retries: number(&configuration["MaximumRetryAttempts"]).unwrap_or(2),
            longest: Duration::from_secs(
                number(&configuration["MaximumEventAgeInSeconds"]).unwrap_or(6 * 3600),
            ),
            destination: configuration["DestinationConfig"]["OnFailure"]["Destination"]
                .as_str()
                .filter(|arn| arn.starts_with("arn:aws:sqs:"))
                .map(ToOwned::to_owned),
        }
    }
}

impl Mapping {
    /// Invokes `function` when it is due, for ever; a run does not wait for the one before. A jump of the clock over several times
    /// invokes it once, for the first of them.
    pub async fn run(self, clock: Clock, aws: Aws, function: Arc<Invoker>) {
        let schedule: Schedule = match self.expression.parse() {
            Ok(schedule) => schedule,
            Err(error) => {
                tracing::error!(schedule = self.id, %error, "cannot be due");
                return;
            }
        };
        let mut due = schedule.next_after(clock.now()).filter(|_| self.enabled);
        let mut runs = FuturesUnordered::new();
        // Never due again is no end: only what failed ends.
        loop {
            if let Some(time) = due.filter(|time| *time <= clock.now()) {
                let event = self.input.replace(TIME, &time.to_string());
                runs.push(self.invoke(&clock, &aws, &function, event));
                due = schedule.next_after(clock.now());
            }
            tokio::select! {
                Some(()) = runs.next() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Invokes the function until it succeeds, or gives the event up.
    async fn invoke(&self, clock: &Clock, aws: &Aws, function: &Invoker, event: String) {
        let age = |since: i64| Duration::from_millis(u64::try_from(clock.now_ms() - since).unwrap_or(0));
        let came = clock.now_ms();
        let mut tries = 0;
        let (reason, error) = loop {
            let Err(error) = function.invoke(event.clone()).await else { return };
            tracing::error!(schedule = self.id, function = function.name, %error, "failed");
            tries += 1;
            let Some(pause) = PAUSES.get(tries - 1).filter(|_| tries <= self.failing.retries) else {
                break ("RetriesExhausted", error);
            };
            let failed = clock.now_ms();
            while age(failed) < *pause {
                tokio::time::sleep(LOOK).await;
            }
            if age(came) > self.failing.longest {
                break ("EventAgeExceeded", error);
            }
        };
        let Some(queue) = &self.failing.destination else { return };
        let record = json!({
            "version": "1.0",
            "timestamp": format!("{:.3}", clock.now()),
            "requestContext": {
                "requestId": uuid::Uuid::new_v4(),
                "functionArn": format!("{}:$LATEST", crate::deploy::function_arn(&function.name)),
                "condition": reason,
                "approximateInvokeCount": tries,
            },
            "requestPayload": serde_json::from_str(&event).unwrap_or(Value::Null),
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {"errorMessage": error.to_string()},
        });
        let send =
            aws.sqs().send_message().queue_url(super::queue_url(aws, queue)).message_body(record.to_string());
        if let Err(error) = send.send().await {
            let error = shared::Error::from(error);
            tracing::error!(schedule = self.id, queue, error = error.cause(), "what failed is lost");
        }
    }
}
