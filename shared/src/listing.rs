//! Long lists in the order of a sort key, the greatest first: keys that are spread over several partitions.
//!
//! One partition of a table or an index takes 1,000 writes a second; what is made by everybody is spread by its id
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-sharding.html>).

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::{Error, Result};

/// Over how many partitions a list is spread.
pub const SHARDS: u8 = 8;
/// Keys that are asked of a partition at once at least: about as many as the smallest unit of a read has.
const FEWEST: usize = 64;

/// Which of the [`SHARDS`] the item of this id belongs to: always the same.
pub fn shard(id: &[u8; 16]) -> u8 {
    // The last byte of a UUIDv7 is random.
    id[15] % SHARDS
}

/// A table, or an index of it, by the names of its partition key and its sort key.
#[derive(Clone)]
pub struct Listing {
    /// The client.
    pub client: Client,
    /// The table.
    pub table: String,
    /// The index; without one, the table itself is read.
    pub index: Option<&'static str>,
    /// The partition key, whose value is one of a list's shards.
    pub partition: &'static str,
    /// The sort key.
    pub sort: &'static str,
}

/// What was read of one partition.
struct Part {
    partition: AttributeValue,
    places: Vec<String>,
    /// Whether there is no more.
    ended: bool,
}

impl Listing {
    /// [`places`](Self::places) where they are ids.
    pub async fn ids(
        &self,
        partitions: impl IntoIterator<Item = AttributeValue>,
        after: Option<Uuid>,
        skip: usize,
        take: usize,
    ) -> Result<Vec<Uuid>> {
        let after = after.map(|id| id.to_string());
        let places = self.places(partitions, after.as_deref(), skip, take).await?;
        let read =
            |place: String| place.parse().map_err(|_| Error::internal("an index has an id that is none"));
        places.into_iter().map(read).collect()
    }

    /// The sort keys below `after` (or the greatest) of all `partitions` together, `skip` of them passed over,
    /// `take` of them at most.
    ///
    /// One round trip for up to [`FEWEST`] keys and seldom more than two for others, whatever the length of the list;
    /// the cost grows with `skip`.
    pub async fn places(
        &self,
        partitions: impl IntoIterator<Item = AttributeValue>,
        after: Option<&str>,
        skip: usize,
        take: usize,
    ) -> Result<Vec<String>> {
        let new = |partition| Part { partition, places: Vec::new(), ended: false };
        let mut parts: Vec<Part> = partitions.into_iter().map(new).collect();
        let wanted = skip + take;
        // A fair share and a fifth of it, because no list is spread quite evenly.
        let most = (wanted / parts.len().max(1) * 6 / 5).max(FEWEST).min(wanted);
        loop {
            let last = last_wanted(&parts, wanted).map(ToOwned::to_owned);
            let may_have = |part: &&mut Part| {
                !part.ended
                    && last.as_ref().is_none_or(|last| part.places.last().is_none_or(|own| own > last))
            };
            let open: Vec<&mut Part> = parts.iter_mut().filter(may_have).collect();
            if open.is_empty() {
                break;
            }
            try_join_all(open.into_iter().map(|part| self.read_on(part, after, most))).await?;
        }
        let mut places: Vec<String> = parts.into_iter().flat_map(|part| part.places).collect();
        places.sort_unstable_by(|one, other| other.cmp(one));
        // An item that moved while the partitions were read one beside the other stands in two of them.
        places.dedup();
        Ok(places.into_iter().skip(skip).take(take).collect())
    }

    /// Reads the next `most` keys of a partition.
    async fn read_on(&self, part: &mut Part, after: Option<&str>, most: usize) -> Result<()> {
        let limit = i32::try_from(most).map_err(Error::internal)?;
        let query =
            self.client.query().table_name(&self.table).set_index_name(self.index.map(ToOwned::to_owned));
        let query = query
            .expression_attribute_names("#partition", self.partition)
            .expression_attribute_names("#sort", self.sort)
            .expression_attribute_values(":partition", part.partition.clone())
            .projection_expression("#sort")
            .scan_index_forward(false)
            .limit(limit);
        let query = match part.places.last().map(String::as_str).or(after) {
            Some(after) => query
                .key_condition_expression("#partition = :partition AND #sort < :after")
                .expression_attribute_values(":after", AttributeValue::S(after.to_owned())),
            None => query.key_condition_expression("#partition = :partition"),
        };
        let page = query.send().await?;
        for item in page.items() {
            let place = item.get(self.sort).and_then(|place| place.as_s().ok());
            part.places.push(place.ok_or_else(|| Error::internal("a sort key that is no text"))?.clone());
        }
        part.ended = page.last_evaluated_key.is_none();
        Ok(())
    }
}

/// The last of the `wanted` greatest keys that were read, if so many were.
fn last_wanted(parts: &[Part], wanted: usize) -> Option<&str> {
    let mut places: Vec<&str> =
        parts.iter().flat_map(|part| part.places.iter().map(String::as_str)).collect();
    let place = wanted.checked_sub(1).filter(|place| *place < places.len())?;
    let (_, last, _) = places.select_nth_unstable_by(place, |one, other| other.cmp(one));
    Some(*last)
}
