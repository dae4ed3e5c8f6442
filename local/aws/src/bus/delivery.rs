//! Getting an event to a target, or to its dead-letter queue, or to a later attempt.

use crate::AwsError;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Delivery, EventBridge, Target, stored, text_of};

/// An event on its way to one target. It carries the target as it was when the
/// event was accepted, so that a changed rule does not strand it.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) event: Value,
    pub(super) rule_arn: String,
    pub(super) target: Target,
    /// How many attempts failed before this one.
    pub(super) made: u32,
    pub(super) since_ms: i64,
}

impl EventBridge {
    /// Tries again what failed and is due. A background loop calls this every second or so.
    /// Answers how many deliveries it tried.
    pub async fn retry_due(&self) -> Result<usize, AwsError> {
        let now_ms = self.clock.now_ms();
        let mut tried = 0;
        while self.store.transaction(|tx| self.retry_one(tx, now_ms))? {
            tried += 1;
            tokio::task::yield_now().await;
        }
        Ok(tried)
    }

    fn retry_one(&self, tx: &Transaction<'_>, now_ms: i64) -> Result<bool, AwsError> {
        let due = tx
            .prepare_cached(
                "SELECT id, attempt FROM failed_deliveries WHERE next_ms <= ?1 ORDER BY next_ms, id LIMIT 1",
            )?
            .query_row([now_ms], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .optional()?;
        let Some((id, attempt)) = due else { return Ok(false) };
        tx.prepare_cached("DELETE FROM failed_deliveries WHERE id = ?1")?.execute([id])?;
        self.attempt(tx, stored(&attempt)?)?;
        Ok(true)
    }

    /// Delivers once. A failure is settled here: `Err` is the store's own.
    pub(super) fn attempt(&self, tx: &Transaction<'_>, mut attempt: Attempt) -> Result<(), AwsError> {
        let target = &attempt.target;
        let delivery = Delivery {
            rule_arn: attempt.rule_arn.clone(),
            target_arn: target.arn.clone(),
            body: body(target, &attempt.event),
            message_group_id: target.message_group_id.clone(),
            attributes: Vec::new(),
        };
        let Err(error) = self.deliver_or_undo(tx, &delivery)? else { return Ok(()) };
        tracing::warn!(target = delivery.target_arn, %error, "an event could not be delivered");
        attempt.made = attempt.made.saturating_add(1);

        let exhausted = attempt.exhausted(self.clock.now_ms());
        // AWS sends what no retry can mend to the dead-letter queue at once.
        // Without a queue it is kept and retried here, since a laptop's queue may yet be declared.
        let hopeless = error.status < 500 && attempt.target.dead_letter_arn.is_some();
        if (hopeless || exhausted.is_some()) && self.dead_letter(tx, &attempt, &error, exhausted)? {
            return Ok(());
        }
        if exhausted.is_some() {
            tracing::error!(
                target = attempt.target.arn,
                rule = attempt.rule_arn,
                "an event is dropped: retries are exhausted"
            );
            return Ok(());
        }
        tx.prepare_cached("INSERT INTO failed_deliveries (attempt, next_ms) VALUES (?1, ?2)")?
            .execute(params![text_of(&attempt)?, self.clock.now_ms() + backoff_ms(attempt.made)])?;
        Ok(())
    }

    /// Whether the event is in the target's dead-letter queue now.
    fn dead_letter(
        &self,
        tx: &Transaction<'_>,
        attempt: &Attempt,
        error: &AwsError,
        exhausted: Option<&str>,
    ) -> Result<bool, AwsError> {
        let Some(queue) = &attempt.target.dead_letter_arn else { return Ok(false) };
        let mut attributes = vec![
            ("RULE_ARN".to_owned(), attempt.rule_arn.clone()),
            ("TARGET_ARN".to_owned(), attempt.target.arn.clone()),
            ("ERROR_CODE".to_owned(), error_code(error).to_owned()),
            ("ERROR_MESSAGE".to_owned(), error.to_string()),
        ];
        if let Some(condition) = exhausted {
            attributes.push(("EXHAUSTED_RETRY_CONDITION".to_owned(), condition.to_owned()));
            attributes.push(("RETRY_ATTEMPTS".to_owned(), attempt.made.saturating_sub(1).to_string()));
        }
        let letter = Delivery {
            rule_arn: attempt.rule_arn.clone(),
            target_arn: queue.clone(),
            body: attempt.event.to_string(),
            message_group_id: None,
            attributes,
        };
        let delivered = self.deliver_or_undo(tx, &letter)?;
        if let Err(error) = &delivered {
            tracing::error!(queue, %error, "a dead-letter queue did not take an event");
        }
        Ok(delivered.is_ok())
    }

    /// The inner result is the delivery's; a failed one leaves nothing in the transaction.
    fn deliver_or_undo(
        &self,
        tx: &Transaction<'_>,
        delivery: &Delivery,
    ) -> Result<Result<(), AwsError>, AwsError> {
        tx.execute_batch("SAVEPOINT delivery")?;
        let delivered = (self.deliver)(tx, delivery);
        tx.execute_batch(match delivered {
            Ok(()) => "RELEASE delivery",
            Err(_) => "ROLLBACK TO delivery; RELEASE delivery",
        })?;
        Ok(delivered)
    }
}

impl Attempt {
    /// The limit of the retry policy that has been reached, by AWS's name.
    fn exhausted(&self, now_ms: i64) -> Option<&'static str> {
        let age_ms = now_ms.saturating_sub(self.since_ms);
        if self.made > self.target.maximum_retry_attempts {
            Some("MaximumRetryAttempts")
        } else if age_ms >= i64::from(self.target.maximum_event_age_in_seconds) * 1000 {
            Some("MaximumEventAgeInSeconds")
        } else {
            None
        }
    }
}

/// Doubles from one second up to eight minutes, which spreads AWS's 185 attempts over its 24 hours.
fn backoff_ms(made: u32) -> i64 {
    1000 * 2_i64.saturating_pow(made.saturating_sub(1)).min(480)
}

/// From the list in the user guide, "Using dead-letter queues to process undelivered events".
fn error_code(error: &AwsError) -> &'static str {
    let missing = error.code.contains("NotFound")
        || error.code.contains("NonExistent")
        || error.code.contains("DoesNotExist");
    match error.status {
        _ if missing => "NO_RESOURCE",
        _ if error.code == "AccessDenied" => "NO_PERMISSIONS",
        400..500 => "SDK_CLIENT_ERROR",
        _ => "INTERNAL_ERROR",
    }
}

fn body(target: &Target, event: &Value) -> String {
    match (&target.input, &target.input_path) {
        (Some(input), _) => input.clone(),
        // A path that leads nowhere in this event selects null.
        (None, Some(path)) => {
            steps(path).ok().and_then(|steps| select(event, &steps)).unwrap_or(&Value::Null).to_string()
        }
        (None, None) => event.to_string(),
    }
}

/// An input path's steps: `$`, `$.detail.items[0]` and `$['detail-type']` are what is understood.
fn steps(path: &str) -> Result<Vec<String>, AwsError> {
    let wrong =
        || super::invalid(format!("Invalid InputPath {path}: only $, .name, ['name'] and [0] are emulated"));
    let mut rest = path.strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = if let Some(bracket) = rest.strip_prefix(".[").or_else(|| rest.strip_prefix('['))
        {
            let (step, after) = bracket.split_once(']').ok_or_else(wrong)?;
            (step.trim_matches(['\'', '"']), after)
        } else {
            let name = rest.strip_prefix('.').ok_or_else(wrong)?;
            name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
        };
        if step.is_empty() || step == "*" {
            return Err(wrong());
        }
        steps.push(step.to_owned());
        rest = after;
    }
    Ok(steps)
}

fn select<'a>(event: &'a Value, steps: &[String]) -> Option<&'a Value> {
    steps.iter().try_fold(event, |value, step| match value {
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// Refuses what [`body`] could not make use of.
pub(super) fn check_input(target: &Target) -> Result<(), AwsError> {
    if target.input.is_some() && target.input_path.is_some() {
        return Err(super::invalid(format!(
            "Only one of Input and InputPath may be given for target {}.",
            target.id
        )));
    }
    if let Some(input) = &target.input {
        serde_json::from_str::<Value>(input).map_err(|wrong| {
            super::invalid(format!("JSON syntax error in input for target {}: {wrong}", target.id))
        })?;
    }
    target.input_path.as_deref().map(steps).transpose()?;
    Ok(())
}
