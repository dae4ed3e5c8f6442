//! Batches: up to ten requests in one transaction, each with an outcome of its own.

use std::collections::BTreeSet;

use crate::{AwsError, Reply};
use rusqlite::Transaction;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sqs::operations::{self, SendFields, required};
use crate::sqs::queues::Queue;
use crate::sqs::{Sqs, errors};

/// All messages of a batch together.
const MAX_BATCH_BYTES: usize = 1_048_576;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Batch<T> {
    queue_url: Option<String>,
    // Or serde would ask that `T` has a default.
    #[serde(default = "Vec::new")]
    entries: Vec<Entry<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<T> {
    id: Option<String>,
    #[serde(flatten)]
    fields: T,
}

impl<T> Batch<T> {
    fn check(&self) -> Result<(), AwsError> {
        match self.entries.len() {
            0 => return Err(errors::empty_batch()),
            1..=10 => {}
            count => return Err(errors::long_list(count)),
        }
        let mut ids = BTreeSet::new();
        for entry in &self.entries {
            let id = required(entry.id.as_deref(), "Id")?;
            let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !plain || !(1..=80).contains(&id.len()) {
                return Err(errors::entry_id());
            }
            if !ids.insert(id) {
                return Err(errors::ids_not_distinct(id));
            }
        }
        Ok(())
    }
}

impl Sqs {
    pub(crate) fn send_message_batch(&self, batch: Batch<SendFields>) -> Reply {
        batch.check()?;
        let bytes = batch.entries.iter().map(|entry| entry.fields.size()).sum();
        if bytes > MAX_BATCH_BYTES {
            return Err(errors::long_batch(MAX_BATCH_BYTES, bytes));
        }
        self.batch(batch, operations::send)
    }

    /// Does each entry. The caller's mistakes fail their entry, the database's the whole batch.
    pub(crate) fn batch<T>(
        &self,
        batch: Batch<T>,
        act: impl Fn(&Transaction<'_>, &Queue, T, i64) -> Reply,
    ) -> Reply {
        batch.check()?;
        self.on_queue(batch.queue_url, |tx, queue, now| {
            let mut successful = Vec::new();
            let mut failed = Vec::new();
            for entry in batch.entries {
                match act(tx, &queue, entry.fields, now) {
                    Ok(mut output) => {
                        output["Id"] = entry.id.into();
                        successful.push(output);
                    }
                    Err(error) if error.status < 500 => failed.push(failure(entry.id, &error)),
                    Err(error) => return Err(error),
                }
            }
            Ok(json!({"Successful": successful, "Failed": failed}))
        })
    }
}

fn failure(id: Option<String>, error: &AwsError) -> Value {
    let query_code = error.query_code.as_deref().and_then(|code| code.split(';').next());
    json!({
        "Id": id,
        "Code": query_code.unwrap_or(&error.code),
        "Message": error.message,
        "SenderFault": true,
    })
}
