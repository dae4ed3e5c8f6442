//! Buses, rules and targets: what is declared, and the operations on it.

use crate::{AwsError, Reply};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    DEFAULT_BUS, EventBridge, Rule, Target, already_exists, arn, bus_exists, bus_name, check_name, delivery,
    invalid, need_bus, not_found, rule_arn, stored, text_of, texts,
};
use crate::page::page;
use crate::pattern::Pattern;

/// AWS's quota, "Targets per rule".
const TARGETS_PER_RULE: usize = 5;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRule {
    name: String,
    event_bus_name: Option<String>,
    event_pattern: Option<String>,
    schedule_expression: Option<String>,
    state: Option<String>,
    description: Option<String>,
}

/// The input of every operation on one rule.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RuleId {
    #[serde(alias = "Rule")]
    name: String,
    event_bus_name: Option<String>,
    #[serde(default)]
    ids: Vec<String>,
    limit: Option<u64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listing {
    name_prefix: Option<String>,
    event_bus_name: Option<String>,
    limit: Option<u64>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutTargets {
    rule: String,
    event_bus_name: Option<String>,
    targets: Vec<TargetInput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TargetInput {
    id: String,
    arn: String,
    input: Option<String>,
    input_path: Option<String>,
    input_transformer: Option<Value>,
    dead_letter_config: Option<DeadLetterConfig>,
    retry_policy: Option<RetryPolicy>,
    sqs_parameters: Option<SqsParameters>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetterConfig {
    arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetryPolicy {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SqsParameters {
    message_group_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TestEventPattern {
    event_pattern: String,
    event: String,
}

impl EventBridge {
    /// Makes the bus if it is not there yet.
    pub fn declare_bus(&self, name: &str) -> Result<(), AwsError> {
        check_name("Event bus name", name)?;
        self.store.transaction(|tx| {
            tx.execute("INSERT OR IGNORE INTO event_buses VALUES (?1)", [name])?;
            Ok(())
        })
    }

    /// Makes the rule and its targets what is given here, whatever they were before.
    pub fn declare_rule(&self, rule: &Rule) -> Result<(), AwsError> {
        check_name("Rule name", &rule.name)?;
        check_pattern(&rule.pattern)?;
        rule.targets.iter().try_for_each(delivery::check_input)?;
        self.store.transaction(|tx| {
            need_bus(tx, &rule.bus)?;
            upsert_rule(tx, &rule.bus, &rule.name, None, &rule.pattern.to_string(), rule.enabled)?;
            tx.execute("DELETE FROM event_targets WHERE bus = ?1 AND rule = ?2", [&rule.bus, &rule.name])?;
            rule.targets.iter().try_for_each(|target| upsert_target(tx, &rule.bus, &rule.name, target))
        })
    }

    /// Removes every rule, on whichever bus, that is not named. What they matched already is still delivered.
    pub fn retain_rules(&self, names: &[&str]) -> Result<(), AwsError> {
        let names = text_of(&names)?;
        self.store.transaction(|tx| {
            tx.execute(
                "DELETE FROM event_targets WHERE rule NOT IN (SELECT value FROM json_each(?1))",
                [&names],
            )?;
            tx.execute(
                "DELETE FROM event_rules WHERE name NOT IN (SELECT value FROM json_each(?1))",
                [&names],
            )?;
            Ok(())
        })
    }

    pub(super) fn create_event_bus(&self, input: Named) -> Reply {
        let name = input.name.ok_or_else(|| invalid("Name is required"))?;
        check_name("Event bus name", &name)?;
        self.store.transaction(|tx| {
            if bus_exists(tx, &name)? {
                return Err(already_exists(format!("Event bus {name} already exists.")));
            }
            tx.execute("INSERT INTO event_buses VALUES (?1)", [&name])?;
            Ok(json!({"EventBusArn": arn("event-bus", &name)}))
        })
    }

    pub(super) fn describe_event_bus(&self, input: Named) -> Reply {
        let name = bus_name(input.name.as_deref());
        self.store.transaction(|tx| need_bus(tx, name))?;
        Ok(described_bus(name))
    }

    pub(super) fn list_event_buses(&self, input: &Listing) -> Reply {
        let names: Vec<String> =
            self.store.transaction(|tx| texts(tx, "SELECT name FROM event_buses ORDER BY name", []))?;
        let buses = names.iter().filter(|name| input.wants(name)).map(|name| described_bus(name)).collect();
        let (buses, next) = page(buses, input.limit, input.next_token.as_deref())?;
        Ok(json!({"EventBuses": buses, "NextToken": next}))
    }

    pub(super) fn put_rule(&self, input: PutRule) -> Reply {
        check_name("Rule name", &input.name)?;
        if input.schedule_expression.is_some() {
            return Err(invalid("ScheduleExpression is not emulated"));
        }
        let pattern =
            input.event_pattern.ok_or_else(|| invalid("Parameter(s) EventPattern must be specified."))?;
        check_pattern(&pattern_json(&pattern)?)?;
        let enabled = match input.state.as_deref() {
            None | Some("ENABLED") => true,
            Some("DISABLED") => false,
            Some(other) => return Err(invalid(format!("State {other} is not emulated"))),
        };
        let bus = bus_name(input.event_bus_name.as_deref());
        self.store.transaction(|tx| {
            need_bus(tx, bus)?;
            upsert_rule(tx, bus, &input.name, input.description.as_deref(), &pattern, enabled)?;
            Ok(json!({"RuleArn": rule_arn(bus, &input.name)}))
        })
    }

    pub(super) fn describe_rule(&self, input: &RuleId) -> Reply {
        self.store.transaction(|tx| described_rule(tx, input.bus(), &input.name))
    }

    pub(super) fn delete_rule(&self, input: &RuleId) -> Reply {
        let (bus, rule) = (input.bus(), input.name.as_str());
        self.store.transaction(|tx| {
            need_bus(tx, bus)?;
            if !targets(tx, bus, rule)?.is_empty() {
                return Err(invalid("Rule can't be deleted since it has targets."));
            }
            tx.execute("DELETE FROM event_rules WHERE bus = ?1 AND name = ?2", [bus, rule])?;
            Ok(json!({}))
        })
    }

    pub(super) fn list_rules(&self, input: &Listing) -> Reply {
        let bus = bus_name(input.event_bus_name.as_deref());
        let rules = self.store.transaction(|tx| {
            need_bus(tx, bus)?;
            let names = texts(tx, "SELECT name FROM event_rules WHERE bus = ?1 ORDER BY name", [bus])?;
            names.iter().filter(|name| input.wants(name)).map(|name| described_rule(tx, bus, name)).collect()
        })?;
        let (rules, next) = page(rules, input.limit, input.next_token.as_deref())?;
        Ok(json!({"Rules": rules, "NextToken": next}))
    }

    pub(super) fn put_targets(&self, input: PutTargets) -> Reply {
        let bus = bus_name(input.event_bus_name.as_deref());
        let added = input.targets.into_iter().map(Target::try_from).collect::<Result<Vec<_>, _>>()?;
        self.store.transaction(|tx| {
            need_rule(tx, bus, &input.rule)?;
            added.iter().try_for_each(|target| upsert_target(tx, bus, &input.rule, target))?;
            if targets(tx, bus, &input.rule)?.len() > TARGETS_PER_RULE {
                return Err(AwsError::client(
                    "LimitExceededException",
                    "The requested resource exceeds the maximum number allowed.",
                ));
            }
            Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
        })
    }

    pub(super) fn remove_targets(&self, input: &RuleId) -> Reply {
        let bus = input.bus();
        self.store.transaction(|tx| {
            need_rule(tx, bus, &input.name)?;
            for id in &input.ids {
                let sql = "DELETE FROM event_targets WHERE bus = ?1 AND rule = ?2 AND id = ?3";
                tx.execute(sql, [bus, &input.name, id])?;
            }
            Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
        })
    }

    pub(super) fn list_targets_by_rule(&self, input: &RuleId) -> Reply {
        let targets = self.store.transaction(|tx| {
            need_rule(tx, input.bus(), &input.name)?;
            targets(tx, input.bus(), &input.name)
        })?;
        let (targets, next) =
            page(targets.iter().map(described_target).collect(), input.limit, input.next_token.as_deref())?;
        Ok(json!({"Targets": targets, "NextToken": next}))
    }
}

impl RuleId {
    fn bus(&self) -> &str {
        bus_name(self.event_bus_name.as_deref())
    }
}

impl Listing {
    fn wants(&self, name: &str) -> bool {
        name.starts_with(self.name_prefix.as_deref().unwrap_or_default())
    }
}

impl TryFrom<TargetInput> for Target {
    type Error = AwsError;

    fn try_from(input: TargetInput) -> Result<Self, AwsError> {
        if input.input_transformer.is_some() {
            return Err(invalid("InputTransformer is not emulated"));
        }
        let mut target = Self::new(input.id, input.arn);
        target.input = input.input;
        target.input_path = input.input_path;
        target.dead_letter_arn = input.dead_letter_config.and_then(|config| config.arn);
        target.message_group_id = input.sqs_parameters.and_then(|parameters| parameters.message_group_id);
        if let Some(policy) = input.retry_policy {
            target.maximum_retry_attempts =
                policy.maximum_retry_attempts.unwrap_or(target.maximum_retry_attempts);
            target.maximum_event_age_in_seconds =
                policy.maximum_event_age_in_seconds.unwrap_or(target.maximum_event_age_in_seconds);
        }
        delivery::check_input(&target)?;
        Ok(target)
    }
}

pub(super) fn test_event_pattern(input: &TestEventPattern) -> Reply {
    let pattern = check_pattern(&pattern_json(&input.event_pattern)?)?;
    let event: Value = serde_json::from_str(&input.event)
        .map_err(|_| invalid("Parameter Event is not valid. Reason: not JSON"))?;
    for field in ["id", "account", "source", "time", "region", "resources", "detail-type"] {
        if event.get(field).is_none() {
            return Err(invalid(format!(
                "Parameter Event is not valid. Reason: {field} is a required field"
            )));
        }
    }
    Ok(json!({"Result": pattern.matches(&event)}))
}

pub(super) fn pattern_json(pattern: &str) -> Result<Value, AwsError> {
    serde_json::from_str(pattern).map_err(|wrong| invalid_pattern(&wrong.to_string()))
}

pub(super) fn check_pattern(pattern: &Value) -> Result<Pattern, AwsError> {
    Pattern::parse(pattern).map_err(|wrong| invalid_pattern(&wrong))
}

fn invalid_pattern(wrong: &str) -> AwsError {
    AwsError::client("InvalidEventPatternException", format!("Event pattern is not valid. Reason: {wrong}"))
}

/// The names of the enabled rules that match the event.
pub(super) fn matching(tx: &Connection, bus: &str, event: &Value) -> Result<Vec<String>, AwsError> {
    let mut names = Vec::new();
    let mut rules =
        tx.prepare_cached("SELECT name, pattern FROM event_rules WHERE bus = ?1 AND enabled ORDER BY name")?;
    let mut rows = rules.query([bus])?;
    while let Some(row) = rows.next()? {
        let pattern: Value = stored(&row.get::<_, String>(1)?)?;
        if check_pattern(&pattern)?.matches(event) {
            names.push(row.get(0)?);
        }
    }
    Ok(names)
}

pub(super) fn targets(tx: &Connection, bus: &str, rule: &str) -> Result<Vec<Target>, AwsError> {
    let sql = "SELECT target FROM event_targets WHERE bus = ?1 AND rule = ?2 ORDER BY id";
    texts(tx, sql, [bus, rule])?.iter().map(|target| stored(target)).collect()
}

fn upsert_rule(
    tx: &Connection,
    bus: &str,
    name: &str,
    description: Option<&str>,
    pattern: &str,
    enabled: bool,
) -> rusqlite::Result<usize> {
    let sql = "INSERT OR REPLACE INTO event_rules (bus, name, description, pattern, enabled) VALUES (?1, ?2, ?3, ?4, ?5)";
    tx.execute(sql, params![bus, name, description, pattern, enabled])
}

fn upsert_target(tx: &Connection, bus: &str, rule: &str, target: &Target) -> Result<(), AwsError> {
    let sql = "INSERT OR REPLACE INTO event_targets (bus, rule, id, target) VALUES (?1, ?2, ?3, ?4)";
    tx.execute(sql, params![bus, rule, target.id, text_of(target)?])?;
    Ok(())
}

fn need_rule(tx: &Connection, bus: &str, rule: &str) -> Result<(), AwsError> {
    described_rule(tx, bus, rule).map(|_| ())
}

fn described_bus(name: &str) -> Value {
    json!({"Name": name, "Arn": arn("event-bus", name)})
}

fn described_rule(tx: &Connection, bus: &str, rule: &str) -> Reply {
    need_bus(tx, bus)?;
    let sql = "SELECT description, pattern, enabled FROM event_rules WHERE bus = ?1 AND name = ?2";
    let described = tx
        .prepare_cached(sql)?
        .query_row([bus, rule], |row| {
            Ok(json!({
                "Name": rule,
                "Arn": rule_arn(bus, rule),
                "EventBusName": bus,
                "Description": row.get::<_, Option<String>>(0)?,
                "EventPattern": row.get::<_, String>(1)?,
                "State": if row.get(2)? { "ENABLED" } else { "DISABLED" },
            }))
        })
        .optional()?;
    let on = if bus == DEFAULT_BUS { String::new() } else { format!(" on EventBus {bus}") };
    described.ok_or_else(|| not_found(format!("Rule {rule} does not exist{on}.")))
}

fn described_target(target: &Target) -> Value {
    let optional = |key: &str, value: &Option<String>| value.as_ref().map(|value| json!({ key: value }));
    json!({
        "Id": target.id,
        "Arn": target.arn,
        "Input": target.input,
        "InputPath": target.input_path,
        "DeadLetterConfig": optional("Arn", &target.dead_letter_arn),
        "SqsParameters": optional("MessageGroupId", &target.message_group_id),
        "RetryPolicy": {
            "MaximumRetryAttempts": target.maximum_retry_attempts,
            "MaximumEventAgeInSeconds": target.maximum_event_age_in_seconds,
        },
    })
}
