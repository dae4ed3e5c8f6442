//! Counters: numbers that change in the transaction of what they count, and so are always exact.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::batch;
use crate::init::Init;
use crate::transaction::{Condition, Item, Step};
use crate::{Error, Result};

/// The `counters` table. A counter that many writes change is kept in parts, see [`crate::listing::SHARDS`].
#[derive(Clone)]
pub struct Counters {
    client: Client,
    table: String,
}

impl Counters {
    /// Reads `COUNTERS_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self::of(init.dynamodb(), init.text("COUNTERS_TABLE"))
    }

    /// The counters in `table`.
    pub fn of(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Changes a counter as part of a transaction.
    pub fn add(&self, id: &str, change: i64) -> Step {
        let condition = Condition::new("").name("#total", "total").number(":change", change);
        Step::update(&self.table, key(id), "ADD #total :change", condition)
    }

    /// Takes one from a counter as part of a transaction, unless it would then be none.
    pub fn take_but_last(&self, id: &str) -> Step {
        let condition = Condition::new("#total > :one").name("#total", "total");
        let condition = condition.number(":one", 1).number(":change", -1);
        Step::update(&self.table, key(id), "ADD #total :change", condition)
    }

    /// Adds to a counter as part of a transaction, unless it would then be more than `most`.
    pub fn add_up_to(&self, id: &str, change: i64, most: i64) -> Step {
        // A counter that is not there has none.
        let room = most - change;
        let fits =
            if room < 0 { "#total <= :room" } else { "attribute_not_exists(#total) OR #total <= :room" };
        let condition = Condition::new(fits).name("#total", "total").number(":room", room);
        Step::update(&self.table, key(id), "ADD #total :change", condition.number(":change", change))
    }

    /// Removes a counter that counts none, or is not there, as part of a transaction.
    pub fn remove_none(&self, id: &str) -> Step {
        let condition = Condition::new("attribute_not_exists(#total) OR #total = :none");
        Step::delete(&self.table, key(id), condition.name("#total", "total").number(":none", 0))
    }

    /// The sum of `counters`, read in one round trip.
    pub async fn sum(&self, counters: impl IntoIterator<Item = String>) -> Result<i64> {
        let keys = batch::keys(counters.into_iter().map(|id| key(&id)).collect(), true)?;
        let read = batch::get(&self.client, [(self.table.clone(), keys)]).await?;
        let items = read.get(&self.table).map(Vec::as_slice).unwrap_or_default();
        let total = |item: &Item| -> Option<i64> { item.get("total")?.as_n().ok()?.parse().ok() };
        let unread = || Error::internal("a counter that is no number");
        items.iter().map(|item| total(item).ok_or_else(unread)).sum()
    }
}

fn key(id: &str) -> Item {
    [("id".to_owned(), AttributeValue::S(id.to_owned()))].into()
}
