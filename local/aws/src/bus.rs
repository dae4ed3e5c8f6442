//! EventBridge: buses, rules with their targets, archives and replays.
//!
//! An event is accepted, matched, archived and handed to every target in one
//! transaction of the store, so none is lost between two of these steps.

mod archive;
mod delivery;
mod put;
mod rules;

use crate::{ACCOUNT, AwsError, Clock, REGION, Reply, Store};
use rusqlite::{Connection, Transaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use put::Entry;

/// The bus of entries and rules that name none.
pub const DEFAULT_BUS: &str = "default";

/// How many events [`EventBridge::recent`] can look back on.
const KEPT_EVENTS: i64 = 10_000;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS event_buses (name TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS event_rules (
        bus TEXT NOT NULL, name TEXT NOT NULL, description TEXT, pattern TEXT NOT NULL, enabled INTEGER NOT NULL,
        PRIMARY KEY (bus, name));
    CREATE TABLE IF NOT EXISTS event_targets (
        bus TEXT NOT NULL, rule TEXT NOT NULL, id TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (bus, rule, id));
    CREATE TABLE IF NOT EXISTS recent_events (seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS failed_deliveries (
        id INTEGER PRIMARY KEY, attempt TEXT NOT NULL, next_ms INTEGER NOT NULL);
    CREATE INDEX IF NOT EXISTS failed_deliveries_due ON failed_deliveries (next_ms);
    CREATE TABLE IF NOT EXISTS event_archives (
        name TEXT PRIMARY KEY, bus TEXT NOT NULL, description TEXT, pattern TEXT, retention_days INTEGER NOT NULL,
        created_ms INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS archived_events (
        seq INTEGER PRIMARY KEY, archive TEXT NOT NULL, time_s INTEGER NOT NULL, kept_ms INTEGER NOT NULL,
        event TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS archived_events_by_time ON archived_events (archive, time_s);
    CREATE INDEX IF NOT EXISTS archived_events_by_age ON archived_events (archive, kept_ms);
    CREATE TABLE IF NOT EXISTS event_replays (name TEXT PRIMARY KEY, replay TEXT NOT NULL);
    INSERT OR IGNORE INTO event_buses VALUES ('default');";

/// What a target, or a dead-letter queue, is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The rule that it comes by.
    pub rule_arn: String,
    /// Whom it is for.
    pub target_arn: String,
    /// The JSON that the target gets.
    pub body: String,
    /// For a FIFO queue.
    pub message_group_id: Option<String>,
    /// String message attributes: why an event is in a dead-letter queue.
    pub attributes: Vec<(String, String)>,
}

/// Hands a delivery over within the transaction that accepts the event.
///
/// An error with a 4xx status is one that trying again will not mend (no such
/// queue); one with a 5xx status is retried. What it wrote before it failed is undone.
/// It writes through the transaction only: the store is locked while it runs.
pub type Deliver = Box<dyn Fn(&Transaction<'_>, &Delivery) -> Result<(), AwsError> + Send + Sync>;

/// Which events go where.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique on its bus.
    pub name: String,
    /// The bus's name.
    pub bus: String,
    /// An event pattern.
    pub pattern: Value,
    /// A disabled rule matches nothing.
    pub enabled: bool,
    /// Each gets every event that matches.
    pub targets: Vec<Target>,
}

/// One receiver of a rule's events. [`Target::new`] has AWS's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Unique in its rule.
    pub id: String,
    /// Whom the events are for.
    pub arn: String,
    /// The queue for events that cannot be delivered.
    pub dead_letter_arn: Option<String>,
    /// A JSON text to send in place of the event.
    pub input: Option<String>,
    /// The part of the event to send, e.g. `$.detail`.
    pub input_path: Option<String>,
    /// For a FIFO queue.
    pub message_group_id: Option<String>,
    /// How often a failed delivery is tried again.
    pub maximum_retry_attempts: u32,
    /// How long a failed delivery is tried again.
    pub maximum_event_age_in_seconds: u32,
}

impl Target {
    /// A target that gets the whole event, with AWS's retry policy: 185 times within a day.
    pub fn new(id: impl Into<String>, arn: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            arn: arn.into(),
            dead_letter_arn: None,
            input: None,
            input_path: None,
            message_group_id: None,
            maximum_retry_attempts: 185,
            maximum_event_age_in_seconds: 86_400,
        }
    }
}

/// The service.
pub struct EventBridge {
    store: Store,
    clock: Clock,
    deliver: Deliver,
}

impl EventBridge {
    /// Opens the service on its tables, making them and the default bus if need be.
    pub fn new(store: Store, clock: Clock, deliver: Deliver) -> Result<Self, AwsError> {
        store.migrate(TABLES)?;
        Ok(Self { store, clock, deliver })
    }

    /// Answers one operation of the JSON 1.1 protocol (`X-Amz-Target: AWSEvents.<action>`).
    pub async fn handle(&self, action: &str, input: Value) -> Reply {
        match action {
            "PutEvents" => self.put(&parse::<put::PutEvents>(input)?.entries),
            "CreateEventBus" => self.create_event_bus(parse(input)?),
            "DescribeEventBus" => self.describe_event_bus(parse(input)?),
            "ListEventBuses" => self.list_event_buses(&parse(input)?),
            "PutRule" => self.put_rule(parse(input)?),
            "DescribeRule" => self.describe_rule(&parse(input)?),
            "DeleteRule" => self.delete_rule(&parse(input)?),
            "ListRules" => self.list_rules(&parse(input)?),
            "PutTargets" => self.put_targets(parse(input)?),
            "RemoveTargets" => self.remove_targets(&parse(input)?),
            "ListTargetsByRule" => self.list_targets_by_rule(&parse(input)?),
            "TestEventPattern" => rules::test_event_pattern(&parse(input)?),
            "CreateArchive" => self.create_archive(parse(input)?),
            "DescribeArchive" => self.describe_archive(&parse(input)?),
            "StartReplay" => self.start_replay(parse(input)?),
            "DescribeReplay" => self.describe_replay(&parse(input)?),
            other => Err(AwsError::client("UnknownOperationException", format!("{other} is not emulated"))),
        }
    }

    /// The last events that went over the buses, as they were delivered, newest last: at most 10,000.
    pub fn recent(&self, limit: usize) -> Result<Vec<Value>, AwsError> {
        let limit = i64::try_from(limit).unwrap_or(KEPT_EVENTS);
        self.store.transaction(|tx| {
            let sql =
                "SELECT event FROM (SELECT * FROM recent_events ORDER BY seq DESC LIMIT ?1) ORDER BY seq";
            texts(tx, sql, [limit])?.iter().map(|event| stored(event)).collect()
        })
    }
}

fn parse<T: DeserializeOwned>(input: Value) -> Result<T, AwsError> {
    serde_json::from_value(input)
        .map_err(|wrong| AwsError::client("SerializationException", wrong.to_string()))
}

/// Reads back what this service wrote itself.
fn stored<T: DeserializeOwned>(text: &str) -> Result<T, AwsError> {
    serde_json::from_str(text).map_err(|wrong| internal(&wrong))
}

fn text_of(value: &impl Serialize) -> Result<String, AwsError> {
    serde_json::to_string(value).map_err(|wrong| internal(&wrong))
}

fn internal(wrong: &serde_json::Error) -> AwsError {
    AwsError { status: 500, ..AwsError::client("InternalException", wrong.to_string()) }
}

/// The first column of a query's rows.
fn texts(tx: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<String>> {
    tx.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::client("ValidationException", message)
}

fn not_found(message: impl Into<String>) -> AwsError {
    AwsError::client("ResourceNotFoundException", message)
}

fn already_exists(message: impl Into<String>) -> AwsError {
    AwsError::client("ResourceAlreadyExistsException", message)
}

/// The bus's name, out of a name, an ARN or nothing at all.
fn bus_name(name_or_arn: Option<&str>) -> &str {
    let name = name_or_arn.unwrap_or(DEFAULT_BUS);
    name.split_once(":event-bus/").map_or(name, |(_, name)| name)
}

fn arn(kind: &str, name: &str) -> String {
    format!("arn:aws:events:{REGION}:{ACCOUNT}:{kind}/{name}")
}

fn rule_arn(bus: &str, rule: &str) -> String {
    if bus == DEFAULT_BUS { arn("rule", rule) } else { arn("rule", &format!("{bus}/{rule}")) }
}

fn bus_exists(tx: &Connection, bus: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM event_buses WHERE name = ?1")?.exists([bus])
}

fn need_bus(tx: &Connection, bus: &str) -> Result<(), AwsError> {
    if bus_exists(tx, bus)? { Ok(()) } else { Err(not_found(format!("Event bus {bus} does not exist."))) }
}

/// Names of buses, rules, archives and replays: what AWS allows in all of them.
fn check_name(what: &str, name: &str) -> Result<(), AwsError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 256 || !name.chars().all(allowed) {
        return Err(invalid(format!(
            "{what} '{name}' must be 1 to 256 of the characters A-Z, a-z, 0-9, '.', '-' and '_'"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
