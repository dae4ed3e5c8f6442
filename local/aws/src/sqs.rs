//! A small Amazon SQS for a laptop.
//!
//! Real SDK clients reach it through [`Sqs::handle`] (AWS's JSON 1.0 protocol);
//! the other services of the same process call its methods. All state is in the
//! shared SQLite [`Store`], every change in one transaction, so a message that
//! was accepted survives `kill -9`. Only the wake-ups of long polls live in memory.

mod attributes;
mod batches;
mod errors;
pub(crate) mod message_attributes;
mod messages;
mod moves;
mod operations;
mod queues;
mod receipts;
mod types;

use std::sync::Arc;
use std::time::Duration;

use crate::{ACCOUNT, AwsError, Clock, REGION, Store};
use rusqlite::Transaction;
use tokio::sync::Notify;

pub use types::{Depth, Message, MessageState, NewMessage, Peeked, QueueConfig, Redrive};

/// How long a waiting receive may overlook that the clock jumped forward.
const CLOCK_LOOK: Duration = Duration::from_millis(100);

/// The queue service. Clones share the store, the clock and the wake-ups.
#[derive(Clone)]
pub struct Sqs {
    store: Store,
    clock: Clock,
    endpoint: Arc<str>,
    woken: Arc<Notify>,
}

impl Sqs {
    /// The service over `store`, whose queue URLs begin with `endpoint` (`http://127.0.0.1:PORT`).
    pub fn new(store: Store, clock: Clock, endpoint: String) -> rusqlite::Result<Self> {
        store.migrate(queues::SCHEMA)?;
        store.migrate(messages::SCHEMA)?;
        store.migrate(moves::SCHEMA)?;
        let endpoint = Arc::from(endpoint.trim_end_matches('/'));
        Ok(Self { store, clock, endpoint, woken: Arc::default() })
    }

    /// The ARN of the queue `name`, whether or not it exists.
    pub fn arn(name: &str) -> String {
        format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
    }

    /// The URL of the queue `name`, whether or not it exists.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.endpoint)
    }

    /// Shows every message again that was in flight, and takes the lost receive off its count: for a start
    /// after a crash, when its receivers are known to be gone. Kills alone never fill a dead-letter queue.
    pub fn release_in_flight(&self) -> rusqlite::Result<()> {
        let now = self.clock.now_ms();
        self.store.transaction(|tx| {
            tx.execute(
                "UPDATE sqs_message SET visible_ms = ?1, receive_count = MAX(receive_count - 1, 0)
                 WHERE receipt IS NOT NULL AND visible_ms > ?1",
                [now],
            )?;
            Ok(())
        })
    }

    /// Creates the queue, or gives it these attributes if it exists; its messages stay.
    ///
    /// Unlike `CreateQueue` it lets the dead-letter queue be declared later,
    /// so that a file of queues may list them in any order.
    pub fn declare(&self, config: &QueueConfig) -> Result<(), AwsError> {
        let now = self.clock.now_ms();
        self.store.transaction(|tx| queues::declare(tx, config, now))?;
        // A changed redrive policy or retention may concern a receive that waits.
        self.wake();
        Ok(())
    }

    /// Puts a message in `queue` and answers its id.
    pub fn send(&self, queue: &str, message: NewMessage) -> Result<String, AwsError> {
        let id = self.store.transaction(|tx| self.send_in(tx, queue, message))?;
        self.wake();
        Ok(id)
    }

    /// Puts a message in `queue` as part of a caller's transaction and answers its id.
    /// The caller calls [`Sqs::wake`] once that is committed.
    ///
    /// An error other than the database's has changed nothing,
    /// so the caller may still commit the rest.
    pub fn send_in(
        &self,
        tx: &Transaction<'_>,
        queue: &str,
        message: NewMessage,
    ) -> Result<String, AwsError> {
        let queue = queues::load(tx, queue)?;
        Ok(messages::send(tx, &queue, &message, self.clock.now_ms())?.id)
    }

    /// The policy of `queue`, which says who else may use it; empty if it has none.
    pub(crate) fn policy(tx: &Transaction<'_>, queue: &str) -> Result<String, AwsError> {
        Ok(queues::load(tx, queue)?.shown.remove("Policy").unwrap_or_default())
    }

    /// Lets every waiting receive look again.
    pub fn wake(&self) {
        self.woken.notify_waiters();
    }

    /// Receives up to `max` messages for the queue's visibility timeout,
    /// waiting up to `wait` (by the clock) for the first.
    ///
    /// `max` may exceed the 10 of `ReceiveMessage`: event source mappings have larger batches.
    pub async fn receive(&self, queue: &str, max: usize, wait: Duration) -> Result<Vec<Message>, AwsError> {
        self.receive_for(queue, max, wait, None).await
    }

    /// As [`Sqs::receive`], with a visibility timeout of this receive's own.
    async fn receive_for(
        &self,
        queue: &str,
        max: usize,
        wait: Duration,
        visibility_s: Option<u32>,
    ) -> Result<Vec<Message>, AwsError> {
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let until = self.clock.now_ms().saturating_add(wait_ms);
        loop {
            // Listening begins before looking: a send in between is not missed.
            let woken = self.woken.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();

            let now = self.clock.now_ms();
            let attempt = self.store.transaction(|tx| {
                let queue = queues::load(tx, queue)?;
                messages::receive(tx, &queue, max, visibility_s, now)
            })?;
            if attempt.dead_lettered > 0 {
                self.wake();
            }
            if !attempt.messages.is_empty() || now >= until {
                return Ok(attempt.messages);
            }
            let look_again_at = attempt.next_visible_ms.map_or(until, |at| at.min(until));
            tokio::select! {
                () = woken => {}
                () = self.reached(look_again_at) => {}
            }
        }
    }

    /// Waits for a moment of the clock, which a test may move forward meanwhile.
    async fn reached(&self, moment_ms: i64) {
        loop {
            let left = u64::try_from(moment_ms - self.clock.now_ms()).unwrap_or(0);
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(left).min(CLOCK_LOOK)).await;
        }
    }

    /// Deletes the message that this receipt handle was given for. One that is gone already is no error.
    pub fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), AwsError> {
        let now = self.clock.now_ms();
        self.store.transaction(|tx| receipts::delete(tx, &queues::load(tx, queue)?, receipt_handle, now))?;
        // Its group in a FIFO queue may go on.
        self.wake();
        Ok(())
    }

    /// Makes a message that is in flight visible `seconds` from now.
    pub fn change_visibility(&self, queue: &str, receipt_handle: &str, seconds: u32) -> Result<(), AwsError> {
        let now = self.clock.now_ms();
        self.store.transaction(|tx| {
            receipts::change_visibility(
                tx,
                &queues::load(tx, queue)?,
                receipt_handle,
                i64::from(seconds),
                now,
            )
        })?;
        self.wake();
        Ok(())
    }

    /// How many messages the queue holds, exactly.
    pub fn depth(&self, queue: &str) -> Result<Depth, AwsError> {
        let now = self.clock.now_ms();
        self.store.transaction(|tx| messages::depth(tx, &queues::load(tx, queue)?, now))
    }

    /// All messages of the queue in the order they were sent, for a person to look at.
    /// Looking does not count as receiving.
    pub fn peek(&self, queue: &str) -> Result<Vec<Peeked>, AwsError> {
        let now = self.clock.now_ms();
        self.store.transaction(|tx| messages::peek(tx, &queues::load(tx, queue)?, now))
    }
}
