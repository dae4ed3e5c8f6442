//! Moving dead letters back ("redrive"). A task is done by the time its start is answered.

use crate::{AwsError, Reply};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::sqs::operations::required;
use crate::sqs::queues::{self, Queue};
use crate::sqs::{Sqs, errors};

/// `queue` is the one that messages are moved out of; `seq` tells the latest task.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS sqs_move_task (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        handle TEXT NOT NULL UNIQUE,
        queue TEXT NOT NULL,
        destination_arn TEXT,
        per_second INTEGER,
        moved INTEGER NOT NULL,
        to_move INTEGER NOT NULL,
        failure TEXT,
        started_ms INTEGER NOT NULL
    );
";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Start {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct List {
    source_arn: Option<String>,
    max_results: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Cancel {
    task_handle: Option<String>,
}

/// How a task went.
#[derive(Default)]
struct Outcome {
    moved: i64,
    to_move: i64,
    failure: Option<&'static str>,
}

impl Sqs {
    pub(crate) fn start_message_move_task(&self, input: Start) -> Reply {
        let source_arn = required(input.source_arn, "SourceArn")?;
        let per_second = input.max_number_of_messages_per_second;
        if let Some(number) = per_second.filter(|number| !(1..=500).contains(number)) {
            let name = "MaxNumberOfMessagesPerSecond";
            return Err(errors::parameter_value(name, number, "Must be between 1 and 500, if provided."));
        }
        let now = self.clock.now_ms();
        self.store.transaction(|tx| {
            let source = by_arn(tx, &source_arn, "SourceArn")?;
            if queues::sources_of(tx, &source)?.is_empty() {
                return Err(errors::parameter("Source queue must be configured as a Dead Letter Queue."));
            }
            let destination = input.destination_arn.as_deref();
            let destination = destination.map(|arn| by_arn(tx, arn, "DestinationArn")).transpose()?;
            if let Some(destination) = &destination {
                check_destination(&source, destination)?;
            }
            let outcome = move_all(tx, &source, destination.as_ref(), now)?;
            let handle = Uuid::new_v4().to_string();
            tx.execute(
                "INSERT INTO sqs_move_task
                    (handle, queue, destination_arn, per_second, moved, to_move, failure, started_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    handle,
                    source.name(),
                    input.destination_arn,
                    per_second,
                    outcome.moved,
                    outcome.to_move,
                    outcome.failure,
                    now
                ],
            )?;
            Ok(json!({"TaskHandle": handle}))
        })
    }

    pub(crate) fn list_message_move_tasks(&self, input: List) -> Reply {
        let source_arn = required(input.source_arn, "SourceArn")?;
        let limit = input.max_results.unwrap_or(1);
        if !(1..=10).contains(&limit) {
            return Err(errors::parameter_value(
                "MaxResults",
                limit,
                "Must be between 1 and 10, if provided.",
            ));
        }
        self.store.transaction(|tx| {
            let source = by_arn(tx, &source_arn, "SourceArn")?;
            let mut statement =
                tx.prepare("SELECT * FROM sqs_move_task WHERE queue = ?1 ORDER BY seq DESC LIMIT ?2")?;
            let tasks = statement.query_map(params![source.name(), limit], |row| {
                let failure: Option<String> = row.get("failure")?;
                let mut task = Map::new();
                task.insert("Status".into(), if failure.is_some() { "FAILED" } else { "COMPLETED" }.into());
                task.insert("SourceArn".into(), source_arn.as_str().into());
                task.insert("ApproximateNumberOfMessagesMoved".into(), row.get::<_, i64>("moved")?.into());
                task.insert("ApproximateNumberOfMessagesToMove".into(), row.get::<_, i64>("to_move")?.into());
                task.insert("StartedTimestamp".into(), row.get::<_, i64>("started_ms")?.into());
                let optional = [
                    ("DestinationArn", row.get::<_, Option<String>>("destination_arn")?.map(Value::from)),
                    (
                        "MaxNumberOfMessagesPerSecond",
                        row.get::<_, Option<i64>>("per_second")?.map(Value::from),
                    ),
                    ("FailureReason", failure.map(Value::from)),
                ];
                task.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
                Ok(Value::Object(task))
            })?;
            Ok(json!({"Results": tasks.collect::<rusqlite::Result<Vec<_>>>()?}))
        })
    }

    /// Always too late: tasks are done when they are started.
    pub(crate) fn cancel_message_move_task(&self, input: Cancel) -> Reply {
        let handle = required(input.task_handle, "TaskHandle")?;
        let known = self.store.transaction(|tx| {
            tx.query_row("SELECT 1 FROM sqs_move_task WHERE handle = ?1", [handle], |_| Ok(())).optional()
        })?;
        Err(match known {
            Some(()) => errors::unsupported("Only active tasks can be cancelled."),
            None => errors::no_resource("Task does not exist."),
        })
    }
}

fn by_arn(tx: &Transaction<'_>, arn: &str, parameter: &str) -> Result<Queue, AwsError> {
    let queue = match queues::name_of_arn(arn) {
        Some(name) => queues::find(tx, name)?,
        None => None,
    };
    queue.ok_or_else(|| {
        errors::no_resource(&format!(
            "The resource that you specified for the {parameter} parameter doesn't exist."
        ))
    })
}

fn check_destination(source: &Queue, destination: &Queue) -> Result<(), AwsError> {
    if source.name() == destination.name() {
        return Err(errors::parameter("Source queue arn and destination queue arn cannot be the same."));
    }
    if source.config.fifo != destination.config.fifo {
        return Err(errors::parameter("Source queue and destination queue must be of the same type."));
    }
    Ok(())
}

/// Moves what is visible, oldest first. What has no place to go stays and fails the task.
fn move_all(
    tx: &Transaction<'_>,
    source: &Queue,
    destination: Option<&Queue>,
    now: i64,
) -> Result<Outcome, AwsError> {
    let mut statement = tx.prepare(
        "SELECT seq, source_arn FROM sqs_message WHERE queue = ?1 AND visible_ms <= ?2 ORDER BY seq",
    )?;
    let rows = statement.query_map(params![source.name(), now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let dead_letters: Vec<(i64, Option<String>)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut outcome =
        Outcome { to_move: i64::try_from(dead_letters.len()).unwrap_or(i64::MAX), ..Outcome::default() };
    for (seq, source_arn) in dead_letters {
        let target = match (destination, &source_arn) {
            (Some(destination), _) => Some(destination.name()),
            (None, Some(arn)) => match queues::name_of_arn(arn) {
                Some(name) if queues::find(tx, name)?.is_some() => Some(name),
                _ => None,
            },
            (None, None) => None,
        };
        match target {
            Some(target) => {
                move_one(tx, seq, target, now)?;
                outcome.moved += 1;
            }
            None if source_arn.is_none() => outcome.failure = Some("CouldNotDetermineMessageSource"),
            None => outcome.failure = Some("AWS.SimpleQueueService.NonExistentQueue"),
        }
    }
    Ok(outcome)
}

/// As AWS has it, a redriven message is a new one: with a new id, place and age, never received.
fn move_one(tx: &Transaction<'_>, seq: i64, target: &str, now: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO sqs_message (queue, id, body, message_attributes, group_id, deduplication_id, trace_header,
                                  sent_ms, visible_ms)
         SELECT ?1, ?2, body, message_attributes, group_id, deduplication_id, trace_header, ?3, ?3
         FROM sqs_message WHERE seq = ?4",
    )?
    .execute(params![target, Uuid::new_v4().to_string(), now, seq])?;
    tx.prepare_cached("DELETE FROM sqs_message WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}
