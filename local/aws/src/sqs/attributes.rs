//! Queue attributes as SQS's operations name them.

use std::collections::BTreeMap;

use crate::AwsError;
use rusqlite::Transaction;
use serde_json::{Value, json};

use crate::sqs::queues::{self, Queue};
use crate::sqs::{Depth, Redrive, errors};

/// Kept and shown. Of these `Policy` has an effect on what rules send, and `DeduplicationScope`.
const SHOWN: [&str; 7] = [
    "Policy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "RedriveAllowPolicy",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

/// Gives the queue these attributes, all or none.
pub(crate) fn set(
    tx: &Transaction<'_>,
    queue: &mut Queue,
    attributes: &BTreeMap<String, String>,
) -> Result<(), AwsError> {
    let mut changed = queue.clone();
    for (name, value) in attributes {
        set_one(&mut changed, name, value)?;
    }
    changed.config.check()?;
    if attributes.contains_key("RedrivePolicy")
        && let Some(redrive) = &changed.config.redrive
    {
        check_dead_letter_queue(tx, &changed, redrive)?;
    }
    *queue = changed;
    Ok(())
}

/// The first of these attributes that would change the queue.
pub(crate) fn first_difference<'a>(
    queue: &Queue,
    attributes: &'a BTreeMap<String, String>,
) -> Result<Option<&'a str>, AwsError> {
    for (name, value) in attributes {
        let mut changed = queue.clone();
        set_one(&mut changed, name, value)?;
        if changed != *queue {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn set_one(queue: &mut Queue, name: &str, value: &str) -> Result<(), AwsError> {
    let number = || value.parse::<u32>().map_err(|_| errors::attribute_value(name));
    let flag = || value.parse::<bool>().map_err(|_| errors::attribute_value(name));
    let config = &mut queue.config;
    match name {
        "VisibilityTimeout" => config.visibility_timeout_s = number()?,
        "DelaySeconds" => config.delay_s = number()?,
        "MessageRetentionPeriod" => config.retention_s = number()?,
        "ReceiveMessageWaitTimeSeconds" => config.receive_wait_s = number()?,
        "MaximumMessageSize" => config.max_message_bytes = number()?,
        "ContentBasedDeduplication" => config.content_based_deduplication = flag()?,
        "RedrivePolicy" => config.redrive = redrive(value)?,
        // Decided by the queue's creation.
        "FifoQueue" if flag()? == config.fifo => {}
        "FifoQueue" => return Err(errors::attribute_value(name)),
        _ if !SHOWN.contains(&name) => return Err(errors::attribute_name(name)),
        // As with RedrivePolicy, nothing takes the attribute away.
        _ if value.is_empty() => _ = queue.shown.remove(name),
        _ => _ = queue.shown.insert(name.to_owned(), value.to_owned()),
    }
    Ok(())
}

/// `RedrivePolicy`: JSON in a string, its number itself sometimes a string; empty takes it away.
fn redrive(policy: &str) -> Result<Option<Redrive>, AwsError> {
    if policy.is_empty() {
        return Ok(None);
    }
    let invalid =
        || errors::parameter_value("RedrivePolicy", policy, "Redrive policy is not a valid JSON map.");
    let map: Value = serde_json::from_str(policy).map_err(|_| invalid())?;
    let arn = map.get("deadLetterTargetArn").and_then(Value::as_str).ok_or_else(invalid)?;
    let count = match map.get("maxReceiveCount") {
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_u64().and_then(|count| u32::try_from(count).ok()),
        None => None,
    };
    Ok(Some(Redrive { dead_letter_queue_arn: arn.to_owned(), max_receive_count: count.ok_or_else(invalid)? }))
}

fn check_dead_letter_queue(tx: &Transaction<'_>, queue: &Queue, redrive: &Redrive) -> Result<(), AwsError> {
    let invalid = |reason| errors::parameter_value("RedrivePolicy", policy(redrive), reason);
    let name = queues::name_of_arn(&redrive.dead_letter_queue_arn).unwrap_or_default();
    match queues::find(tx, name)? {
        None => Err(invalid("Dead letter target does not exist.")),
        Some(target) if target.config.fifo != queue.config.fifo => {
            Err(invalid("Dead-letter queue must be same type of queue as the source."))
        }
        Some(_) => Ok(()),
    }
}

fn policy(redrive: &Redrive) -> Value {
    json!({
        "deadLetterTargetArn": redrive.dead_letter_queue_arn,
        "maxReceiveCount": redrive.max_receive_count,
    })
}

/// The attributes of these names, or `All`. A name that the queue has no value for is no error.
pub(crate) fn get(
    queue: &Queue,
    depth: Depth,
    names: &[String],
) -> Result<BTreeMap<String, String>, AwsError> {
    let own = own(queue, depth);
    let known =
        |name: &str| name == "All" || SHOWN.contains(&name) || own.iter().any(|(own, _)| *own == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(errors::attribute_name(unknown));
    }
    let mut attributes = queue.shown.clone();
    attributes.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    attributes.retain(|attribute, _| names.iter().any(|name| name == "All" || name == attribute));
    Ok(attributes)
}

fn own(queue: &Queue, depth: Depth) -> [(&'static str, Option<String>); 14] {
    let config = &queue.config;
    let fifo_only = |value: bool| config.fifo.then(|| value.to_string());
    [
        ("QueueArn", Some(queue.arn())),
        ("ApproximateNumberOfMessages", Some(depth.visible.to_string())),
        ("ApproximateNumberOfMessagesNotVisible", Some(depth.in_flight.to_string())),
        ("ApproximateNumberOfMessagesDelayed", Some(depth.delayed.to_string())),
        ("CreatedTimestamp", Some((queue.created_ms / 1_000).to_string())),
        ("LastModifiedTimestamp", Some((queue.modified_ms / 1_000).to_string())),
        ("VisibilityTimeout", Some(config.visibility_timeout_s.to_string())),
        ("DelaySeconds", Some(config.delay_s.to_string())),
        ("MessageRetentionPeriod", Some(config.retention_s.to_string())),
        ("ReceiveMessageWaitTimeSeconds", Some(config.receive_wait_s.to_string())),
        ("MaximumMessageSize", Some(config.max_message_bytes.to_string())),
        ("RedrivePolicy", config.redrive.as_ref().map(|redrive| policy(redrive).to_string())),
        ("FifoQueue", fifo_only(true)),
        ("ContentBasedDeduplication", fifo_only(config.content_based_deduplication)),
    ]
}
