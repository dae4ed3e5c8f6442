//! The audit: what has happened, for admins to look up.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use schemars::{Schema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::batch;
use crate::clock::Clock;
use crate::conditional;
use crate::event::Fact;
use crate::id::UserId;
use crate::init::Init;
use crate::input::{Fault, Field, Raw};
use crate::listing::{self, Listing, SHARDS};
use crate::time::Timestamp;
use crate::transaction::{Item, number};
use crate::{Error, Result};

/// How long a record is kept, in seconds: 90 days.
const KEPT_SECONDS: i64 = 90 * 24 * 3600;
/// What a record keeps of an event's data: ids, and what says nothing of a person.
const KEPT: [&str; 7] = ["userId", "sessionId", "productId", "fileId", "roles", "status", "stock"];

/// An event, as the `audit` table holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its partition, see [`crate::listing`]: that of its id.
    pub shard: u8,
    /// The sort key. It sorts by the time of the event, and is the same whenever the event comes again.
    pub id: Uuid,
    /// The event's id.
    pub event_id: Uuid,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of its data, what tells no name and no address.
    pub data: Map<String, Value>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The correlation id of the request that caused it.
    pub correlation_id: String,
    /// When it came here.
    pub received_at: Timestamp,
    /// When DynamoDB may remove it, in seconds since the epoch.
    pub ttl: i64,
    /// Its partition in the list of its type.
    pub type_list: String,
    /// Whose it is, if it is about a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_list: Option<UserId>,
    /// Its list of a user's events of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_type_list: Option<String>,
}

/// An event as the bus tells it, of whichever type: also of one that this version does not know any more, or yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Happened {
    /// Its id.
    pub id: Uuid,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its data.
    pub data: Map<String, Value>,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The correlation id of the request that caused it.
    pub correlation_id: String,
}

impl Record {
    /// What is kept of an event.
    pub fn of(event: Happened, now: Timestamp) -> Self {
        let Happened { id: event_id, kind, mut data, timestamp, correlation_id } = event;
        data.retain(|name, _| KEPT.contains(&name.as_str()));
        let user: Option<UserId> =
            data.get("userId").and_then(Value::as_str).and_then(|user| user.parse().ok());
        let id = place(timestamp, event_id);
        let shard = listing::shard(id.as_bytes());
        Self {
            id,
            event_id,
            data,
            timestamp,
            correlation_id,
            received_at: now,
            ttl: timestamp.seconds() + KEPT_SECONDS,
            shard,
            type_list: type_list(&kind, shard),
            user_list: user,
            user_type_list: user.map(|user| user_type_list(user, &kind)),
            kind,
        }
    }
}

/// An id that sorts by `time`, with the bits of `id` behind it (a UUIDv7 by its form).
fn place(time: Timestamp, id: Uuid) -> Uuid {
    let mut bytes = *id.as_bytes();
    let ms = u64::try_from(time.ms()).unwrap_or_default().to_be_bytes();
    bytes[..6].copy_from_slice(&ms[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    Uuid::from_bytes(bytes)
}

fn type_list(kind: &str, shard: u8) -> String {
    format!("{kind}#{shard}")
}

fn user_type_list(user: UserId, kind: &str) -> String {
    format!("{user}#{kind}")
}

/// The type of an event, of those that there are.
#[derive(Clone, Copy)]
pub struct Kind(pub &'static str);

impl Field for Kind {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let name = raw.string()?;
        let known = Fact::KINDS.into_iter().find(|known| *known == name);
        known.map(Self).ok_or_else(|| Fault::invalid("INVALID_VALUE", "must be a type of event"))
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "enum": Fact::KINDS})
    }
}

/// Which records are asked for.
#[derive(Clone, Copy, Default)]
pub struct Filter {
    /// Of this type.
    pub kind: Option<&'static str>,
    /// About this user.
    pub user: Option<UserId>,
    /// Of this moment or later.
    pub from: Option<Timestamp>,
    /// Of before this moment.
    pub to: Option<Timestamp>,
}

impl Filter {
    /// The index that answers it, or the table itself; its partition key, and its partitions.
    fn list(&self) -> (Option<&'static str>, &'static str, Vec<AttributeValue>) {
        let text = AttributeValue::S;
        match (self.user, self.kind) {
            (Some(user), Some(kind)) => {
                (Some("newest-by-user-and-type"), "userTypeList", vec![text(user_type_list(user, kind))])
            }
            (Some(user), None) => (Some("newest-by-user"), "userList", vec![text(user.to_string())]),
            (None, Some(kind)) => {
                let partitions = (0..SHARDS).map(|shard| text(type_list(kind, shard)));
                (Some("newest-by-type"), "typeList", partitions.collect())
            }
            (None, None) => (None, "shard", (0..SHARDS).map(|shard| number(shard.into())).collect()),
        }
    }
}

/// The `audit` table.
pub struct Audit {
    client: Client,
    table: String,
    clock: Clock,
}

impl Audit {
    /// Reads `AUDIT_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("AUDIT_TABLE"), clock: init.clock() }
    }

    /// Keeps a record, unless it is there.
    pub async fn keep(&self, record: &Record) -> Result<()> {
        let item = serde_dynamo::to_item(record).map_err(Error::internal)?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        conditional::put(put.condition_expression("attribute_not_exists(id)")).await.map(drop)
    }

    /// The ids of the records that `filter` takes and that are still to be kept, the newest first: those after `after`,
    /// `most` of them at most. They may lag behind by a second.
    pub async fn ids(&self, filter: &Filter, after: Option<Uuid>, most: usize) -> Result<Vec<Uuid>> {
        let (index, partition, partitions) = filter.list();
        let (client, table) = (self.client.clone(), self.table.clone());
        let listing = Listing { client, table, index, partition, sort: "id" };
        let bound = |time: Timestamp| place(time, Uuid::nil());
        let after = after.into_iter().chain(filter.to.map(bound)).min();
        let mut ids = listing.ids(partitions, after, 0, most).await?;
        let kept_since = self.clock.now().plus_seconds(-KEPT_SECONDS);
        let from = bound(filter.from.map_or(kept_since, |from| from.max(kept_since)));
        ids.retain(|id| *id >= from);
        Ok(ids)
    }

    /// Reads the records of these ids, at most 100, in their order.
    pub async fn get_all(&self, ids: &[Uuid]) -> Result<Vec<Record>> {
        let key = |id: &Uuid| {
            let shard = number(listing::shard(id.as_bytes()).into());
            Item::from([("shard".to_owned(), shard), ("id".to_owned(), AttributeValue::S(id.to_string()))])
        };
        let mut records: Vec<Record> = batch::get_all(&self.client, &self.table, ids.iter().map(key)).await?;
        records.sort_by_key(|record| ids.iter().position(|id| *id == record.id));
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Entity, Event, Provenance};

    #[test]
    fn a_record_tells_no_name_and_no_address() {
        let now = Timestamp::from_ms(1_790_000_000_000);
        let by = Provenance::of_function("auth-register", "register", "c-1");
        let user_id = UserId::from([7; 16]);
        let fact =
            Fact::UserRegistered { user_id, email: "ada@example.com".parse().unwrap(), name: "Ada".into() };
        let event = Event::raised(&Entity { table: "users", key: "k", version: 1 }, now, &by, fact);
        let told = || serde_json::from_value(serde_json::to_value(&event).unwrap()).unwrap();
        let record = Record::of(told(), now.plus_ms(5));
        assert_eq!(Value::Object(record.data.clone()), serde_json::json!({"userId": user_id.to_string()}));
        assert_eq!((record.user_list, record.kind.as_str()), (Some(user_id), "auth.user_registered"));
        let again = Record::of(told(), now.plus_seconds(9));
        assert_eq!((record.id, record.ttl), (again.id, again.ttl));
        let text = serde_json::to_string(&record).unwrap();
        assert!(!text.contains("ada@") && !text.contains("Ada"), "{text}");
    }

    #[test]
    fn an_event_of_a_type_that_is_not_known_is_kept_too() {
        let event = serde_json::json!({
            "id": Uuid::nil(), "type": "shop.moved", "data": {"to": "Ada's street", "productId": "p"},
            "timestamp": "2026-11-25T10:00:00.000Z", "source": "arcana", "version": 2, "correlationId": "c-1",
        });
        let record = Record::of(serde_json::from_value(event).unwrap(), Timestamp::from_ms(0));
        assert_eq!(Value::Object(record.data), serde_json::json!({"productId": "p"}));
    }

    #[test]
    fn records_sort_by_the_time_of_their_events() {
        let time = Timestamp::from_ms(1_790_000_000_000);
        let (low, high) = (Uuid::nil(), Uuid::max());
        assert!(place(time, high) < place(time.plus_ms(1), low));
        assert!(place(time, low) <= place(time, Uuid::from_u128(1)));
    }
}
