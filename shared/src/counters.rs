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
