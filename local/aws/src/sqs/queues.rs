//! The queues themselves, one row with one JSON document each: there are few,
//! and a new attribute needs no migration.

use std::collections::BTreeMap;

use crate::AwsError;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Transaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sqs::{QueueConfig, Sqs, errors};

pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS sqs_queue (
        name TEXT PRIMARY KEY,
        document TEXT NOT NULL
    ) WITHOUT ROWID;
";

/// A queue as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub config: QueueConfig,
    /// Attributes that are kept and shown, mostly without effect here (`Policy`, `KmsMasterKeyId` ...).
    pub shown: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub created_ms: i64,
    pub modified_ms: i64,
}

impl Queue {
    pub(crate) fn new(config: QueueConfig, now: i64) -> Self {
        Self { config, shown: BTreeMap::new(), tags: BTreeMap::new(), created_ms: now, modified_ms: now }
    }

    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) fn arn(&self) -> String {
        Sqs::arn(self.name())
    }
}

/// The name in the ARN of a queue of this account and region.
pub(crate) fn name_of_arn(arn: &str) -> Option<&str> {
    arn.strip_prefix(&Sqs::arn("")).filter(|name| !name.is_empty())
}

/// JSON that this service stored itself; anything else is the database's fault.
pub(crate) fn stored<T: DeserializeOwned>(json: &str) -> rusqlite::Result<T> {
    serde_json::from_str(json)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(crate) fn find(tx: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<Queue>> {
    let document = tx
        .prepare_cached("SELECT document FROM sqs_queue WHERE name = ?1")?
        .query_row([name], |row| row.get::<_, String>(0))
        .optional()?;
    document.map(|json| stored(&json)).transpose()
}

pub(crate) fn load(tx: &Transaction<'_>, name: &str) -> Result<Queue, AwsError> {
    find(tx, name)?.ok_or_else(errors::no_queue)
}

pub(crate) fn save(tx: &Transaction<'_>, queue: &Queue) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO sqs_queue (name, document) VALUES (?1, ?2)")?
        .execute((queue.name(), to_json(queue)?))?;
    Ok(())
}

/// All queues by name.
pub(crate) fn all(tx: &Transaction<'_>) -> rusqlite::Result<Vec<Queue>> {
    let mut statement = tx.prepare_cached("SELECT document FROM sqs_queue ORDER BY name")?;
    let documents = statement.query_map([], |row| row.get::<_, String>(0))?;
    documents.map(|json| stored(&json?)).collect()
}

/// The queues that give up messages to this one.
pub(crate) fn sources_of(tx: &Transaction<'_>, dead_letter_queue: &Queue) -> rusqlite::Result<Vec<Queue>> {
    let arn = dead_letter_queue.arn();
    let mut queues = all(tx)?;
    queues.retain(|queue| {
        queue.config.redrive.as_ref().is_some_and(|redrive| redrive.dead_letter_queue_arn == arn)
    });
    Ok(queues)
}

pub(crate) fn declare(tx: &Transaction<'_>, config: &QueueConfig, now: i64) -> Result<(), AwsError> {
    config.check()?;
    let mut queue = match find(tx, &config.name)? {
        Some(queue) if queue.config == *config => return Ok(()),
        Some(queue) => queue,
        None => Queue::new(config.clone(), now),
    };
    queue.config = config.clone();
    queue.modified_ms = now;
    Ok(save(tx, &queue)?)
}

pub(crate) fn delete(tx: &Transaction<'_>, queue: &Queue) -> rusqlite::Result<()> {
    for table in ["sqs_message", "sqs_deduplication", "sqs_move_task"] {
        tx.execute(&format!("DELETE FROM {table} WHERE queue = ?1"), [queue.name()])?;
    }
    tx.execute("DELETE FROM sqs_queue WHERE name = ?1", [queue.name()])?;
    Ok(())
}
