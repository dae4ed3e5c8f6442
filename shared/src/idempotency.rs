//! `Idempotency-Key`: a request that is sent again is done once, and answered as the first time
//! (<https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
//!
//! A key is claimed before its request is worked on. The effect's transaction marks the claim done
//! ([`SignedIn::write`](crate::caller::SignedIn::write)), so that a crash leaves both or neither; a claim without
//! an effect lapses. The answer is kept with the effect where it is known by then, and right after it otherwise: a
//! repetition that finds the effect without its answer runs the handler again, whose write is then known to be done.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::clock::Clock;
use crate::conditional::{self, Conditional};
use crate::id::{UserId, derived};
use crate::init::Init;
use crate::input::{FieldError, Place};
use crate::transaction::{Condition, Item, Step};
use crate::{Error, Request, Response, Result};

/// How long a claim holds, in seconds: longer than any function may run.
const CLAIM_SECONDS: i64 = 30;
/// How long an answer is kept, in seconds.
const KEPT_SECONDS: i64 = 24 * 3600;
/// Characters of a key at most.
const LONGEST: usize = 255;
/// The header.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The `idempotency` table.
pub(crate) struct Keys {
    client: Client,
    table: String,
    clock: Clock,
}

/// A key's record.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// Whose key of which route, hashed.
    id: String,
    /// Which body it came with, hashed.
    fingerprint: String,
    /// Which request works on it.
    holder: Uuid,
    /// Whether its effect is there.
    done: bool,
    /// When the claim lapses, in seconds since the epoch.
    claimed_until: i64,
    /// When the record is forgotten, in seconds since the epoch.
    ttl: i64,
    /// What was answered, as JSON; nothing as long as that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

/// What can be answered, kept under a key, and answered again.
pub trait Answer: Sized + Send + Sync {
    /// What is answered instead to a request that ended in an error.
    fn refusal(error: &Error, request: &Request) -> Self;

    /// The answer as a record holds it.
    fn keep(&self) -> Result<String>;

    /// The answer that a record holds, marked as given before ([`REPLAYED`]).
    fn replay(kept: &str) -> Result<Self>;
}

/// A response as a record holds it.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Answer for Response {
    fn refusal(error: &Error, request: &Request) -> Self {
        Self::problem(error, request.origin())
    }

    fn keep(&self) -> Result<String> {
        let text = |name: &HeaderName| Some((name.to_string(), self.header_text(name)?.to_owned()));
        let kept = Kept {
            status: self.status().as_u16(),
            headers: [header::CONTENT_TYPE, header::LOCATION, header::ETAG].iter().filter_map(text).collect(),
            body: self.body_text().map(ToOwned::to_owned),
        };
        serde_json::to_string(&kept).map_err(Error::internal)
    }

    fn replay(kept: &str) -> Result<Self> {
        let Kept { status, headers, body } = serde_json::from_str(kept).map_err(Error::internal)?;
        let mut response = Self::empty(StatusCode::from_u16(status).map_err(Error::internal)?);
        if let Some(body) = body {
            response = response.text("application/json", body);
        }
        for (name, value) in headers {
            response = response.header(name.parse().map_err(Error::internal)?, &value);
        }
        Ok(response.header(REPLAYED, "true"))
    }
}

/// What became of a key.
pub(crate) enum Claimed {
    /// The request is to be worked on.
    Held(Claim),
    /// It was answered before, with this.
    Answered(String),
}

/// A key that this request works on.
pub(crate) struct Claim {
    table: String,
    id: String,
    holder: Uuid,
    /// Whether an earlier request has left the effect there.
    pub(crate) done: bool,
    /// How many transactions it took.
    writes: AtomicU64,
    /// Whether the effect's transaction has taken the answer along.
    pub(crate) answered: AtomicBool,
}

/// The key that a request came with.
fn key(request: &Request) -> Result<Option<&str>> {
    let mut values = request.headers().get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refused = |code, detail: &'static str| {
        let place = Place::Parameter("Idempotency-Key".to_owned());
        Err(Error::Validation(vec![FieldError::new(place, code, detail)]))
    };
    match value.to_str().map(str::trim) {
        Err(_) => refused("INVALID_FORMAT", "must be of visible ASCII characters"),
        Ok(_) if values.next().is_some() => refused("INVALID_VALUE", "must stand once"),
        Ok("") => refused("TOO_SHORT", "must not be empty"),
        Ok(key) if key.len() > LONGEST => refused("TOO_LONG", "must have at most 255 characters"),
        Ok(key) => Ok(Some(key)),
    }
}

impl Keys {
    /// Reads `IDEMPOTENCY_TABLE`.
    pub(crate) fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("IDEMPOTENCY_TABLE"), clock: init.clock() }
    }

    /// Claims the key of a request of `user`, if it has one, or finds what it was answered.
    pub(crate) async fn claim(&self, user: UserId, request: &Request) -> Result<Option<Claimed>> {
        match key(request)? {
            Some(key) => self.claim_key(user, request, key).await.map(Some),
            None => Ok(None),
        }
    }

    async fn claim_key(&self, user: UserId, request: &Request, key: &str) -> Result<Claimed> {
        let now = self.clock.now().seconds();
        let origin = request.origin();
        let scope = [&user.to_string(), origin.method.as_str(), &origin.path, key];
        let record = Record {
            id: hash(&scope.map(str::as_bytes)),
            fingerprint: hash(&[request.body()]),
            holder: Uuid::now_v7(),
            done: false,
            claimed_until: now + CLAIM_SECONDS,
            ttl: now + KEPT_SECONDS,
            answer: None,
        };
        let claim = |done| {
            let (table, id) = (self.table.clone(), record.id.clone());
            let (writes, answered) = (AtomicU64::default(), AtomicBool::default());
            Claim { table, id, holder: record.holder, done, writes, answered }
        };
        let held = |done| Ok(Claimed::Held(claim(done)));
        let first = match self.put(&record, now).await {
            Ok(Some(first)) => first,
            Ok(None) => return held(false),
            // It may be there all the same. Where this does not reach it either, it lapses by itself.
            Err(error @ (Error::NoReply(_) | Error::Unavailable(_))) => {
                return self.give_back(&claim(false)).await.and(Err(error));
            }
            Err(error) => return Err(error),
        };
        // Our own claim, if the reply to it was lost and the SDK tried again.
        if first.holder == record.holder {
            return held(false);
        }
        if first.fingerprint != record.fingerprint {
            return Err(Error::IdempotencyKeyReused);
        }
        match first.answer {
            Some(answer) => Ok(Claimed::Answered(answer)),
            None if !first.done => Err(Error::IdempotencyInProgress),
            // Whoever made the effect may be about to keep its answer.
            None if first.claimed_until >= now => Err(Error::IdempotencyInProgress),
            None => self.take_over(&first, &record).await.and_then(|()| held(true)),
        }
    }

    /// Writes the claim; answers the record that stands in its way, if one does.
    async fn put(&self, record: &Record, now: i64) -> Result<Option<Record>> {
        let item = serde_dynamo::to_item(record).map_err(Error::internal)?;
        // DynamoDB removes what is past its time to live some time later.
        let free = "attribute_not_exists(id) OR #ttl < :now OR (done = :false AND claimedUntil < :now)";
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(free)
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":false", AttributeValue::Bool(false))
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match conditional::put(put).await? {
            Conditional::Written(_) => Ok(None),
            Conditional::Refused(item) => {
                serde_dynamo::from_item(item.unwrap_or_default()).map(Some).map_err(Error::internal)
            }
        }
    }

    /// Makes a request that was not answered `record`'s to answer; its effect stays.
    async fn take_over(&self, first: &Record, record: &Record) -> Result<()> {
        let holder = AttributeValue::S(record.holder.to_string());
        let update = self
            .update(&first.id)
            .update_expression("SET holder = :holder, claimedUntil = :until")
            .condition_expression("holder = :first AND attribute_not_exists(answer)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .expression_attribute_values(":first", AttributeValue::S(first.holder.to_string()))
            .expression_attribute_values(":holder", holder.clone())
            .expression_attribute_values(":until", AttributeValue::N(record.claimed_until.to_string()));
        match conditional::update(update).await? {
            Conditional::Written(_) => Ok(()),
            // Our own, if the reply was lost and the SDK tried again.
            Conditional::Refused(Some(item)) if item.get("holder") == Some(&holder) => Ok(()),
            Conditional::Refused(_) => Err(Error::IdempotencyInProgress),
        }
    }

    /// Keeps what a claim's request was answered. Where that fails, a repetition may answer anew.
    pub(crate) async fn keep(&self, claim: &Claim, answer: &impl Answer) -> Result<()> {
        match self.try_keep(claim, answer).await {
            Ok(()) => Ok(()),
            Err(error) => self.give_back(claim).await.and(Err(error)),
        }
    }

    async fn try_keep(&self, claim: &Claim, answer: &impl Answer) -> Result<()> {
        let update = self
            .update(&claim.id)
            .update_expression("SET done = :true, answer = :answer")
            .condition_expression("holder = :holder")
            .expression_attribute_values(":holder", claim.holder())
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":answer", AttributeValue::S(answer.keep()?));
        // Another request has taken the key over after the claim had lapsed: what it answers counts.
        conditional::update(update).await.map(drop)
    }

    /// Lets a claim without an effect lapse at once: the request may be sent again. An effect that is still on its
    /// way is refused from then on.
    pub(crate) async fn give_back(&self, claim: &Claim) -> Result<()> {
        let update = self
            .update(&claim.id)
            .update_expression("SET claimedUntil = :lapsed, holder = :nobody")
            .condition_expression("holder = :holder AND done = :false")
            .expression_attribute_values(":holder", claim.holder())
            .expression_attribute_values(":nobody", AttributeValue::S(Uuid::nil().to_string()))
            .expression_attribute_values(":false", AttributeValue::Bool(false))
            .expression_attribute_values(":lapsed", AttributeValue::N("0".to_owned()));
        match conditional::update(update).await? {
            Conditional::Written(_) => Ok(()),
            // There is an effect after all: its reply was lost. A repetition may answer for it at once.
            Conditional::Refused(_) => self.lapse(claim).await,
        }
    }

    /// An update of a key's record, yet to be said.
    fn update(&self, id: &str) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.table).set_key(Some(item_key(id)))
    }

    /// Lets whoever comes next answer for an effect whose request could not.
    async fn lapse(&self, claim: &Claim) -> Result<()> {
        let update = self
            .update(&claim.id)
            .update_expression("SET claimedUntil = :lapsed")
            .condition_expression("holder = :holder AND attribute_not_exists(answer)")
            .expression_attribute_values(":holder", claim.holder())
            .expression_attribute_values(":lapsed", AttributeValue::N("0".to_owned()));
        conditional::update(update).await.map(drop)
    }
}

impl Claim {
    fn holder(&self) -> AttributeValue {
        AttributeValue::S(self.holder.to_string())
    }

    /// Marks the effect done in its own transaction, with the answer where it is known.
    pub(crate) fn effect(&self, answer: Option<String>) -> Step {
        let condition =
            Condition::new("holder = :holder AND done = :false").text(":holder", &self.holder).values(
                [
                    (":false".to_owned(), AttributeValue::Bool(false)),
                    (":true".to_owned(), AttributeValue::Bool(true)),
                ]
                .into(),
            );
        let (change, condition) = match answer {
            None => ("SET done = :true", condition),
            Some(answer) => ("SET done = :true, answer = :answer", condition.text(":answer", &answer)),
        };
        let step = Step::update(&self.table, item_key(&self.id), change, condition);
        // It has lapsed, and another request has the key now.
        step.or(Error::IdempotencyInProgress)
    }

    /// The `ClientRequestToken` of its next transaction: of caller, route and key, and of this claim, because
    /// DynamoDB refuses a token that comes with another payload.
    pub(crate) fn next_token(&self) -> Uuid {
        let write = self.writes.fetch_add(1, Ordering::Relaxed).to_string();
        derived(&["transaction", &self.id, &self.holder.to_string(), &write])
    }
}

/// Whether an answer is given again: not one that another try may turn out otherwise.
pub(crate) fn is_kept(error: &Error) -> bool {
    let passing = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
    let status = error.row().status;
    status.is_client_error() && !passing.contains(&status) && !matches!(error, Error::IdempotencyInProgress)
}

fn item_key(id: &str) -> Item {
    [("id".to_owned(), AttributeValue::S(id.to_owned()))].into()
}

/// SHA-256 of `parts` and their borders.
fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}
