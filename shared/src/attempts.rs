//! Attempts at passwords: each is reserved by a conditional write before its hash is computed, so that
//! guesses side by side cannot race the count.
//!
//! An account has so many free attempts, then one after each delay, which doubles. An address that logged in
//! to the account before has a count of its own: a stranger cannot lock its owner out. An address as a whole
//! has a limit too, whatever the accounts.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::{join, join3};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::batch;
use crate::clock::Clock;
use crate::conditional::{self, Conditional};
use crate::credentials::Credential;
use crate::email::Email;
use crate::event::{Entity, Provenance};
use crate::id::UserId;
use crate::init::Init;
use crate::limits::{Limit, Limits, network};
use crate::time::Timestamp;
use crate::transaction::number;
use crate::{Error, Result};

/// How long an account's count is kept after its last attempt, in seconds.
const KEPT_SECONDS: i64 = 24 * 3600;
/// How often a count is looked at before others that try the same account are too many.
const TRIES: usize = 6;

/// The `attempts` table.
#[derive(Clone)]
pub struct Counts {
    client: Client,
    table: String,
    clock: Clock,
    /// How long an address is trusted, in seconds.
    trusted: i64,
}

/// The counts, and what they are held to.
#[derive(Clone)]
pub struct Attempts {
    counts: Counts,
    clock: Clock,
    limits: Limits,
    free: i64,
    first_delay: i64,
    longest_delay: i64,
    per_address: Limit,
}

/// The attempts at one account, as the table holds them: its own, or those from one address that logged in
/// before. It holds no email address, only its hash.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// The key.
    pub id: String,
    /// Reservations since the last success.
    attempts: i64,
    /// When the next attempt is let through once the free ones are used, in milliseconds since the epoch.
    not_before: i64,
    /// Failures, ever; more than before is what raises an event.
    pub failures: u64,
    /// Whose account, if it is one.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Raised by each failure; begins with the time, so that an item made anew does not begin again.
    pub version: u64,
    /// Of an address: which account and password it logged in with. It is trusted for no other.
    #[serde(default)]
    trusted_for: Option<String>,
    /// When the last failure was.
    #[serde(default)]
    failed_at: Option<Timestamp>,
    /// The request of the last failure.
    #[serde(default)]
    pub change: Option<Provenance>,
    ttl: i64,
}

impl Counted {
    /// When the last failure was; the epoch where there was none.
    pub fn failed_at(&self) -> Timestamp {
        self.failed_at.unwrap_or(Timestamp::from_ms(0))
    }

    /// Which item this is, for its events.
    pub fn entity(&self) -> Entity<'_> {
        Entity { table: "attempts", key: &self.id, version: self.version }
    }
}

/// What is known of an account and an address before an attempt.
pub struct Seen {
    account: Key,
    trusted: Key,
    network: String,
}

struct Key {
    id: String,
    counted: Option<Counted>,
    /// Whether another attempt keeps the count for longer: an address is not trusted for longer by attempts.
    extends: bool,
}

/// A reserved attempt: the password may be hashed.
pub struct Attempt {
    /// Where it is counted.
    id: String,
    account: String,
    trusted: String,
    network: String,
}

/// What an account is called where its address must not stand.
pub fn account_key(email: &Email) -> String {
    hashed(&[email.as_str()])
}

/// What an address that logged in to an account is called.
fn trusted_key(email: &Email, network: &str) -> String {
    hashed(&[email.as_str(), network])
}

/// Which account and which of its passwords a credential is.
fn password_of(credential: &Credential) -> String {
    format!("{}#{}", credential.user_id, credential.password_version)
}

fn hashed(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

impl Attempts {
    /// Reads `ATTEMPTS_TABLE`, `LIMITS_TABLE`, `LOGIN_FREE_ATTEMPTS`, `LOGIN_FIRST_DELAY_SECONDS`,
    /// `LOGIN_LONGEST_DELAY_SECONDS`, `LOGIN_FAILURES_PER_ADDRESS`, `LOGIN_ADDRESS_WINDOW_SECONDS` and
    /// `TRUSTED_ADDRESS_SECONDS`.
    pub fn init(init: &mut Init) -> Self {
        Self {
            counts: Counts::init(init),
            clock: init.clock(),
            limits: Limits::init(init),
            free: init.number("LOGIN_FREE_ATTEMPTS"),
            first_delay: init.number("LOGIN_FIRST_DELAY_SECONDS"),
            longest_delay: init.number("LOGIN_LONGEST_DELAY_SECONDS"),
            per_address: Limit {
                what: "login",
                most: init.number("LOGIN_FAILURES_PER_ADDRESS"),
                seconds: init.number("LOGIN_ADDRESS_WINDOW_SECONDS"),
            },
        }
    }

    /// Counts one more for the address ([`Error::TooManyRequests`] if it is one too many) and looks at what is
    /// known of it and the account, in one round trip. Do it beside reading the credential.
    pub async fn look(&self, email: &Email, source_ip: &str) -> Result<Seen> {
        let network = network(source_ip);
        let (account, trusted) = (account_key(email), trusted_key(email, &network));
        let key = |id: &String| [("id".to_owned(), AttributeValue::S(id.clone()))].into();
        let keys = batch::keys(vec![key(&account), key(&trusted)], true)?;
        let wanted = [(self.counts.table.clone(), keys)];
        // The address first: one that may not try must not touch an account's count.
        let reserved = self.limits.reserve(self.per_address, &network);
        let (reserved, read) = Box::pin(join(reserved, batch::get(&self.counts.client, wanted))).await;
        reserved?;
        let items = read?.remove(&self.counts.table).unwrap_or_default();
        let items: Vec<Counted> = serde_dynamo::from_items(items).map_err(Error::internal)?;
        let found = |id: String, extends: bool| Key {
            counted: items.iter().find(|item| item.id == id).cloned(),
            id,
            extends,
        };
        Ok(Seen { account: found(account, true), trusted: found(trusted, false), network })
    }

    /// Reserves an attempt at the account of `credential`, or says when the next one is let through
    /// ([`Error::TooManyRequests`]).
    pub async fn reserve(&self, seen: Seen, credential: Option<&Credential>) -> Result<Attempt> {
        let now = self.clock.now();
        let Seen { account, trusted, network } = seen;
        let is_trusted = trusted.counted.as_ref().is_some_and(|counted| {
            is_open(Some(counted), now) && counted.trusted_for == credential.map(password_of)
        });
        let key = if is_trusted { &trusted } else { &account };
        if let Err(refused) = self.count(key, now).await {
            self.limits.give_back(self.per_address, &network).await?;
            return Err(refused);
        }
        Ok(Attempt { id: key.id.clone(), account: account.id, trusted: trusted.id, network })
    }

    /// Counts one attempt, if one may be made now.
    async fn count(&self, key: &Key, now: Timestamp) -> Result<()> {
        let mut counted = key.counted.clone();
        for _ in 0..TRIES {
            let known = counted.filter(|counted| is_open(Some(counted), now));
            let update = match known {
                None => self.first(&key.id, now),
                Some(known) if known.attempts < self.free => self.free(&known, key.extends, now),
                Some(known) if known.not_before > now.ms() => {
                    let wait = known.not_before - now.ms();
                    return Err(Error::TooManyRequests { seconds: (wait + 999) / 1000 });
                }
                Some(known) => self.delayed(&known, key.extends, now),
            };
            match conditional::update(update).await? {
                Conditional::Written(_) => return Ok(()),
                Conditional::Refused(item) => {
                    counted = item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
                }
            }
        }
        Err(Error::TooManyRequests { seconds: self.first_delay })
    }

    fn first(&self, id: &str, now: Timestamp) -> UpdateItemFluentBuilder {
        self.update(id)
            .update_expression(
                "SET attempts = :one, notBefore = :notBefore, failures = :zero, #version = :now, #ttl = :ttl",
            )
            .condition_expression("attribute_not_exists(id) OR #ttl <= :seconds")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":now", number(now.ms()))
            .expression_attribute_values(":seconds", number(now.seconds()))
            .expression_attribute_values(":notBefore", number(now.plus_seconds(self.first_delay).ms()))
            .expression_attribute_values(":ttl", number(now.seconds() + KEPT_SECONDS))
    }

    fn free(&self, known: &Counted, extends: bool, now: Timestamp) -> UpdateItemFluentBuilder {
        self.another(known, extends, now, self.first_delay)
            .condition_expression("attempts < :free AND #ttl > :seconds")
            .expression_attribute_values(":free", number(self.free))
            .expression_attribute_values(":seconds", number(now.seconds()))
    }

    fn delayed(&self, known: &Counted, extends: bool, now: Timestamp) -> UpdateItemFluentBuilder {
        let delay = delay_after(known.attempts + 1 - self.free, self.first_delay, self.longest_delay);
        self.another(known, extends, now, delay)
            .condition_expression("attempts = :known")
            .expression_attribute_values(":known", number(known.attempts))
    }

    fn another(&self, known: &Counted, extends: bool, now: Timestamp, delay: i64) -> UpdateItemFluentBuilder {
        let ttl = if extends { now.seconds() + KEPT_SECONDS } else { known.ttl };
        self.update(&known.id)
            .update_expression("SET attempts = attempts + :one, notBefore = :notBefore, #ttl = :ttl")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":notBefore", number(now.plus_seconds(delay).ms()))
            .expression_attribute_values(":ttl", number(ttl))
    }

    /// Writes down that the attempt failed; of whom, if there is such an account.
    pub async fn failed(&self, attempt: &Attempt, of: Option<UserId>, by: &Provenance) -> Result<()> {
        let user = of.map_or(AttributeValue::Null(true), |id| AttributeValue::S(id.to_string()));
        let change = serde_dynamo::to_attribute_value(by).map_err(Error::internal)?;
        let update = self.update(&attempt.id).update_expression(
            "SET failures = failures + :one, #version = #version + :one, userId = :user, #change = :change, \
             failedAt = :now, lastFailure = :attempt",
        );
        // Sent again after a lost reply, it is still one failure.
        let condition =
            "attribute_exists(id) AND (attribute_not_exists(lastFailure) OR lastFailure <> :attempt)";
        let update = update.condition_expression(condition);
        let attempt = AttributeValue::S(crate::id::uuid(self.clock.now()).to_string());
        let update = update.expression_attribute_values(":attempt", attempt);
        let update = update.expression_attribute_names("#change", "change");
        let update = update.expression_attribute_names("#version", "version");
        let update = update.expression_attribute_values(":one", number(1));
        let update = update.expression_attribute_values(":user", user);
        let now = AttributeValue::S(self.clock.now().to_string());
        let update = update.expression_attribute_values(":now", now);
        conditional::update(update.expression_attribute_values(":change", change)).await.map(drop)
    }

    /// Writes down that the attempt succeeded: the count begins again, the address is trusted and gets its
    /// reservation back.
    pub async fn succeeded(&self, attempt: &Attempt, credential: &Credential) -> Result<()> {
        let trust = self.counts.trust(&attempt.trusted, password_of(credential));
        let clear = async {
            if attempt.id == attempt.account { self.counts.clear(&attempt.account).await } else { Ok(()) }
        };
        let give_back = self.limits.give_back(self.per_address, &attempt.network);
        let (trusted, cleared, given_back) = Box::pin(join3(trust, clear, give_back)).await;
        trusted.and(cleared).and(given_back)
    }

    fn update(&self, id: &str) -> UpdateItemFluentBuilder {
        self.counts.update(id)
    }
}

impl Counts {
    /// Reads `ATTEMPTS_TABLE` and `TRUSTED_ADDRESS_SECONDS`.
    pub fn init(init: &mut Init) -> Self {
        Self {
            client: init.dynamodb(),
            table: init.text("ATTEMPTS_TABLE"),
            clock: init.clock(),
            trusted: init.number("TRUSTED_ADDRESS_SECONDS"),
        }
    }

    /// Begins anew for an account that has another password than `read`, set from this address: the account's
    /// count is cleared, and the address gets one of its own. Addresses trusted before are not any more.
    pub async fn restart(&self, read: &Credential, source_ip: &str) -> Result<()> {
        let (account, trusted) = (account_key(&read.email), trusted_key(&read.email, &network(source_ip)));
        let next = Credential { password_version: read.password_version + 1, ..read.clone() };
        let (cleared, trusted) =
            Box::pin(join(self.clear(&account), self.trust(&trusted, password_of(&next)))).await;
        cleared.and(trusted)
    }

    async fn trust(&self, id: &str, password: String) -> Result<()> {
        let now = self.clock.now();
        let update = self
            .update(id)
            .update_expression(
                "SET attempts = :zero, notBefore = :zero, #ttl = :ttl, trustedFor = :password, \
                 failures = if_not_exists(failures, :zero), #version = if_not_exists(#version, :now)",
            )
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":password", AttributeValue::S(password))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":now", number(now.ms()))
            .expression_attribute_values(":ttl", number(now.seconds() + self.trusted));
        conditional::update(update).await.map(drop)
    }

    async fn clear(&self, id: &str) -> Result<()> {
        let update = self.update(id).update_expression("SET attempts = :zero, notBefore = :zero");
        let update = update.condition_expression("attribute_exists(id)");
        conditional::update(update.expression_attribute_values(":zero", number(0))).await.map(drop)
    }

    fn update(&self, id: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("id", AttributeValue::S(id.to_owned()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

/// How long to wait after the attempt `past` the free ones, in seconds: twice as long after each.
fn delay_after(past: i64, first: i64, longest: i64) -> i64 {
    // Far beyond any limit, and short of the sign.
    let doublings = past.clamp(0, 40);
    (1i64 << doublings).saturating_mul(first).min(longest)
}

/// Whether a count is there and has not expired, removed or not.
fn is_open(counted: Option<&Counted>, now: Timestamp) -> bool {
    counted.is_some_and(|counted| counted.ttl > now.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_doubles_up_to_the_longest_and_stays_there() {
        let delays: Vec<i64> = (0..12).map(|past| delay_after(past, 1, 900)).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert!((10..1_000).all(|past| delay_after(past, 1, 900) == 900), "however many there were");
        assert_eq!(delay_after(i64::MAX, i64::MAX, 900), 900);
    }
}
