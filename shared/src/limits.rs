//! Limits: at most so many times within a window of time, counted by a conditional write.

use std::net::{IpAddr, Ipv6Addr};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use serde::Deserialize;

use crate::clock::Clock;
use crate::conditional::{self, Conditional};
use crate::init::Init;
use crate::transaction::number;
use crate::{Error, Result};

/// How often a window is looked at before it is taken to be full.
const TRIES: usize = 4;

/// The `limits` table.
#[derive(Clone)]
pub struct Limits {
    client: Client,
    table: String,
    clock: Clock,
}

/// At most `most` times in a window of `seconds`, which begins with the first.
#[derive(Clone, Copy)]
pub struct Limit {
    /// What is limited, for whom it is counted apart.
    pub what: &'static str,
    /// How often.
    pub most: i64,
    /// The window's length.
    pub seconds: i64,
}

#[derive(Deserialize)]
struct Window {
    total: i64,
    ttl: i64,
}

impl Limits {
    /// Reads `LIMITS_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("LIMITS_TABLE"), clock: init.clock() }
    }

    /// Counts one more for `whom`, or says when the next one is let through ([`Error::TooManyRequests`]).
    ///
    /// The count is made before what it limits, so that requests side by side cannot race it.
    pub async fn reserve(&self, limit: Limit, whom: &str) -> Result<()> {
        let id = id(limit, whom);
        let now = self.clock.now().seconds();
        // Most often there is a window with room: that is tried without a look.
        let mut update = self.count(&id, now, limit.most);
        for _ in 0..TRIES {
            let Conditional::Refused(item) = conditional::update(update).await? else { return Ok(()) };
            let window: Option<Window> =
                item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
            update = match window {
                Some(Window { total, ttl }) if ttl > now && total >= limit.most => {
                    return Err(Error::TooManyRequests { seconds: (ttl - now).clamp(1, limit.seconds) });
                }
                Some(Window { ttl, .. }) if ttl > now => self.count(&id, now, limit.most),
                _ => self.open(&id, now, limit.seconds),
            };
        }
        Err(Error::TooManyRequests { seconds: 1 })
    }

    /// Gives a reservation back.
    pub async fn give_back(&self, limit: Limit, whom: &str) -> Result<()> {
        let update = self.update(&id(limit, whom)).update_expression("SET #total = #total - :one");
        let update = update.condition_expression("#total > :zero");
        let update = update.expression_attribute_values(":one", number(1));
        conditional::update(update.expression_attribute_values(":zero", number(0))).await.map(drop)
    }

    /// Counts in a window that is open and has room.
    fn count(&self, id: &str, now: i64, most: i64) -> UpdateItemFluentBuilder {
        let update = self.update(id).update_expression("SET #total = #total + :one");
        let update = update.condition_expression("#total < :most AND #ttl > :now");
        let update = update.expression_attribute_names("#ttl", "ttl");
        let update = update.expression_attribute_values(":one", number(1));
        let update = update.expression_attribute_values(":most", number(most));
        update.expression_attribute_values(":now", number(now))
    }

    /// Opens a window where none is open.
    fn open(&self, id: &str, now: i64, seconds: i64) -> UpdateItemFluentBuilder {
        let update = self.update(id).update_expression("SET #total = :one, #ttl = :end");
        let update = update.condition_expression("attribute_not_exists(id) OR #ttl <= :now");
        let update = update.expression_attribute_names("#ttl", "ttl");
        let update = update.expression_attribute_values(":one", number(1));
        let update = update.expression_attribute_values(":end", number(now + seconds));
        update.expression_attribute_values(":now", number(now))
    }

    fn update(&self, id: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", AttributeValue::S(id.to_owned()))
            .expression_attribute_names("#total", "total")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

fn id(limit: Limit, whom: &str) -> String {
    format!("{}#{whom}", limit.what)
}

/// What an address counts as: itself, or the /64 of an IPv6 one, which is what one customer gets.
pub fn network(source_ip: &str) -> String {
    match source_ip.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(network))
        }
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => source_ip.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_counts_by_its_network() {
        assert_eq!(network("2001:db8:1:2:aaaa::1"), network("2001:db8:1:2:bbbb::2"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:203.0.113.7"), "203.0.113.7", "an IPv4 address written as an IPv6 one");
    }
}
