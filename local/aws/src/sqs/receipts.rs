//! Receipt handles, and what they allow: deleting and changing visibility.

use crate::AwsError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::sqs::errors;
use crate::sqs::queues::Queue;

/// A message that a handle stands for, if it is still in the queue.
struct Held {
    seq: i64,
    in_flight: bool,
    /// Whether this handle is of the last receive.
    latest: bool,
}

/// The handle of one receive. Base64, so that nobody reads meaning into it.
pub(crate) fn handle(queue: &Queue, seq: i64, receipt: &str) -> String {
    URL_SAFE.encode(format!("{}/{seq}/{receipt}", queue.name()))
}

/// Deletes the handle's message.
///
/// As in AWS, a standard queue takes the handle of an earlier receive too;
/// a FIFO queue only the last one's, while the message is in flight.
pub(crate) fn delete(tx: &Transaction<'_>, queue: &Queue, handle: &str, now: i64) -> Result<(), AwsError> {
    let Some(held) = find(tx, queue, handle, now)? else { return Ok(()) };
    check_current(queue, &held, handle)?;
    tx.prepare_cached("DELETE FROM sqs_message WHERE seq = ?1")?.execute([held.seq])?;
    Ok(())
}

/// Makes the handle's message visible `seconds` from now.
pub(crate) fn change_visibility(
    tx: &Transaction<'_>,
    queue: &Queue,
    handle: &str,
    seconds: i64,
    now: i64,
) -> Result<(), AwsError> {
    if !(0..=43_200).contains(&seconds) {
        return Err(errors::parameter_value(
            "VisibilityTimeout",
            seconds,
            "VisibilityTimeout must be >= 0 and <= 43200.",
        ));
    }
    let held = find(tx, queue, handle, now)?.ok_or_else(|| {
        errors::parameter_value(
            "ReceiptHandle",
            handle,
            "Message does not exist or is not available for visibility timeout change.",
        )
    })?;
    if !held.in_flight {
        return Err(errors::not_in_flight());
    }
    check_current(queue, &held, handle)?;
    tx.prepare_cached("UPDATE sqs_message SET visible_ms = ?1 WHERE seq = ?2")?
        .execute(params![now + seconds * 1_000, held.seq])?;
    Ok(())
}

fn check_current(queue: &Queue, held: &Held, handle: &str) -> Result<(), AwsError> {
    if !queue.config.fifo || (held.in_flight && held.latest) {
        return Ok(());
    }
    Err(errors::parameter_value("ReceiptHandle", handle, "The receipt handle has expired."))
}

fn find(tx: &Transaction<'_>, queue: &Queue, handle: &str, now: i64) -> Result<Option<Held>, AwsError> {
    let (seq, receipt) = parse(queue, handle).ok_or_else(|| errors::receipt_handle(handle))?;
    let held = tx
        .prepare_cached("SELECT visible_ms, receipt FROM sqs_message WHERE seq = ?1 AND queue = ?2")?
        .query_row(params![seq, queue.name()], |row| {
            let last: Option<String> = row.get(1)?;
            Ok(Held {
                seq,
                in_flight: row.get::<_, i64>(0)? > now && last.is_some(),
                latest: last == Some(receipt),
            })
        })
        .optional()?;
    Ok(held)
}

fn parse(queue: &Queue, handle: &str) -> Option<(i64, String)> {
    let text = String::from_utf8(URL_SAFE.decode(handle).ok()?).ok()?;
    let (seq, receipt) = text.strip_prefix(queue.name())?.strip_prefix('/')?.split_once('/')?;
    Some((seq.parse().ok()?, receipt.to_owned()))
}
