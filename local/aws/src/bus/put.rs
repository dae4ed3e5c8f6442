//! PutEvents: from an entry to the event that rules, archives and targets see.

use crate::{ACCOUNT, AwsError, REGION, Reply};
use rusqlite::{Connection, Transaction, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::delivery::Attempt;
use super::{EventBridge, KEPT_EVENTS, bus_exists, bus_name, invalid, rule_arn, rules, text_of};

/// "The total entry size must be less than 256KB", Amazon EventBridge User
/// Guide, "Calculating PutEvents event entry size": one request's entries
/// together. (AWS has raised it since; what fits here fits there.)
const REQUEST_LIMIT: usize = 262_144;

const REQUEST_ENTRIES: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutEvents {
    #[serde(default)]
    pub(super) entries: Vec<Entry>,
}

/// One entry of PutEvents, with AWS's names and meanings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// Seconds since the epoch; the time of the request by default.
    pub time: Option<f64>,
    /// Who sends it. Required.
    pub source: Option<String>,
    /// ARNs that the event is about.
    #[serde(default)]
    pub resources: Vec<String>,
    /// What kind of event it is. Required.
    pub detail_type: Option<String>,
    /// A JSON object as text. Required.
    pub detail: Option<String>,
    /// A bus's name or ARN; the default bus by default.
    pub event_bus_name: Option<String>,
}

/// Why one entry fails while the others of its request do not.
type Refusal = (&'static str, String);

impl EventBridge {
    /// PutEvents: accepts the entries, each failing alone, and answers as the API does.
    ///
    /// An entry for a bus that does not exist succeeds and goes nowhere, as on AWS
    /// (github.com/aws/aws-sdk/issues/186); the log has a warning.
    pub fn put(&self, entries: &[Entry]) -> Reply {
        check_request(entries)?;
        let results: Vec<Value> = self.store.transaction(|tx| {
            entries.iter().map(|entry| self.accept(tx, entry)).collect::<Result<_, AwsError>>()
        })?;
        let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
        Ok(json!({"FailedEntryCount": failed, "Entries": results}))
    }

    /// Puts an event of one of this cloud's own services on the default bus.
    pub(crate) fn tell(&self, entry: &Entry) -> Result<(), AwsError> {
        let event = event_of(entry, self.clock.now_ms() / 1000)
            .map_err(|(code, text)| AwsError::client(code, text))?;
        self.store.transaction(|tx| self.publish(tx, bus_name(None), &event, &[]))
    }

    fn accept(&self, tx: &Transaction<'_>, entry: &Entry) -> Reply {
        let event = if entry.source.as_ref().is_some_and(|source| source.starts_with("aws.")) {
            Err(("NotAuthorizedForSourceException", "Not authorized for the source.".to_owned()))
        } else {
            event_of(entry, self.clock.now_ms() / 1000)
        };
        match event {
            Ok(event) => {
                self.publish(tx, bus_name(entry.event_bus_name.as_deref()), &event, &[])?;
                Ok(json!({"EventId": event["id"]}))
            }
            Err((code, message)) => Ok(json!({"ErrorCode": code, "ErrorMessage": message})),
        }
    }

    /// Puts an event on a bus: into its archives and to the targets of the rules
    /// that match it, or of those among them whose ARN is in `only_rules` if any is given.
    pub(super) fn publish(
        &self,
        tx: &Transaction<'_>,
        bus: &str,
        event: &Value,
        only_rules: &[String],
    ) -> Result<(), AwsError> {
        if !bus_exists(tx, bus)? {
            tracing::warn!(bus, "an event for a bus that does not exist goes nowhere");
            return Ok(());
        }
        remember(tx, event)?;
        self.archive(tx, bus, event)?;
        for rule in rules::matching(tx, bus, event)? {
            let rule_arn = rule_arn(bus, &rule);
            if !only_rules.is_empty() && !only_rules.contains(&rule_arn) {
                continue;
            }
            for target in rules::targets(tx, bus, &rule)? {
                let since_ms = self.clock.now_ms();
                self.attempt(
                    tx,
                    Attempt { event: event.clone(), rule_arn: rule_arn.clone(), target, made: 0, since_ms },
                )?;
            }
        }
        Ok(())
    }
}

fn check_request(entries: &[Entry]) -> Result<(), AwsError> {
    if entries.is_empty() || entries.len() > REQUEST_ENTRIES {
        return Err(invalid(format!(
            "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy constraint: \
             Member must have length between 1 and {REQUEST_ENTRIES}"
        )));
    }
    if entries.iter().map(entry_size).sum::<usize>() > REQUEST_LIMIT {
        return Err(invalid("Total size of the entries in the request is over the limit."));
    }
    Ok(())
}

/// As the user guide calculates it.
fn entry_size(entry: &Entry) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let time = if entry.time.is_some() { 14 } else { 0 };
    let resources: usize = entry.resources.iter().map(String::len).sum();
    time + length(&entry.source) + length(&entry.detail_type) + length(&entry.detail) + resources
}

fn event_of(entry: &Entry, now_s: i64) -> Result<Value, Refusal> {
    let source = required("Source", entry.source.as_deref())?;
    let detail_type = required("DetailType", entry.detail_type.as_deref())?;
    let detail = required("Detail", entry.detail.as_deref())?;
    let detail = serde_json::from_str(detail)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| ("MalformedDetail", "Detail is malformed.".to_owned()))?;
    // The protocol's timestamps are seconds with a fraction; an event's time has whole ones.
    let time = jiff::Timestamp::from_second(entry.time.map_or(now_s, |time| time.floor() as i64))
        .map_err(|_| ("InvalidArgument", "Parameter Time is not valid.".to_owned()))?;
    Ok(json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": time.to_string(),
        "region": REGION,
        "resources": entry.resources,
        "detail": detail,
    }))
}

fn required<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, Refusal> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        ("InvalidArgument", format!("Parameter {name} is not valid. Reason: {name} is a required argument."))
    })
}

fn remember(tx: &Connection, event: &Value) -> Result<(), AwsError> {
    tx.prepare_cached("INSERT INTO recent_events (event) VALUES (?1)")?.execute([text_of(event)?])?;
    tx.prepare_cached("DELETE FROM recent_events WHERE seq <= ?1")?
        .execute(params![tx.last_insert_rowid() - KEPT_EVENTS])?;
    Ok(())
}
