//! The SDK's operations, but for the batches and the move tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{ACCOUNT, AwsError, Reply};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use rusqlite::Transaction;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::sqs::message_attributes::{md5, md5_hex, wanted};
use crate::sqs::queues::{self, Queue};
use crate::sqs::{Message, NewMessage, QueueConfig, Sqs, attributes, errors, messages, receipts};

/// The request's fields, or AWS's error for a field of the wrong type.
pub(crate) fn parse<T: DeserializeOwned>(input: Value) -> Result<T, AwsError> {
    serde_json::from_value(input).map_err(errors::malformed)
}

pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, AwsError> {
    value.ok_or_else(|| errors::missing(name))
}

/// A number that the request may leave out.
fn optional_within(name: &str, value: Option<i64>, min: u32, max: u32) -> Result<Option<u32>, AwsError> {
    let Some(value) = value else { return Ok(None) };
    match u32::try_from(value) {
        Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
        _ => Err(errors::parameter_value(
            name,
            value,
            &format!("Must be between {min} and {max}, if provided."),
        )),
    }
}

/// The queue's name in `http://anything/000000000000/NAME`. The host doesn't matter:
/// a container may know this service by another one.
fn name_of_url(url: &str) -> Result<&str, AwsError> {
    match url.rsplit_once('/') {
        Some((rest, name)) if !name.is_empty() && rest.ends_with(&format!("/{ACCOUNT}")) => Ok(name),
        _ => Err(errors::address(url)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateQueue {
    queue_name: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default, rename = "tags")]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueUrl {
    queue_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfQueue {
    queue_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueAttributes {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetQueueAttributes {
    queue_url: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagQueue {
    queue_url: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagQueue {
    queue_url: Option<String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessage {
    queue_url: Option<String>,
    max_number_of_messages: Option<i64>,
    wait_time_seconds: Option<i64>,
    visibility_timeout: Option<i64>,
    /// The older name of `message_system_attribute_names`.
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

/// A request of one queue and the fields that its batch's entries have too.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Single<T> {
    queue_url: Option<String>,
    #[serde(flatten)]
    fields: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SendFields {
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    #[serde(default)]
    message_attributes: Map<String, Value>,
    #[serde(default)]
    message_system_attributes: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DeleteFields {
    receipt_handle: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VisibilityFields {
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

impl SendFields {
    /// What counts towards a batch's size. Attributes that are wrong fail with their entry.
    pub(crate) fn size(&self) -> usize {
        let body = self.message_body.as_ref().map_or(0, String::len);
        body + crate::sqs::message_attributes::check(&self.message_attributes).unwrap_or(0)
    }

    fn into_message(self) -> Result<NewMessage, AwsError> {
        Ok(NewMessage {
            body: required(self.message_body, "MessageBody")?,
            delay_s: optional_within("DelaySeconds", self.delay_seconds, 0, 900)?,
            group_id: self.message_group_id,
            deduplication_id: self.message_deduplication_id,
            message_attributes: self.message_attributes,
            trace_header: trace_header(&self.message_system_attributes)?,
        })
    }
}

fn trace_header(attributes: &Map<String, Value>) -> Result<Option<String>, AwsError> {
    if let Some(unknown) = attributes.keys().find(|name| *name != "AWSTraceHeader") {
        return Err(errors::parameter(format!("Message system attribute name '{unknown}' is invalid.")));
    }
    let value = attributes.get("AWSTraceHeader").and_then(|attribute| attribute.get("StringValue"));
    Ok(value.and_then(Value::as_str).map(str::to_owned))
}

pub(crate) fn send(tx: &Transaction<'_>, queue: &Queue, fields: SendFields, now: i64) -> Reply {
    let system_attributes = fields.message_system_attributes.clone();
    let message = fields.into_message()?;
    let sent = messages::send(tx, queue, &message, now)?;
    let mut output = Map::new();
    output.insert("MD5OfMessageBody".into(), md5_hex(message.body.as_bytes()).into());
    output.extend(md5(&message.message_attributes).map(|md5| ("MD5OfMessageAttributes".into(), md5.into())));
    output.extend(md5(&system_attributes).map(|md5| ("MD5OfMessageSystemAttributes".into(), md5.into())));
    if queue.config.fifo {
        output.insert("SequenceNumber".into(), sent.sequence_number().into());
    }
    output.insert("MessageId".into(), sent.id.into());
    Ok(Value::Object(output))
}

pub(crate) fn delete(tx: &Transaction<'_>, queue: &Queue, fields: DeleteFields, now: i64) -> Reply {
    let handle = required(fields.receipt_handle, "ReceiptHandle")?;
    receipts::delete(tx, queue, &handle, now)?;
    Ok(json!({}))
}

pub(crate) fn change_visibility(
    tx: &Transaction<'_>,
    queue: &Queue,
    fields: VisibilityFields,
    now: i64,
) -> Reply {
    let handle = required(fields.receipt_handle, "ReceiptHandle")?;
    let seconds = required(fields.visibility_timeout, "VisibilityTimeout")?;
    receipts::change_visibility(tx, queue, &handle, seconds, now)?;
    Ok(json!({}))
}

impl Sqs {
    /// Answers one of the SDK's operations: `action` is what follows `AmazonSQS.` in `X-Amz-Target`.
    pub async fn handle(&self, action: &str, input: Value) -> Reply {
        if action == "ReceiveMessage" {
            return self.receive_message(parse(input)?).await;
        }
        let reply = match action {
            "CreateQueue" => self.create_queue(parse(input)?),
            "GetQueueUrl" => self.get_queue_url(parse(input)?),
            "ListQueues" => self.list_queues(&parse(input)?),
            "ListDeadLetterSourceQueues" => self.list_dead_letter_source_queues(parse(input)?),
            "GetQueueAttributes" => self.get_queue_attributes(parse(input)?),
            "SetQueueAttributes" => self.set_queue_attributes(parse(input)?),
            "PurgeQueue" => self.purge_queue(parse(input)?),
            "DeleteQueue" => self.delete_queue(parse(input)?),
            "TagQueue" => self.tag_queue(parse(input)?),
            "UntagQueue" => self.untag_queue(parse(input)?),
            "ListQueueTags" => self.list_queue_tags(parse(input)?),
            "SendMessage" => self.single(input, send),
            "DeleteMessage" => self.single(input, delete),
            "ChangeMessageVisibility" => self.single(input, change_visibility),
            "SendMessageBatch" => self.send_message_batch(parse(input)?),
            "DeleteMessageBatch" => self.batch(parse(input)?, delete),
            "ChangeMessageVisibilityBatch" => self.batch(parse(input)?, change_visibility),
            "StartMessageMoveTask" => self.start_message_move_task(parse(input)?),
            "ListMessageMoveTasks" => self.list_message_move_tasks(parse(input)?),
            "CancelMessageMoveTask" => self.cancel_message_move_task(parse(input)?),
            _ => Err(errors::unknown_operation(action)),
        };
        // Whatever may have made a message receivable.
        if reply.is_ok() && !action.starts_with("Get") && !action.starts_with("List") {
            self.wake();
        }
        reply
    }

    /// One transaction on the queue of this URL.
    pub(crate) fn on_queue<T>(
        &self,
        url: Option<String>,
        work: impl FnOnce(&Transaction<'_>, Queue, i64) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let url = required(url, "QueueUrl")?;
        let name = name_of_url(&url)?;
        let now = self.clock.now_ms();
        self.store.transaction(|tx| work(tx, queues::load(tx, name)?, now))
    }

    fn single<T: DeserializeOwned>(
        &self,
        input: Value,
        act: impl FnOnce(&Transaction<'_>, &Queue, T, i64) -> Reply,
    ) -> Reply {
        let Single { queue_url, fields } = parse(input)?;
        self.on_queue(queue_url, |tx, queue, now| act(tx, &queue, fields, now))
    }

    fn create_queue(&self, input: CreateQueue) -> Reply {
        let name = required(input.queue_name, "QueueName")?;
        let mut attributes = input.attributes;
        // The one attribute that makes another kind of queue, not another queue.
        let fifo = attributes.remove("FifoQueue").is_some_and(|value| value == "true");
        let config = QueueConfig { fifo, ..QueueConfig::new(&name) };
        config.check()?;
        let now = self.clock.now_ms();
        self.store.transaction(|tx| {
            if let Some(queue) = queues::find(tx, &name)? {
                let difference = attributes::first_difference(&queue, &attributes)?;
                return difference.map_or(Ok(()), |attribute| Err(errors::queue_exists(attribute)));
            }
            let mut queue = Queue::new(config, now);
            attributes::set(tx, &mut queue, &attributes)?;
            queue.tags = input.tags;
            Ok(queues::save(tx, &queue)?)
        })?;
        Ok(json!({"QueueUrl": self.url(&name)}))
    }

    fn get_queue_url(&self, input: GetQueueUrl) -> Reply {
        let name = required(input.queue_name, "QueueName")?;
        self.store.transaction(|tx| queues::load(tx, &name).map(drop))?;
        Ok(json!({"QueueUrl": self.url(&name)}))
    }

    fn list_queues(&self, input: &ListQueues) -> Reply {
        let asked = optional_within("MaxResults", input.max_results, 1, 1_000)?;
        let limit = asked.map_or(1_000, |max| usize::try_from(max).unwrap_or(usize::MAX));
        let after = input.next_token.as_ref().map(|token| URL_SAFE.decode(token)).transpose();
        let after =
            after.map_err(|_| errors::parameter("Invalid or expired next token."))?.unwrap_or_default();
        let queues = self.store.transaction(queues::all)?;
        let mut names: Vec<_> = queues
            .iter()
            .map(Queue::name)
            .filter(|name| name.starts_with(&input.queue_name_prefix) && name.as_bytes() > after.as_slice())
            .collect();
        let more = names.len() > limit;
        names.truncate(limit);
        let mut output = json!({"QueueUrls": names.iter().map(|name| self.url(name)).collect::<Vec<_>>()});
        if let Some(last) = names.last().filter(|_| more && asked.is_some()) {
            output["NextToken"] = URL_SAFE.encode(last).into();
        }
        Ok(output)
    }

    fn list_dead_letter_source_queues(&self, input: OfQueue) -> Reply {
        let sources = self.on_queue(input.queue_url, |tx, queue, _| Ok(queues::sources_of(tx, &queue)?))?;
        // Lower-case here and nowhere else: AWS's own inconsistency.
        Ok(json!({"queueUrls": sources.iter().map(|queue| self.url(queue.name())).collect::<Vec<_>>()}))
    }

    fn get_queue_attributes(&self, input: GetQueueAttributes) -> Reply {
        self.on_queue(input.queue_url, |tx, queue, now| {
            let depth = messages::depth(tx, &queue, now)?;
            Ok(json!({"Attributes": attributes::get(&queue, depth, &input.attribute_names)?}))
        })
    }

    fn set_queue_attributes(&self, input: SetQueueAttributes) -> Reply {
        let attributes = required(input.attributes, "Attributes")?;
        self.change_queue(input.queue_url, |tx, queue, now| {
            attributes::set(tx, queue, &attributes)?;
            queue.modified_ms = now;
            Ok(())
        })
    }

    fn tag_queue(&self, input: TagQueue) -> Reply {
        self.change_queue(input.queue_url, |_, queue, _| {
            queue.tags.extend(input.tags);
            Ok(())
        })
    }

    fn untag_queue(&self, input: UntagQueue) -> Reply {
        self.change_queue(input.queue_url, |_, queue, _| {
            queue.tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        })
    }

    fn change_queue(
        &self,
        url: Option<String>,
        change: impl FnOnce(&Transaction<'_>, &mut Queue, i64) -> Result<(), AwsError>,
    ) -> Reply {
        self.on_queue(url, |tx, mut queue, now| {
            change(tx, &mut queue, now)?;
            queues::save(tx, &queue)?;
            Ok(json!({}))
        })
    }

    fn list_queue_tags(&self, input: OfQueue) -> Reply {
        self.on_queue(input.queue_url, |_, queue, _| Ok(json!({"Tags": queue.tags})))
    }

    fn purge_queue(&self, input: OfQueue) -> Reply {
        self.on_queue(input.queue_url, |tx, queue, _| {
            messages::purge(tx, &queue)?;
            Ok(json!({}))
        })
    }

    fn delete_queue(&self, input: OfQueue) -> Reply {
        self.on_queue(input.queue_url, |tx, queue, _| {
            queues::delete(tx, &queue)?;
            Ok(json!({}))
        })
    }

    async fn receive_message(&self, input: ReceiveMessage) -> Reply {
        let max = optional_within("MaxNumberOfMessages", input.max_number_of_messages, 1, 10)?.unwrap_or(1);
        let wait_s = optional_within("WaitTimeSeconds", input.wait_time_seconds, 0, 20)?;
        let visibility_s = optional_within("VisibilityTimeout", input.visibility_timeout, 0, 43_200)?;
        let queue = self.on_queue(input.queue_url, |_, queue, _| Ok(queue))?;
        let wait = Duration::from_secs(u64::from(wait_s.unwrap_or(queue.config.receive_wait_s)));
        let max = usize::try_from(max).unwrap_or(1);
        let messages = self.receive_for(queue.name(), max, wait, visibility_s).await?;

        let mut system = input.attribute_names;
        system.extend(input.message_system_attribute_names);
        let own = input.message_attribute_names;
        let shown: Vec<Value> = messages.into_iter().map(|message| show(message, &system, &own)).collect();
        // AWS leaves the field out of an empty answer.
        Ok(if shown.is_empty() { json!({}) } else { json!({"Messages": shown}) })
    }
}

/// A received message with the attributes that were asked for.
fn show(message: Message, system: &[String], own: &[String]) -> Value {
    let mut attributes = message.attributes;
    attributes.retain(|name, _| system.iter().any(|asked| asked == "All" || asked == name));
    let message_attributes: Map<_, _> =
        message.message_attributes.into_iter().filter(|(name, _)| wanted(name, own)).collect();
    let mut output = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": message.md5_of_body,
        "Body": message.body,
    });
    if !attributes.is_empty() {
        output["Attributes"] = json!(attributes);
    }
    if let Some(md5) = md5(&message_attributes) {
        output["MD5OfMessageAttributes"] = md5.into();
        output["MessageAttributes"] = message_attributes.into();
    }
    output
}
