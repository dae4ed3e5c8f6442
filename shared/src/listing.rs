//! Long lists, newest first: an index of keys that is spread over several partitions.
//!
//! One partition of an index takes 1,000 writes a second; what is made by everybody is spread by its id
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-sharding.html>).

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::{Error, Result};

/// Over how many partitions a list is spread.
pub const SHARDS: u8 = 8;

/// Which of the [`SHARDS`] the item of this id belongs to: always the same.
pub fn shard(id: &[u8; 16]) -> u8 {
    // The last byte of a UUIDv7 is random.
    id[15] % SHARDS
}

/// An index whose partition key is `shard` and whose sort key is `id`.
#[derive(Clone)]
pub struct Listing {
    /// The client.
    pub client: Client,
    /// The table.
    pub table: String,
    /// The index.
    pub index: &'static str,
}

impl Listing {
    /// The ids that follow `after` (or the newest), `skip` of them passed over, `take` of them at most.
    ///
    /// One round trip, whatever the length of the list; its cost grows with `skip`.
    pub async fn ids(&self, after: Option<Uuid>, skip: usize, take: usize) -> Result<Vec<Uuid>> {
        let shards = (0..SHARDS).map(|shard| self.of_shard(shard, after, skip + take));
        let mut ids: Vec<Uuid> = try_join_all(shards).await?.into_iter().flatten().collect();
        ids.sort_unstable_by(|one, other| other.cmp(one));
        Ok(ids.into_iter().skip(skip).take(take).collect())
    }

    async fn of_shard(&self, shard: u8, after: Option<Uuid>, most: usize) -> Result<Vec<Uuid>> {
        let mut ids = Vec::new();
        let mut start = None;
        loop {
            let limit = i32::try_from(most - ids.len()).map_err(Error::internal)?;
            let query = self.client.query().table_name(&self.table).index_name(self.index);
            let query = query
                .expression_attribute_names("#shard", "shard")
                .scan_index_forward(false)
                .limit(limit)
                .set_exclusive_start_key(start);
            let query = query.expression_attribute_values(":shard", AttributeValue::N(shard.to_string()));
            let query = match after {
                Some(id) => query
                    .key_condition_expression("#shard = :shard AND id < :after")
                    .expression_attribute_values(":after", AttributeValue::S(id.to_string())),
                None => query.key_condition_expression("#shard = :shard"),
            };
            let page = query.send().await?;
            for item in page.items() {
                let id = item.get("id").and_then(|id| id.as_s().ok()).and_then(|id| id.parse().ok());
                ids.push(id.ok_or_else(|| Error::internal("an index has an id that is none"))?);
            }
            start = page.last_evaluated_key;
            if start.is_none() || ids.len() >= most {
                return Ok(ids);
            }
        }
    }
}
