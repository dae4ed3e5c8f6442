//! Reading and writing several items at once.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use futures_util::stream::{self, TryStreamExt as _};
use serde::de::DeserializeOwned;

use crate::transaction::{Item, TRIES, pause_before};
use crate::{Error, Result};

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

/// Reads the items of `table` that `keys` name, at most 100, strongly consistent, in no order; one that is not there is
/// left out.
pub async fn get_all<T: DeserializeOwned>(
    client: &Client,
    table: &str,
    keys: impl IntoIterator<Item = Item>,
) -> Result<Vec<T>> {
    let wanted: Vec<Item> = keys.into_iter().collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let items = get(client, [(table.to_owned(), self::keys(wanted, true)?)]).await?.remove(table);
    serde_dynamo::from_items(items.unwrap_or_default()).map_err(Error::internal)
}

/// Items of one `BatchWriteItem` call at most
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).
const WRITES: usize = 25;
/// Calls under way at once.
const AT_ONCE: usize = 8;

/// Writes and removes items of one table, each of them once, in no order. What DynamoDB leaves undone is done again.
pub async fn write(client: &Client, table: &str, put: Vec<Item>, remove: Vec<Item>) -> Result<()> {
    let puts = put.into_iter().map(|item| {
        let put = PutRequest::builder().set_item(Some(item)).build().map_err(Error::internal)?;
        Ok(WriteRequest::builder().put_request(put).build())
    });
    let removals = remove.into_iter().map(|key| {
        let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(Error::internal)?;
        Ok(WriteRequest::builder().delete_request(delete).build())
    });
    let writes: Vec<WriteRequest> = puts.chain(removals).collect::<Result<_>>()?;
    let calls = writes.chunks(WRITES).map(|batch| Ok(write_batch(client, table, batch.to_vec())));
    stream::iter(calls).try_for_each_concurrent(AT_ONCE, |call| call).await
}

async fn write_batch(client: &Client, table: &str, batch: Vec<WriteRequest>) -> Result<()> {
    let mut rest = HashMap::from([(table.to_owned(), batch)]);
    for attempt in 0..TRIES {
        pause_before(attempt).await?;
        let answer = client.batch_write_item().set_request_items(Some(rest)).send().await?;
        rest = answer.unprocessed_items.unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(Error::unavailable("DynamoDB left a part of a batch unwritten at every try"))
}
