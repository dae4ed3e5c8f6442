//! Plays Lambda's event source mappings, and EventBridge Scheduler: what invokes functions unasked.

use serde_json::Value;
use shared::aws::Aws;

use crate::template::{self, is_true, number, text};

pub mod queue;
pub mod schedule;
pub mod stream;

/// What invokes a function.
pub enum Source {
    /// A queue's messages.
    Queue(queue::Mapping),
    /// A table's stream.
    Stream(stream::Mapping),
    /// The time.
    Schedule(schedule::Mapping),
}

impl Source {
    /// Reads an event of a SAM function and its `EventInvokeConfig`, whose values are resolved; nothing if it is of another
    /// type.
    pub fn read(kind: &str, id: &str, properties: &Value, invocations: &Value) -> Option<Self> {
        let number = |value: &Value, default: usize| number(value).unwrap_or(default);
        let reports_failures = properties["FunctionResponseTypes"]
            .as_array()
            .is_some_and(|types| types.iter().any(|t| t == "ReportBatchItemFailures"));
        match kind {
            "SQS" => Some(Self::Queue(queue::Mapping {
                queue_arn: text(&properties["Queue"]),
                batch_size: number(&properties["BatchSize"], 10),
                concurrency: number(&properties["ScalingConfig"]["MaximumConcurrency"], 10),
                reports_failures,
            })),
            "DynamoDB" => Some(Self::Stream(stream::Mapping {
                id: id.to_owned(),
                stream_arn: text(&properties["Stream"]),
                from_start: properties["StartingPosition"] == "TRIM_HORIZON",
                batch_size: number(&properties["BatchSize"], 100),
                retries: template::number(&properties["MaximumRetryAttempts"]),
                bisects: is_true(&properties["BisectBatchOnFunctionError"]),
                reports_failures,
                on_failure: properties["DestinationConfig"]["OnFailure"]["Destination"]
                    .as_str()
                    .map(ToOwned::to_owned),
            })),
            "ScheduleV2" => Some(Self::Schedule(schedule::Mapping {
                id: id.to_owned(),
                expression: text(&properties["ScheduleExpression"]),
                enabled: properties["State"] != "DISABLED",
                input: properties.get("Input").map_or_else(|| "{}".to_owned(), text),
                failing: schedule::Failing::read(invocations),
            })),
            _ => None,
        }
    }
}

/// The ids that a function's answer reports as failed; nothing where the answer is no such report, which
/// Lambda takes as a failure of the whole batch.
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>)
fn failures(answer: &str) -> Option<Vec<String>> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    match &answer["batchItemFailures"] {
        Value::Null => Some(Vec::new()),
        Value::Array(failures) => failures
            .iter()
            .map(|failure| {
                failure["itemIdentifier"].as_str().filter(|id| !id.is_empty()).map(ToOwned::to_owned)
            })
            .collect(),
        _ => None,
    }
}

/// The URL of a queue of the endpoint, which Lambda knows without being let ask for it.
fn queue_url(aws: &Aws, arn: &str) -> String {
    let name = arn.rsplit(':').next().unwrap_or_default();
    let endpoint = aws.config().endpoint_url().unwrap_or_default().trim_end_matches('/');
    format!("{endpoint}/{}/{name}", local_aws::ACCOUNT)
}
