//! `events-redrive`: brings on their way once more the events that a rule could not deliver and the stream records that
//! `events-relay` could not relay. DevOps invoke it, once what stood in the way is mended.
//!
//! Consumers know what they have done: what had arrived already is done once all the same.

use std::time::{Duration, Instant};

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sqs::types::Message;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::event::SOURCE;
use shared::function::{Operation, StreamReader as _};
use shared::stream;
use shared::{Error, Function, Init, Result};

use crate::relay::Relay;

/// `events-redrive`.
pub static FUNCTION: Function = Function::event::<Redrive>("events-redrive");

/// How long it goes on: another invocation takes what is left.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long the records of one object may take.
const PATIENCE_EACH: Duration = Duration::from_secs(10);
/// Objects that are listed at once.
const AT_ONCE: i32 = 10;
/// Where Lambda puts what it gave up
/// (<https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>).
const PREFIX: &str = "aws/lambda/";

/// Where to go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The `next` that was answered before; nothing to begin with.
    #[serde(default)]
    after: Option<String>,
}

/// What it did.
#[derive(Default, Serialize)]
pub struct Done {
    /// Events that are on the bus again.
    events: usize,
    /// Stream records that are relayed.
    records: usize,
    /// What stays where it is: messages that are no event, records that are not the relay's or that fail again.
    left: usize,
    /// What to go on after; nothing where all was looked at.
    next: Option<String>,
}

/// What that needs.
pub struct Redrive {
    relay: Relay,
    sqs: aws_sdk_sqs::Client,
    /// Where rules put what they could not deliver.
    undelivered: String,
    s3: aws_sdk_s3::Client,
    /// Where Lambda puts what a reader of a stream could not handle.
    failures: String,
    relay_arn: String,
}

/// An event as a rule leaves it in its dead-letter queue.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Undelivered<'a> {
    source: String,
    detail_type: String,
    #[serde(borrow)]
    detail: &'a RawValue,
}

/// What Lambda tells of records that it gave up.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenUp {
    request_context: RequestContext,
    /// The event that the function was invoked with, as JSON.
    payload: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    function_arn: String,
}

impl Operation for Redrive {
    type Input = Start;
    type Output = Done;

    fn init(init: &mut Init) -> Self {
        Self {
            relay: Relay::init(init),
            sqs: init.aws().sqs(),
            undelivered: init.text("UNDELIVERED_EVENTS_DLQ_URL"),
            s3: init.aws().s3(),
            failures: init.text("STREAM_FAILURES_BUCKET"),
            relay_arn: init.text("RELAY_ARN"),
        }
    }

    async fn run(&self, Start { after }: Start) -> Result<Done> {
        let (started, mut done) =
            (Instant::now(), Done { next: Some(after.unwrap_or_default()), ..Done::default() });
        let all =
            self.put_back_events(started, &mut done).await? && self.relay_records(started, &mut done).await?;
        if all {
            done.next = None;
        }
        tracing::info!(events = done.events, records = done.records, left = done.left, "redriven");
        Ok(done)
    }
}

impl Redrive {
    /// Puts the events of the dead-letter queue on the bus; false where time is over before. One that is left is hidden for the
    /// queue's visibility timeout, so that none is taken twice.
    async fn put_back_events(&self, started: Instant, done: &mut Done) -> Result<bool> {
        while started.elapsed() < PATIENCE {
            // One by one: none is hidden for which there is no time.
            let receive = self.sqs.receive_message().queue_url(&self.undelivered).wait_time_seconds(1);
            let messages = receive.send().await?.messages.unwrap_or_default();
            let Some(message) = messages.into_iter().next() else { return Ok(true) };
            match self.put_back(&message).await {
                Ok(true) => done.events += 1,
                Ok(false) => done.left += 1,
                Err(error) => {
                    tracing::warn!(cause = error.cause(), "an event is not back on the bus");
                    done.left += 1;
                }
            }
        }
        Ok(false)
    }

    /// Puts the event of a message on the bus and removes the message; false where it is none.
    async fn put_back(&self, message: &Message) -> Result<bool> {
        let event = message.body().and_then(|body| serde_json::from_str::<Undelivered<'_>>(body).ok());
        let Some(Undelivered { source, detail_type, detail }) = event else { return Ok(false) };
        if source != SOURCE {
            return Ok(false);
        }
        let entry =
            PutEventsRequestEntry::builder().source(source).detail_type(detail_type).detail(detail.get());
        self.relay.put_entry(entry).await?;
        let delete = self.sqs.delete_message().queue_url(&self.undelivered);
        delete.set_receipt_handle(message.receipt_handle.clone()).send().await?;
        Ok(true)
    }

    /// Relays the records that were given up, in no particular order; false where time is over before.
    async fn relay_records(&self, started: Instant, done: &mut Done) -> Result<bool> {
        loop {
            let list = self.s3.list_objects_v2().bucket(&self.failures).prefix(PREFIX).max_keys(AT_ONCE);
            let after = done.next.clone().filter(|after| !after.is_empty());
            let page = list.set_start_after(after).send().await?;
            for object in page.contents() {
                if started.elapsed() > PATIENCE {
                    return Ok(false);
                }
                let key = object.key().unwrap_or_default();
                match self.relay_object(key).await {
                    Ok(Some(records)) => done.records += records,
                    Ok(None) => done.left += 1,
                    Err(error) => {
                        tracing::warn!(key, cause = error.cause(), "an object is not relayed");
                        done.left += 1;
                    }
                }
                done.next = Some(key.to_owned());
            }
            if page.is_truncated() != Some(true) {
                return Ok(true);
            }
        }
    }

    /// Relays the records of an object and removes it; answers how many they were, or nothing where it has to stay.
    async fn relay_object(&self, key: &str) -> Result<Option<usize>> {
        let object = self.s3.get_object().bucket(&self.failures).key(key).send().await?;
        let body = object.body.collect().await.map_err(Error::internal)?.into_bytes();
        let Ok(given_up) = serde_json::from_slice::<GivenUp>(&body) else { return Ok(None) };
        // A version or an alias of it may stand behind.
        let behind = given_up.request_context.function_arn.strip_prefix(&self.relay_arn);
        if !behind.is_some_and(|behind| behind.is_empty() || behind.starts_with(':')) {
            return Ok(None);
        }
        let Ok(changes) = stream::changes(&given_up.payload) else { return Ok(None) };
        match tokio::time::timeout(PATIENCE_EACH, self.relay.read(&changes)).await {
            Ok(Ok(())) => {}
            Ok(Err((_, error))) => {
                tracing::warn!(key, cause = error.cause(), "not relayed");
                return Ok(None);
            }
            Err(_) => {
                tracing::warn!(key, "not relayed in time");
                return Ok(None);
            }
        }
        self.s3.delete_object().bucket(&self.failures).key(key).send().await?;
        Ok(Some(changes.len()))
    }
}
