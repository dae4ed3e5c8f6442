//! Entry kind queue: a batch of SQS messages, answered with the ids of those that failed.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Call, Consumer, Failure, Running, log_panic};
use crate::{Error, Result};

pub(super) struct Queue<C>(pub(super) C);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    body: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: String,
}

/// Which delivery of a message this is.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// SQS's id of the message.
    pub message_id: String,
    /// How often the message has been received, this time included.
    pub attempt: u32,
}

/// What tells SQS which messages to keep
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>); streams share it.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct BatchResponse {
    pub(super) batch_item_failures: Vec<ItemFailure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ItemFailure {
    pub(super) item_identifier: String,
}

impl<C: Consumer> Queue<C> {
    /// Handles one message; true where it need not come again.
    async fn consume(&self, call: Call<'_>, record: Record) -> bool {
        let started = Instant::now();
        let attempt = record.attributes.approximate_receive_count.parse().unwrap_or(1);
        let delivery = Delivery { message_id: record.message_id, attempt };
        let work = async {
            let message = serde_json::from_str(&record.body).map_err(|error| {
                // The parser's own words may quote the message.
                let (line, column) = (error.line(), error.column());
                Error::internal(format!("malformed message at line {line}, column {column}"))
            })?;
            self.0.consume(message, &delivery).await
        };
        let outcome = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
            log_panic(call.function, call.request_id, &*panic);
            Err(Error::internal("panicked"))
        });
        if let Err(error) = &outcome {
            call.failed(error);
        }
        tracing::info!(
            function = call.function,
            requestId = call.request_id,
            messageId = delivery.message_id,
            attempt,
            outcome = if outcome.is_ok() { "done" } else { "failed" },
            durationMs = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "message"
        );
        outcome.is_ok()
    }
}

impl<C: Consumer> Running for Queue<C> {
    fn invoke<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Box<RawValue>, Failure>> {
        Box::pin(async move {
            let Batch { records } = call.parse()?;
            // At once: a batch has at most ten messages, and each waits mostly for the network.
            let failures = join_all(records.into_iter().map(async |record| {
                let item_identifier = record.message_id.clone();
                (!self.consume(call, record).await).then_some(ItemFailure { item_identifier })
            }));
            let batch_item_failures = failures.await.into_iter().flatten().collect();
            call.answer(&BatchResponse { batch_item_failures })
        })
    }
}
