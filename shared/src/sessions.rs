//! Sessions: each login of a user.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};

use crate::event::{Entity, Provenance};
use crate::id::{SessionId, UserId};
use crate::init::Init;
use crate::time::Timestamp;
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
    /// When DynamoDB may remove the item, in seconds since the epoch.
    pub ttl: i64,
}

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

    /// Stores a new session, as part of a transaction.
    pub fn insert(&self, session: &Session) -> Result<TransactWriteItem> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(session).map_err(Error::internal)?))
            .condition_expression("attribute_not_exists(id)")
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Reads a session and its user, strongly consistent, in one round trip.
    pub async fn with_user(
        &self,
        users: &Users,
        user: UserId,
        id: SessionId,
    ) -> Result<Option<(Session, User)>> {
        let key = [
            ("userId".to_owned(), AttributeValue::S(user.to_string())),
            ("id".to_owned(), AttributeValue::S(id.to_string())),
        ];
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, consistently(key.into())?)
            .request_items(users.table(), consistently(Users::key(user))?)
            .send()
            .await?;
        if answer.unprocessed_keys().is_some_and(|keys| !keys.is_empty()) {
            return Err(Error::unavailable("DynamoDB left a part of a batch unread"));
        }
        let mut tables = answer.responses.unwrap_or_default();
        let mut first = |table: &str| tables.remove(table).and_then(|items| items.into_iter().next());
        let (Some(session), Some(user)) = (first(&self.table), first(users.table())) else {
            return Ok(None);
        };
        let session = serde_dynamo::from_item(session).map_err(Error::internal)?;
        let user = serde_dynamo::from_item(user).map_err(Error::internal)?;
        Ok(Some((session, user)))
    }
}

fn consistently(key: std::collections::HashMap<String, AttributeValue>) -> Result<KeysAndAttributes> {
    KeysAndAttributes::builder().consistent_read(true).keys(key).build().map_err(Error::internal)
}
