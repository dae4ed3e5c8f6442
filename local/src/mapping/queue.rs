//! A queue's messages invoke a function, in batches.
//! (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use serde_json::{Map, Value, json};
use shared::aws::Aws;

use super::failures;
use crate::invoke::Invoker;

/// How long a receive waits for messages, in seconds.
const WAIT_SECONDS: i32 = 20;
/// How long a receive may take in all. One that is given up when its messages are on their way leaves them
/// in flight, with nobody to handle them.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long to wait after the queue could not be reached.
const PAUSE: Duration = Duration::from_millis(500);

/// A client that has the patience for long polls.
fn client(aws: &Aws) -> Client {
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).operation_timeout(PATIENCE * 2).build();
    Client::from_conf(aws_sdk_sqs::config::Builder::from(aws.config()).timeout_config(timeouts).build())
}

/// Which queue, and how.
pub struct Mapping {
    /// The queue.
    pub queue_arn: String,
    /// Messages of a batch at most.
    pub batch_size: usize,
    /// Batches that are handled at once at most.
    pub concurrency: usize,
    /// Whether the function reports which messages failed.
    pub reports_failures: bool,
}

impl Mapping {
    /// Invokes `function` with what comes, for ever, with the rights of its role.
    pub async fn run(self, aws: Aws, function: Arc<Invoker>) {
        let sqs = client(&aws);
        let url = super::queue_url(&aws, &self.queue_arn);
        let mapping = Arc::new(self);
        let pollers = (0..mapping.concurrency.max(1)).map(|_| {
            let poller = Poller {
                mapping: Arc::clone(&mapping),
                sqs: sqs.clone(),
                url: url.clone(),
                function: Arc::clone(&function),
            };
            poller.run()
        });
        futures_util::future::join_all(pollers).await;
    }
}

/// One batch after the other.
struct Poller {
    mapping: Arc<Mapping>,
    sqs: Client,
    url: String,
    function: Arc<Invoker>,
}

impl Poller {
    async fn run(self) {
        loop {
            match self.receive().await {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => self.handle(&messages).await,
                Err(error) => {
                    tracing::warn!(queue = self.mapping.queue_arn, error = error.cause(), "cannot receive");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn receive(&self) -> shared::Result<Vec<Message>> {
        let most = i32::try_from(self.mapping.batch_size.clamp(1, 10)).unwrap_or(10);
        let receive = self.sqs.receive_message().queue_url(&self.url).max_number_of_messages(most);
        let receive = receive
            .wait_time_seconds(WAIT_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        Ok(receive.send().await?.messages.unwrap_or_default())
    }

    /// Invokes the function and deletes what it is done with; the rest comes again after its visibility.
    async fn handle(&self, messages: &[Message]) {
        let records: Vec<Value> = messages.iter().map(|message| self.record(message)).collect();
        let done: Vec<&Message> = match self.function.invoke(json!({"Records": records}).to_string()).await {
            Ok(_) if !self.mapping.reports_failures => messages.iter().collect(),
            Ok(answer) => match failures(&answer) {
                Some(failed) => {
                    let known = |id: &String| messages.iter().any(|message| message.message_id() == Some(id));
                    if !failed.iter().all(known) {
                        return;
                    }
                    let is_done =
                        |message: &&Message| !failed.iter().any(|id| message.message_id() == Some(id));
                    messages.iter().filter(is_done).collect()
                }
                None => return,
            },
            Err(error) => {
                tracing::error!(function = self.function.name, %error, "batch failed");
                return;
            }
        };
        if let Err(error) = self.delete(&done).await {
            tracing::warn!(queue = self.mapping.queue_arn, error = error.cause(), "cannot delete");
        }
    }

    async fn delete(&self, messages: &[&Message]) -> shared::Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let entries = messages.iter().enumerate().map(|(place, message)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(message.receipt_handle().unwrap_or_default())
                .build()
                .map_err(shared::Error::internal)
        });
        let entries = entries.collect::<shared::Result<Vec<_>>>()?;
        self.sqs.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await?;
        Ok(())
    }

    /// The record that Lambda makes of a message.
    fn record(&self, message: &Message) -> Value {
        let system: Map<String, Value> = message
            .attributes()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str().to_owned(), json!(value)))
            .collect();
        let own: HashMap<&String, Value> = message
            .message_attributes()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let text = json!({"dataType": value.data_type(), "stringValue": value.string_value()});
                (name, text)
            })
            .collect();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": system,
            "messageAttributes": own,
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.mapping.queue_arn,
            "awsRegion": local_aws::REGION,
        })
    }
}
