//! Archives keep a bus's events; replays put them to its rules once more.

use crate::{AwsError, Reply};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    EventBridge, already_exists, arn, bus_name, check_name, invalid, need_bus, not_found, rules, stored,
    text_of, texts,
};

const DAY_MS: i64 = 86_400_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateArchive {
    archive_name: String,
    event_source_arn: String,
    description: Option<String>,
    event_pattern: Option<String>,
    retention_days: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeArchive {
    archive_name: String,
}

/// A replay's parameters, which are also what is kept of it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartReplay {
    replay_name: String,
    description: Option<String>,
    event_source_arn: String,
    event_start_time: f64,
    event_end_time: f64,
    destination: Destination,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    arn: String,
    #[serde(default)]
    filter_arns: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeReplay {
    replay_name: String,
}

struct Archive {
    name: String,
    bus: String,
    pattern: Option<String>,
    /// 0 keeps events for good.
    retention_days: u32,
}

impl EventBridge {
    /// Keeps the event in the bus's archives that want it.
    pub(super) fn archive(&self, tx: &Connection, bus: &str, event: &Value) -> Result<(), AwsError> {
        // AWS's own rule behind an archive has this exception: a replay is not archived again.
        if event.get("replay-name").is_some() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        for name in texts(tx, "SELECT name FROM event_archives WHERE bus = ?1", [bus])? {
            let archive = need_archive(tx, &name)?;
            archive.forget_expired(tx, now_ms)?;
            if archive.wants(event)? {
                tx.prepare_cached(
                    "INSERT INTO archived_events (archive, time_s, kept_ms, event) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![name, event_time_s(event), now_ms, text_of(event)?])?;
            }
        }
        Ok(())
    }

    pub(super) fn create_archive(&self, input: CreateArchive) -> Reply {
        let CreateArchive {
            archive_name: name,
            event_source_arn,
            description,
            event_pattern,
            retention_days,
        } = input;
        check_name("Archive name", &name)?;
        if let Some(pattern) = &event_pattern {
            rules::check_pattern(&rules::pattern_json(pattern)?)?;
        }
        let bus = bus_name(Some(&event_source_arn));
        let created_ms = self.clock.now_ms();
        self.store.transaction(|tx| {
            need_bus(tx, bus)?;
            if find_archive(tx, &name)?.is_some() {
                return Err(already_exists(format!("Archive {name} already exists.")));
            }
            tx.execute(
                "INSERT INTO event_archives (name, bus, description, pattern, retention_days, created_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![name, bus, description, event_pattern, retention_days.unwrap_or(0), created_ms],
            )?;
            Ok(json!({"ArchiveArn": arn("archive", &name), "State": "ENABLED", "CreationTime": seconds(created_ms)}))
        })
    }

    pub(super) fn describe_archive(&self, input: &DescribeArchive) -> Reply {
        let now_ms = self.clock.now_ms();
        self.store.transaction(|tx| {
            let archive = need_archive(tx, &input.archive_name)?;
            archive.forget_expired(tx, now_ms)?;
            let (description, created_ms): (Option<String>, i64) = tx.query_row(
                "SELECT description, created_ms FROM event_archives WHERE name = ?1",
                [&archive.name],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let (count, size): (i64, i64) = tx.query_row(
                "SELECT count(*), coalesce(sum(length(CAST(event AS BLOB))), 0) FROM archived_events WHERE archive = ?1",
                [&archive.name],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            Ok(json!({
                "ArchiveArn": arn("archive", &archive.name),
                "ArchiveName": archive.name,
                "EventSourceArn": arn("event-bus", &archive.bus),
                "Description": description,
                "EventPattern": archive.pattern,
                "State": "ENABLED",
                "RetentionDays": archive.retention_days,
                "SizeBytes": size,
                "EventCount": count,
                "CreationTime": seconds(created_ms),
            }))
        })
    }

    /// Replays at once and in the transaction that accepts the replay, so that it
    /// happens entirely or not at all, whatever becomes of the process.
    pub(super) fn start_replay(&self, input: StartReplay) -> Reply {
        check_name("Replay name", &input.replay_name)?;
        if input.event_start_time >= input.event_end_time {
            return Err(invalid(
                "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.",
            ));
        }
        let started_ms = self.clock.now_ms();
        self.store.transaction(|tx| {
            self.replay(tx, &input, started_ms)?;
            let mut kept = serde_json::to_value(&input).map_err(|wrong| super::internal(&wrong))?;
            kept["ReplayStartTime"] = seconds(started_ms);
            kept["ReplayEndTime"] = seconds(self.clock.now_ms());
            tx.execute(
                "INSERT INTO event_replays (name, replay) VALUES (?1, ?2)",
                [&input.replay_name, &kept.to_string()],
            )?;
            Ok(json!({
                "ReplayArn": arn("replay", &input.replay_name),
                "State": "STARTING",
                "ReplayStartTime": seconds(started_ms),
            }))
        })
    }

    fn replay(&self, tx: &Transaction<'_>, input: &StartReplay, now_ms: i64) -> Result<(), AwsError> {
        if find_replay(tx, &input.replay_name)?.is_some() {
            return Err(already_exists(format!("Replay {} already exists.", input.replay_name)));
        }
        let source = input.event_source_arn.split_once(":archive/").map(|(_, name)| name);
        let source = source.ok_or_else(|| {
            invalid("Parameter EventSourceArn is not valid. Reason: Must contain an archive ARN.")
        })?;
        let archive = need_archive(tx, source)?;
        if bus_name(Some(&input.destination.arn)) != archive.bus {
            return Err(invalid(
                "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.",
            ));
        }
        archive.forget_expired(tx, now_ms)?;
        let events = texts(
            tx,
            "SELECT event FROM archived_events WHERE archive = ?1 AND time_s BETWEEN ?2 AND ?3 ORDER BY time_s, seq",
            // An event's time is a whole second, so the window's bounds are, too.
            params![archive.name, input.event_start_time.floor() as i64, input.event_end_time.floor() as i64],
        )?;
        for event in events {
            let mut event: Value = stored(&event)?;
            event["replay-name"] = json!(input.replay_name);
            self.publish(tx, &archive.bus, &event, &input.destination.filter_arns)?;
        }
        Ok(())
    }

    pub(super) fn describe_replay(&self, input: &DescribeReplay) -> Reply {
        let name = &input.replay_name;
        let replay = self.store.transaction(|tx| find_replay(tx, name))?;
        let mut replay: Value =
            stored(&replay.ok_or_else(|| not_found(format!("Replay {name} does not exist.")))?)?;
        replay["ReplayArn"] = json!(arn("replay", name));
        replay["State"] = json!("COMPLETED");
        replay["EventLastReplayedTime"] = replay["EventEndTime"].clone();
        Ok(replay)
    }
}

impl Archive {
    fn wants(&self, event: &Value) -> Result<bool, AwsError> {
        match &self.pattern {
            Some(pattern) => Ok(rules::check_pattern(&stored(pattern)?)?.matches(event)),
            None => Ok(true),
        }
    }

    fn forget_expired(&self, tx: &Connection, now_ms: i64) -> Result<(), AwsError> {
        if self.retention_days > 0 {
            tx.prepare_cached("DELETE FROM archived_events WHERE archive = ?1 AND kept_ms <= ?2")?
                .execute(params![self.name, now_ms - i64::from(self.retention_days) * DAY_MS])?;
        }
        Ok(())
    }
}

fn find_archive(tx: &Connection, name: &str) -> rusqlite::Result<Option<Archive>> {
    tx.prepare_cached("SELECT bus, pattern, retention_days FROM event_archives WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(Archive {
                name: name.to_owned(),
                bus: row.get(0)?,
                pattern: row.get(1)?,
                retention_days: row.get(2)?,
            })
        })
        .optional()
}

fn need_archive(tx: &Connection, name: &str) -> Result<Archive, AwsError> {
    find_archive(tx, name)?.ok_or_else(|| not_found(format!("Archive {name} does not exist.")))
}

fn find_replay(tx: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    tx.query_row("SELECT replay FROM event_replays WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// The protocol's timestamps: seconds with a fraction.
fn seconds(ms: i64) -> Value {
    json!(ms as f64 / 1000.0)
}

fn event_time_s(event: &Value) -> i64 {
    let time = event["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    time.map_or(0, jiff::Timestamp::as_second)
}
