//! Sessions: each login of a user.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};
use serde::{Deserialize, Serialize};

use crate::batch;
use crate::event::{Entity, Provenance};
use crate::expired::Expiring;
use crate::id::{SessionId, UserId};
use crate::init::Init;
use crate::time::Timestamp;
use crate::transaction::{self, Condition, Item, Step, TRIES, Written, pause_before};
use crate::users::{Status, User, Users};
use crate::{Error, Result};

/// A login, as the `sessions` table holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Whose; the partition key.
    pub user_id: UserId,
    /// The sort key.
    pub id: SessionId,
    /// The user's [`User::auth_version`] at login.
    pub auth_version: u64,
    /// How often the refresh token was exchanged.
    pub counter: u64,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When the session was last logged in or refreshed.
    pub last_used_at: Timestamp,
    /// When the refresh token was exchanged last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Timestamp>,
    /// When the refresh token expires.
    pub expires_at: Timestamp,
    /// When the session ends, however often it is refreshed.
    pub ends_at: Timestamp,
    /// When the session was ended before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The address of the login.
    pub ip: String,
    /// The `User-Agent` of the login, cut to 255 characters.
    pub user_agent: String,
    /// The number of writes.
    pub version: u64,
    /// Who wrote it last, and why.
    pub change: Provenance,
    /// When it may be removed, in seconds since the epoch.
    pub ttl: i64,
    /// Its partition in the list of what expires, see [`crate::expired`].
    pub shard: u8,
}

/// Why a session was ended before its time. It is the reason in the session's last change, from which the
/// events follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its user logged out.
    Logout,
    /// A refresh token that was exchanged before was used once more: somebody has a copy.
    TokenReuse,
    /// Its user ended it from another session.
    ByUser,
}

impl Ended {
    /// The reason in [`Provenance`].
    pub fn reason(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::TokenReuse => "token-reuse",
            Self::ByUser => "ended-by-user",
        }
    }
}

/// How long an ended session's item stays, in seconds: as long as its stream can tell of it.
const ENDED_KEPT_SECONDS: i64 = 24 * 3600;
/// Sessions that are removed at once: what a batch of DynamoDB takes.
const REMOVED_AT_ONCE: i32 = 25;

impl Session {
    /// Whether the session still stands for `user` at `now`.
    pub fn is_alive(&self, user: &User, now: Timestamp) -> bool {
        self.user_id == user.id
            && self.auth_version == user.auth_version
            && user.status == Status::Active
            && self.ended_at.is_none()
            && now < self.expires_at
            && now < self.ends_at
    }

    /// Whether the session can never be alive again, for a user whose number was `auth_version`.
    pub fn is_over(&self, auth_version: u64, now: Timestamp) -> bool {
        self.ended_at.is_some()
            || self.auth_version < auth_version
            || now >= self.expires_at
            || now >= self.ends_at
    }

    /// Which item this is, for its events; `key` is [`crate::event::session_key`].
    pub fn entity<'a>(&self, key: &'a str) -> Entity<'a> {
        Entity { table: "sessions", key, version: self.version }
    }
}

/// The `sessions` table.
#[derive(Clone)]
pub struct Sessions {
    client: Client,
    table: String,
}

impl Sessions {
    /// Reads `SESSIONS_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("SESSIONS_TABLE") }
    }

    /// The table's name.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Those that have expired.
    pub fn expiring(&self) -> Expiring {
        Expiring { client: self.client.clone(), table: self.table.clone(), key: ["userId", "id"] }
    }

    pub(crate) fn key(user: UserId, id: SessionId) -> Item {
        [
            ("userId".to_owned(), AttributeValue::S(user.to_string())),
            ("id".to_owned(), AttributeValue::S(id.to_string())),
        ]
        .into()
    }

    /// That a session is there, was not ended and has not expired at `now`, which the condition calls
    /// `placeholder`.
    pub(crate) fn stands(now: Timestamp, placeholder: &str) -> Condition {
        // Times have one width and sort as text.
        let expression =
            format!("attribute_not_exists(endedAt) AND expiresAt > {placeholder} AND endsAt > {placeholder}");
        Condition::new(&expression).text(placeholder, &now)
    }

    /// Stores a new session, as part of a transaction.
    pub fn insert(&self, session: &Session) -> Result<Step> {
        let item = serde_dynamo::to_item(session).map_err(Error::internal)?;
        let condition = Condition::new("attribute_not_exists(id)");
        Ok(Step::put(&self.table, Self::key(session.user_id, session.id), item, condition))
    }

    /// Stores `next` in place of `read` as part of a transaction, unless it was written meanwhile.
    pub fn replace(&self, read: &Session, next: &Session) -> Result<Step> {
        let item = serde_dynamo::to_item(next).map_err(Error::internal)?;
        let condition = Condition::new("#version = :version").name("#version", "version");
        let condition = condition.number(":version", read.version);
        Ok(Step::put(&self.table, Self::key(next.user_id, next.id), item, condition))
    }

    /// That a session is of its user's present number.
    pub fn of_version(auth_version: u64) -> Condition {
        Condition::new("authVersion = :sessionVersion").number(":sessionVersion", auth_version)
    }

    /// Ends a session that stands, as part of a transaction.
    pub fn end_step(&self, user: UserId, id: SessionId, now: Timestamp, by: Provenance) -> Result<Step> {
        let (expression, values) = ending(now, by)?;
        let condition = Self::stands(now, ":now").values(values);
        let condition = condition.name("#change", "change").name("#version", "version").name("#ttl", "ttl");
        Ok(Step::update(&self.table, Self::key(user, id), expression, condition))
    }

    /// Ends a session; one that has ended or is not there stays as it is.
    pub async fn end(&self, user: UserId, id: SessionId, now: Timestamp, by: Provenance) -> Result<()> {
        match transaction::write(&self.client, vec![self.end_step(user, id, now, by)?]).await? {
            Written::Committed | Written::Refused(_) => Ok(()),
        }
    }

    /// The sessions of a user, strongly consistent. Among them are dead ones: see [`Session::is_alive`].
    pub async fn of_user(&self, user: UserId) -> Result<Vec<Session>> {
        let mut sessions = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("userId = :userId")
                .expression_attribute_values(":userId", AttributeValue::S(user.to_string()))
                .set_exclusive_start_key(start)
                .send()
                .await?;
            let items = page.items.unwrap_or_default();
            sessions.extend(serde_dynamo::from_items::<_, Session>(items).map_err(Error::internal)?);
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(sessions);
            }
        }
    }

    /// Removes a page of a user's sessions; answers whether there may be more.
    pub async fn remove_some(&self, user: UserId) -> Result<bool> {
        let query = self.client.query().table_name(&self.table).limit(REMOVED_AT_ONCE);
        let query = query.key_condition_expression("userId = :userId").projection_expression("userId, id");
        let query = query.expression_attribute_values(":userId", AttributeValue::S(user.to_string()));
        let page = query.consistent_read(true).send().await?;
        self.remove(page.items.unwrap_or_default()).await?;
        Ok(page.last_evaluated_key.is_some())
    }

    /// Removes sessions, which raises no event.
    pub async fn forget(&self, sessions: &[Session]) -> Result<()> {
        for some in sessions.chunks(usize::try_from(REMOVED_AT_ONCE).unwrap_or(1)) {
            self.remove(some.iter().map(|session| Self::key(session.user_id, session.id)).collect()).await?;
        }
        Ok(())
    }

    /// Removes the sessions of these keys, a batch of them at most. What DynamoDB leaves is removed again.
    async fn remove(&self, keys: Vec<Item>) -> Result<()> {
        let delete = |key: Item| -> Result<WriteRequest> {
            let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(Error::internal)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        };
        let deletes = keys.into_iter().map(delete).collect::<Result<Vec<_>>>()?;
        if deletes.is_empty() {
            return Ok(());
        }
        let mut rest = std::collections::HashMap::from([(self.table.clone(), deletes)]);
        for attempt in 0..TRIES {
            pause_before(attempt).await?;
            let sent = self.client.batch_write_item().set_request_items(Some(rest)).send().await?;
            rest = sent.unprocessed_items.unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
        }
        Err(Error::unavailable("DynamoDB left a part of a batch at every try"))
    }

    /// Reads a session and its user, strongly consistent, in one round trip.
    pub async fn with_user(
        &self,
        users: &Users,
        user: UserId,
        id: SessionId,
    ) -> Result<Option<(Session, User)>> {
        let wanted = [
            (self.table.clone(), batch::keys(vec![Self::key(user, id)], true)?),
            (users.table().to_owned(), batch::keys(vec![Users::key(user)], true)?),
        ];
        let mut tables = batch::get(&self.client, wanted).await?;
        let mut first = |table: &str| tables.remove(table).and_then(|items| items.into_iter().next());
        let (Some(session), Some(user)) = (first(&self.table), first(users.table())) else {
            return Ok(None);
        };
        let session = serde_dynamo::from_item(session).map_err(Error::internal)?;
        let user = serde_dynamo::from_item(user).map_err(Error::internal)?;
        Ok(Some((session, user)))
    }
}

/// The change that ends a session, for an update of the names `#change`, `#version` and `#ttl`.
fn ending(now: Timestamp, by: Provenance) -> Result<(&'static str, Item)> {
    let values = [
        (":now".to_owned(), AttributeValue::S(now.to_string())),
        (":one".to_owned(), AttributeValue::N("1".to_owned())),
        (":change".to_owned(), serde_dynamo::to_attribute_value(by).map_err(Error::internal)?),
        (":ttl".to_owned(), AttributeValue::N((now.seconds() + ENDED_KEPT_SECONDS).to_string())),
    ];
    let expression = "SET endedAt = :now, #change = :change, #version = #version + :one, #ttl = :ttl";
    Ok((expression, values.into()))
}
