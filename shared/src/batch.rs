//! Reading several items at once.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::KeysAndAttributes;

use crate::transaction::{Item, pause_before};
use crate::{Error, Result};

/// How often what DynamoDB left unread is asked for.
const TRIES: u32 = 5;

/// What was read, by table.
pub type Read = HashMap<String, Vec<Item>>;

/// All items of one table that `keys` name.
pub fn keys(keys: Vec<Item>, consistent: bool) -> Result<KeysAndAttributes> {
    let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(consistent);
    keys.build().map_err(Error::internal)
}

/// Reads the items that `wanted` names by table; one that is not there is left out. What DynamoDB leaves unread,
/// as it does when it is asked for too much, is asked for again.
pub async fn get(
    client: &Client,
    wanted: impl IntoIterator<Item = (String, KeysAndAttributes)>,
) -> Result<Read> {
    let mut read = Read::new();
    let mut rest: HashMap<_, _> = wanted.into_iter().collect();
    for attempt in 0..TRIES {
        pause_before(attempt).await?;
        let answer = client.batch_get_item().set_request_items(Some(rest)).send().await?;
        for (table, items) in answer.responses.unwrap_or_default() {
            read.entry(table).or_default().extend(items);
        }
        rest = answer.unprocessed_keys.unwrap_or_default();
        if rest.is_empty() {
            return Ok(read);
        }
    }
    Err(Error::unavailable("DynamoDB left a part of a batch unread at every try"))
}
