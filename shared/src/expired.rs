//! Removing what has expired, at a cost in proportion to it: from an index by the time of it.
//!
//! DynamoDB removes it too, days later maybe
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html>).

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;

use crate::time::Timestamp;
use crate::transaction::{Item, number};
use crate::{Error, Result};

/// Items that are removed at once.
const AT_ONCE: i32 = 25;

/// A table with an index `expiring`: by `shard`, see [`crate::listing`], and `ttl`.
pub struct Expiring {
    /// The client.
    pub(crate) client: Client,
    /// The table.
    pub(crate) table: String,
    /// The names of its partition key and its sort key.
    pub(crate) key: [&'static str; 2],
}

impl Expiring {
    /// Removes some of what has expired by `now` in one partition, the oldest first, after `start`; answers how many these
    /// were, and where to go on, if there are more. What was written anew meanwhile stays.
    pub async fn remove_some(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<(usize, Option<Item>)> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("expiring")
            .key_condition_expression("#shard = :shard AND #ttl < :now")
            .expression_attribute_names("#shard", "shard")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()))
            .expression_attribute_values(":now", number(now.seconds()))
            .set_exclusive_start_key(start)
            .limit(AT_ONCE);
        let page = query.send().await?;
        let removed = try_join_all(page.items().iter().map(|item| self.remove(item, now))).await?;
        Ok((removed.into_iter().filter(|removed| *removed).count(), page.last_evaluated_key))
    }

    async fn remove(&self, item: &Item, now: Timestamp) -> Result<bool> {
        let part = |name: &str| Some((name.to_owned(), item.get(name)?.clone()));
        let key: Option<Item> = self.key.iter().map(|name| part(name)).collect();
        let key = key.ok_or_else(|| Error::internal("an index has an item without its key"))?;
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .condition_expression("#ttl < :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", number(now.seconds()));
        let Err(error) = delete.send().await else { return Ok(true) };
        match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            // It was written anew, or is being.
            Some("ConditionalCheckFailedException" | "TransactionConflictException") => Ok(false),
            _ => Err(error.into()),
        }
    }
}
