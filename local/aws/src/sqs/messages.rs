//! Messages in their queues: sending, receiving, giving up and counting.

use std::collections::BTreeMap;

use crate::{ACCOUNT, AwsError};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use uuid::Uuid;

use crate::sqs::message_attributes::md5_hex;
use crate::sqs::queues::{Queue, stored, to_json};
use crate::sqs::{
    Depth, Message, MessageState, NewMessage, Peeked, errors, message_attributes, queues, receipts,
};

/// `seq` is the order of sending and, with `AUTOINCREMENT`, never used twice,
/// so an old receipt handle cannot meet another message.
///
/// `receipt` is what the last receive was given; a message that is hidden
/// without one is delayed. Each index has one reader: `visible` the receive from
/// a standard queue, `ordered` and `grouped` the one from a FIFO queue,
/// `received` the dead-lettering, `sent` the retention.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS sqs_message (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        id TEXT NOT NULL,
        body TEXT NOT NULL,
        message_attributes TEXT NOT NULL,
        group_id TEXT,
        deduplication_id TEXT,
        trace_header TEXT,
        source_arn TEXT,
        sent_ms INTEGER NOT NULL,
        visible_ms INTEGER NOT NULL,
        receive_count INTEGER NOT NULL DEFAULT 0,
        first_receive_ms INTEGER,
        receipt TEXT
    );
    CREATE INDEX IF NOT EXISTS sqs_message_visible ON sqs_message (queue, visible_ms);
    CREATE INDEX IF NOT EXISTS sqs_message_sent ON sqs_message (queue, sent_ms);
    CREATE INDEX IF NOT EXISTS sqs_message_received ON sqs_message (queue, receive_count) WHERE receive_count > 0;
    CREATE INDEX IF NOT EXISTS sqs_message_ordered ON sqs_message (queue) WHERE group_id IS NOT NULL;
    CREATE INDEX IF NOT EXISTS sqs_message_grouped ON sqs_message (queue, group_id, visible_ms)
        WHERE group_id IS NOT NULL;

    CREATE TABLE IF NOT EXISTS sqs_deduplication (
        queue TEXT NOT NULL,
        key TEXT NOT NULL,
        message_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (queue, key)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS sqs_deduplication_until ON sqs_deduplication (queue, until_ms);
";

const DEDUPLICATION_MS: i64 = 5 * 60 * 1_000;

/// What sending answers.
pub(crate) struct Sent {
    pub id: String,
    seq: i64,
}

impl Sent {
    /// In AWS's form: twenty digits that grow.
    pub(crate) fn sequence_number(&self) -> String {
        sequence_number(self.seq)
    }
}

fn sequence_number(seq: i64) -> String {
    format!("{seq:020}")
}

/// What a look for messages found.
pub(crate) struct Attempt {
    pub messages: Vec<Message>,
    /// How many were moved to the dead-letter queue, whose receivers want to know.
    pub dead_lettered: usize,
    /// When the next hidden message becomes visible.
    pub next_visible_ms: Option<i64>,
}

/// A row of `sqs_message`.
struct Stored {
    seq: i64,
    id: String,
    body: String,
    message_attributes: String,
    group_id: Option<String>,
    deduplication_id: Option<String>,
    trace_header: Option<String>,
    source_arn: Option<String>,
    sent_ms: i64,
    visible_ms: i64,
    receive_count: i64,
    first_receive_ms: Option<i64>,
    receipt: Option<String>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get("seq")?,
            id: row.get("id")?,
            body: row.get("body")?,
            message_attributes: row.get("message_attributes")?,
            group_id: row.get("group_id")?,
            deduplication_id: row.get("deduplication_id")?,
            trace_header: row.get("trace_header")?,
            source_arn: row.get("source_arn")?,
            sent_ms: row.get("sent_ms")?,
            visible_ms: row.get("visible_ms")?,
            receive_count: row.get("receive_count")?,
            first_receive_ms: row.get("first_receive_ms")?,
            receipt: row.get("receipt")?,
        })
    }

    fn system_attributes(&self, fifo: bool) -> BTreeMap<String, String> {
        let always = [
            ("SenderId", Some(ACCOUNT.to_owned())),
            ("SentTimestamp", Some(self.sent_ms.to_string())),
            ("ApproximateReceiveCount", Some(self.receive_count.to_string())),
            ("ApproximateFirstReceiveTimestamp", self.first_receive_ms.map(|ms| ms.to_string())),
            ("MessageGroupId", self.group_id.clone()),
            ("MessageDeduplicationId", self.deduplication_id.clone()),
            ("SequenceNumber", fifo.then(|| sequence_number(self.seq))),
            ("AWSTraceHeader", self.trace_header.clone()),
            ("DeadLetterQueueSourceArn", self.source_arn.clone()),
        ];
        always.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// Puts a message in the queue. An error of the caller's making has written nothing.
pub(crate) fn send(
    tx: &Transaction<'_>,
    queue: &Queue,
    message: &NewMessage,
    now: i64,
) -> Result<Sent, AwsError> {
    check(queue, message)?;
    let deduplication_id = deduplication_id(queue, message)?;
    let key = deduplication_id.as_deref().map(|id| deduplication_key(queue, message, id));
    if let Some(key) = &key
        && let Some(sent) = sent_before(tx, queue, key, now)?
    {
        return Ok(sent);
    }
    let delay_s = message.delay_s.unwrap_or(queue.config.delay_s);
    let id = Uuid::new_v4().to_string();
    tx.prepare_cached(
        "INSERT INTO sqs_message (queue, id, body, message_attributes, group_id, deduplication_id, trace_header,
                                  sent_ms, visible_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        queue.name(),
        id,
        message.body,
        to_json(&message.message_attributes)?,
        message.group_id,
        deduplication_id,
        message.trace_header,
        now,
        now + i64::from(delay_s) * 1_000,
    ])?;
    let sent = Sent { id, seq: tx.last_insert_rowid() };
    if let Some(key) = &key {
        tx.prepare_cached(
            "INSERT INTO sqs_deduplication (queue, key, message_id, seq, until_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![queue.name(), key, sent.id, sent.seq, now + DEDUPLICATION_MS])?;
    }
    Ok(sent)
}

/// What the message weighs against the limits: its body and its attributes.
pub(crate) fn size(message: &NewMessage) -> Result<usize, AwsError> {
    Ok(message.body.len() + message_attributes::check(&message.message_attributes)?)
}

fn check(queue: &Queue, message: &NewMessage) -> Result<(), AwsError> {
    if message.body.is_empty() {
        return Err(errors::missing("MessageBody"));
    }
    if !message.body.chars().all(is_allowed) {
        return Err(errors::contents());
    }
    let max = queue.config.max_message_bytes;
    if u32::try_from(size(message)?).map_or(true, |bytes| bytes > max) {
        return Err(errors::parameter(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {max} bytes."
        )));
    }
    if let Some(delay_s) = message.delay_s.filter(|delay_s| *delay_s > 900) {
        return Err(errors::parameter_value(
            "DelaySeconds",
            delay_s,
            "DelaySeconds must be >= 0 and <= 900.",
        ));
    }
    check_id("MessageGroupId", message.group_id.as_deref())?;
    check_id("MessageDeduplicationId", message.deduplication_id.as_deref())?;
    check_kind(queue.config.fifo, message)
}

/// The characters that XML allows, and so SQS.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

fn check_id(name: &str, id: Option<&str>) -> Result<(), AwsError> {
    match id {
        Some(id) if id.is_empty() || id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(errors::parameter_value(
                name,
                id,
                &format!(
                    "{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
                ),
            ))
        }
        _ => Ok(()),
    }
}

/// What only one kind of queue takes.
fn check_kind(fifo: bool, message: &NewMessage) -> Result<(), AwsError> {
    let wrong_kind = "The request include parameter that is not valid for this queue type.";
    match message {
        NewMessage { group_id: None, .. } if fifo => Err(errors::missing("MessageGroupId")),
        NewMessage { delay_s: Some(delay_s @ 1..), .. } if fifo => {
            Err(errors::parameter_value("DelaySeconds", delay_s, wrong_kind))
        }
        NewMessage { deduplication_id: Some(id), .. } if !fifo => {
            Err(errors::parameter_value("MessageDeduplicationId", id, wrong_kind))
        }
        _ => Ok(()),
    }
}

fn deduplication_id(queue: &Queue, message: &NewMessage) -> Result<Option<String>, AwsError> {
    if !queue.config.fifo || message.deduplication_id.is_some() {
        return Ok(message.deduplication_id.clone());
    }
    if queue.config.content_based_deduplication {
        return Ok(Some(md5_hex(message.body.as_bytes())));
    }
    Err(errors::parameter(
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    ))
}

/// Within the queue, or within the group if the queue says so. Ids have no spaces.
fn deduplication_key(queue: &Queue, message: &NewMessage, id: &str) -> String {
    match (&message.group_id, queue.shown.get("DeduplicationScope").map(String::as_str)) {
        (Some(group), Some("messageGroup")) => format!("{group} {id}"),
        _ => id.to_owned(),
    }
}

/// The message that a duplicate's sender is told of, even if it was received and deleted meanwhile.
fn sent_before(tx: &Transaction<'_>, queue: &Queue, key: &str, now: i64) -> rusqlite::Result<Option<Sent>> {
    tx.prepare_cached("DELETE FROM sqs_deduplication WHERE queue = ?1 AND until_ms <= ?2")?
        .execute(params![queue.name(), now])?;
    tx.prepare_cached("SELECT message_id, seq FROM sqs_deduplication WHERE queue = ?1 AND key = ?2")?
        .query_row([queue.name(), key], |row| Ok(Sent { id: row.get(0)?, seq: row.get(1)? }))
        .optional()
}

/// Receives what is visible now, after dropping what is too old and giving up what was received too often.
pub(crate) fn receive(
    tx: &Transaction<'_>,
    queue: &Queue,
    max: usize,
    visibility_s: Option<u32>,
    now: i64,
) -> Result<Attempt, AwsError> {
    drop_expired(tx, queue, now)?;
    let dead_lettered = give_up(tx, queue, now)?;
    let visible_ms = now + i64::from(visibility_s.unwrap_or(queue.config.visibility_timeout_s)) * 1_000;
    let mut messages = Vec::new();
    for stored in receivable(tx, queue, max, now)? {
        messages.push(hand_out(tx, queue, stored, visible_ms, now)?);
    }
    let next_visible_ms = tx
        .prepare_cached("SELECT MIN(visible_ms) FROM sqs_message WHERE queue = ?1 AND visible_ms > ?2")?
        .query_row(params![queue.name(), now], |row| row.get(0))?;
    Ok(Attempt { messages, dead_lettered, next_visible_ms })
}

fn drop_expired(tx: &Transaction<'_>, queue: &Queue, now: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM sqs_message WHERE queue = ?1 AND sent_ms <= ?2")?
        .execute(params![queue.name(), now - i64::from(queue.config.retention_s) * 1_000])?;
    Ok(())
}

/// Moves the visible messages that had all their receives to the dead-letter queue. Their age stays,
/// except that a FIFO queue counts it anew, and so does the count, which AWS takes across queues.
fn give_up(tx: &Transaction<'_>, queue: &Queue, now: i64) -> rusqlite::Result<usize> {
    let Some(redrive) = &queue.config.redrive else { return Ok(0) };
    let target = match queues::name_of_arn(&redrive.dead_letter_queue_arn) {
        Some(name) => queues::find(tx, name)?,
        None => None,
    };
    let Some(target) = target else {
        // Rather received once more than lost.
        tracing::warn!(
            queue = queue.name(),
            arn = redrive.dead_letter_queue_arn,
            "no such dead-letter queue"
        );
        return Ok(0);
    };
    if target.name() == queue.name() {
        return Ok(0);
    }
    tx.prepare_cached(
        "UPDATE sqs_message INDEXED BY sqs_message_received
         SET queue = ?1, source_arn = ?2, visible_ms = ?3, receipt = NULL,
             sent_ms = CASE WHEN ?4 THEN ?3 ELSE sent_ms END
         WHERE queue = ?5 AND receive_count > 0 AND receive_count >= ?6 AND visible_ms <= ?3",
    )?
    .execute(params![
        target.name(),
        queue.arn(),
        now,
        queue.config.fifo,
        queue.name(),
        redrive.max_receive_count
    ])
}

fn receivable(tx: &Transaction<'_>, queue: &Queue, max: usize, now: i64) -> rusqlite::Result<Vec<Stored>> {
    // In a FIFO queue nothing overtakes a hidden message of its group,
    // and nothing of a group is received while something of it is in flight.
    let sql = if queue.config.fifo {
        "SELECT * FROM sqs_message AS message INDEXED BY sqs_message_ordered
         WHERE queue = ?1 AND group_id IS NOT NULL AND visible_ms <= ?2
           AND NOT EXISTS (
               SELECT 1 FROM sqs_message AS hidden
               WHERE hidden.queue = ?1 AND hidden.group_id = message.group_id AND hidden.visible_ms > ?2
                 AND (hidden.receipt IS NOT NULL OR hidden.seq < message.seq))
         ORDER BY seq LIMIT ?3"
    } else {
        "SELECT * FROM sqs_message WHERE queue = ?1 AND visible_ms <= ?2 ORDER BY visible_ms, seq LIMIT ?3"
    };
    let limit = i64::try_from(max.max(1)).unwrap_or(i64::MAX);
    tx.prepare_cached(sql)?.query_map(params![queue.name(), now, limit], Stored::read)?.collect()
}

fn hand_out(
    tx: &Transaction<'_>,
    queue: &Queue,
    mut stored: Stored,
    visible_ms: i64,
    now: i64,
) -> rusqlite::Result<Message> {
    let receipt = Uuid::new_v4().simple().to_string();
    stored.receive_count += 1;
    stored.first_receive_ms.get_or_insert(now);
    tx.prepare_cached(
        "UPDATE sqs_message SET visible_ms = ?1, receive_count = ?2, first_receive_ms = ?3, receipt = ?4 WHERE seq = ?5",
    )?
    .execute(params![visible_ms, stored.receive_count, stored.first_receive_ms, receipt, stored.seq])?;
    Ok(Message {
        receipt_handle: receipts::handle(queue, stored.seq, &receipt),
        attributes: stored.system_attributes(queue.config.fifo),
        message_attributes: self::stored(&stored.message_attributes)?,
        md5_of_body: md5_hex(stored.body.as_bytes()),
        id: stored.id,
        body: stored.body,
    })
}

pub(crate) fn depth(tx: &Transaction<'_>, queue: &Queue, now: i64) -> Result<Depth, AwsError> {
    drop_expired(tx, queue, now)?;
    let visible = tx
        .prepare_cached("SELECT COUNT(*) FROM sqs_message WHERE queue = ?1 AND visible_ms <= ?2")?
        .query_row(params![queue.name(), now], |row| row.get(0))?;
    let (hidden, in_flight): (u64, u64) = tx
        .prepare_cached(
            "SELECT COUNT(*), COUNT(receipt) FROM sqs_message WHERE queue = ?1 AND visible_ms > ?2",
        )?
        .query_row(params![queue.name(), now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Depth { visible, in_flight, delayed: hidden - in_flight })
}

pub(crate) fn peek(tx: &Transaction<'_>, queue: &Queue, now: i64) -> Result<Vec<Peeked>, AwsError> {
    drop_expired(tx, queue, now)?;
    let mut statement = tx.prepare_cached("SELECT * FROM sqs_message WHERE queue = ?1 ORDER BY seq")?;
    let rows = statement.query_map([queue.name()], Stored::read)?;
    let mut peeked = Vec::new();
    for row in rows {
        let row = row?;
        peeked.push(Peeked {
            attributes: row.system_attributes(queue.config.fifo),
            message_attributes: stored(&row.message_attributes)?,
            state: match row.receipt {
                _ if row.visible_ms <= now => MessageState::Visible,
                Some(_) => MessageState::InFlight,
                None => MessageState::Delayed,
            },
            visible_ms: row.visible_ms,
            id: row.id,
            body: row.body,
        });
    }
    Ok(peeked)
}

pub(crate) fn purge(tx: &Transaction<'_>, queue: &Queue) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM sqs_message WHERE queue = ?1", [queue.name()])?;
    Ok(())
}
