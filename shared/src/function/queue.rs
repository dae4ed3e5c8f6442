//! Entry kind queue: a batch of SQS messages, answered with the ids of those that failed.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use futures_util::future::{BoxFuture, join_all};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::{Call, Consumer, Failure, GIVE_UP, Running, answer};
use crate::init::Init;
use crate::{Error, Result};

/// The longest wait before a message is tried again, in seconds.
const LONGEST_WAIT: u32 = 900;

/// Until when a message is put off at the latest, from the invocation's beginning on: were the function killed over it, what is done of
/// its batch would come again.
const PUT_OFF: Duration = GIVE_UP.saturating_add(Duration::from_secs(2));

pub(super) struct Queue<C> {
    consumer: C,
    sqs: aws_sdk_sqs::Client,
    /// Where the dead-letter queue is, once it was looked up.
    dead_letters: OnceCell<String>,
}

/// Where a queue says that its dead-letter queue is
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
}

/// The attribute of a message in a dead-letter queue that says why it is there, if no try brought it there.
const REASON: &str = "reason";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "eventSourceARN")]
    queue_arn: String,
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

/// What a queue carries.
pub trait Message: DeserializeOwned + Send {
    /// What the log calls the message.
    fn label(&self) -> Label;
}

/// What the log says of a message; nothing of one that cannot be read.
#[derive(Clone, Debug, Default)]
pub struct Label {
    /// What it is: a job's name or an event's type.
    pub kind: &'static str,
    /// The job's or the event's id.
    pub id: Uuid,
    /// The correlation id of the request that caused it.
    pub correlation_id: String,
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
    pub(super) fn new(init: &mut Init) -> Self {
        Self { consumer: C::init(init), sqs: init.aws().sqs(), dead_letters: OnceCell::new() }
    }

    /// Handles one message; true where it need not come again.
    async fn consume(&self, call: Call<'_>, record: Record) -> bool {
        let started = Instant::now();
        let attempt = record.attributes.approximate_receive_count.parse().unwrap_or(1);
        let delivery = Delivery { message_id: record.message_id, attempt };
        let message = serde_json::from_str::<C::Message>(&record.body);
        let label = message.as_ref().map(Message::label).unwrap_or_default();
        let call = Call { correlation_id: &label.correlation_id, ..call };
        let work = async {
            // The parser's own words may quote the message.
            let message = message.map_err(|error| {
                let what = if error.is_data() { "not of the form that it takes" } else { "no JSON" };
                Error::Poison(format!("{what}, at line {}, column {}", error.line(), error.column()))
            })?;
            self.consumer.consume(message, &delivery).await
        };
        let mut ended = "done";
        let outcome = call
            .bounded(async {
                let outcome = work.await;
                let Err(Error::Poison(reason)) = &outcome else { return outcome };
                call.failed(&Error::Poison(reason.clone()));
                // Where this fails, its tries bring it there.
                self.set_aside(&record.queue_arn, &record.body, reason).await?;
                ended = "set aside";
                Ok(())
            })
            .await;
        if let Err(error) = &outcome {
            call.failed(error);
            let left = PUT_OFF.saturating_sub(started.elapsed());
            let seconds = wait_after(attempt, error);
            self.put_off(call, &record.queue_arn, &record.receipt_handle, seconds, left).await;
            ended = "failed";
        }
        tracing::info!(
            function = call.function,
            requestId = call.request_id,
            messageId = delivery.message_id,
            job = label.kind,
            id = %label.id,
            correlationId = label.correlation_id,
            attempt,
            outcome = ended,
            durationMs = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "message"
        );
        outcome.is_ok()
    }

    /// Puts a message's body into the dead-letter queue of its queue, as it is, with the reason beside it. It may come to be there
    /// several times: after a crash, and where the reply is lost.
    async fn set_aside(&self, queue_arn: &str, body: &str, reason: &str) -> Result<()> {
        let url = self.dead_letters.get_or_try_init(|| self.dead_letter_queue(queue_arn)).await?;
        let reason = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
        let send = self.sqs.send_message().queue_url(url).message_body(body);
        send.message_attributes(REASON, reason.map_err(Error::internal)?).send().await?;
        Ok(())
    }

    async fn dead_letter_queue(&self, queue_arn: &str) -> Result<String> {
        let unknown = || Error::internal("a queue without a dead-letter queue");
        let attributes = self.sqs.get_queue_attributes().queue_url(queue_url(queue_arn).ok_or_else(unknown)?);
        let answer = attributes.attribute_names(QueueAttributeName::RedrivePolicy).send().await?;
        let policy = answer.attributes().and_then(|all| all.get(&QueueAttributeName::RedrivePolicy));
        let policy: RedrivePolicy =
            serde_json::from_str(policy.ok_or_else(unknown)?).map_err(Error::internal)?;
        queue_url(&policy.dead_letter_target_arn).ok_or_else(unknown)
    }

    /// Has the message come again after `seconds` rather than after the queue's visibility timeout, which
    /// has to outlast a function that is killed; tries to for as long as is `left`.
    async fn put_off(
        &self,
        call: Call<'_>,
        queue_arn: &str,
        receipt_handle: &str,
        seconds: u32,
        left: Duration,
    ) {
        let Some(url) = queue_url(queue_arn) else { return };
        let change = self.sqs.change_message_visibility().queue_url(url).receipt_handle(receipt_handle);
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        let change = tokio::time::timeout(left, change.visibility_timeout(seconds).send());
        let error = match change.await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.into(),
            Err(elapsed) => Error::NoReply(elapsed.into()),
        };
        // It comes again all the same, only later.
        call.failed(&error);
    }
}

/// The URL of the queue that a record came from: what SQS knows it by, wherever its endpoint is.
fn queue_url(arn: &str) -> Option<String> {
    let mut parts = arn.split(':').skip(1);
    let (partition, _, region) = (parts.next()?, parts.next()?, parts.next()?);
    let (account, name) = (parts.next()?, parts.next()?);
    let suffix = if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
    Some(format!("https://sqs.{region}.{suffix}/{account}/{name}"))
}

/// How long after its failed `attempt` a message is tried again, in seconds: 1, 2, 4 ... unless the error
/// knows better.
fn wait_after(attempt: u32, error: &Error) -> u32 {
    match error {
        Error::Busy { seconds } => *seconds,
        _ => 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(LONGEST_WAIT).clamp(1, LONGEST_WAIT),
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
            answer(&BatchResponse { batch_item_failures })
        })
    }
}
