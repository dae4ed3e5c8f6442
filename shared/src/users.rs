//! Users: who has an account.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::event::{Entity, Provenance};
use crate::id::UserId;
use crate::init::Init;
use crate::text::Name;
use crate::time::Timestamp;
use crate::{Error, Result};

/// An account, as the `users` table holds it. Its password is elsewhere, see [`crate::credentials`].
///
/// It has no `Debug`: it holds an email address.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The key.
    pub id: UserId,
    /// What its owner is called.
    pub name: String,
    /// Where its owner is reached, and the name to log in with.
    pub email: Email,
    /// Whether its owner has shown that the address is theirs.
    pub email_verified: bool,
    /// What its owner may do.
    pub roles: Vec<Role>,
    /// Whether its owner may log in.
    pub status: Status,
    /// Whether the external directory knows the account as it is.
    pub sync_status: SyncStatus,
    /// Raised by everything that ends all sessions: a session of another number is dead.
    pub auth_version: u64,
    /// The number of writes.
    pub version: u64,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// Who wrote it last, and why.
    pub change: Provenance,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What everybody may.
    User,
    /// Everything.
    Admin,
}

/// Whether a user may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// May log in.
    Active,
    /// May not, until an admin says otherwise.
    Suspended,
}

/// Whether the external directory knows a user as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SyncStatus {
    /// It does, or there is no directory.
    Synced,
    /// It has yet to be told.
    Pending,
    /// Telling it failed; it is tried again.
    Failed,
}

impl User {
    /// A new account, ready to be stored.
    pub fn new(name: &Name, email: Email, now: Timestamp, change: Provenance) -> Self {
        Self {
            id: UserId::new(now),
            name: name.as_str().to_owned(),
            email,
            email_verified: false,
            roles: vec![Role::User],
            status: Status::Active,
            // There is no directory yet that would have to be told.
            sync_status: SyncStatus::Synced,
            auth_version: 1,
            version: 1,
            created_at: now,
            updated_at: now,
            change,
        }
    }

    /// Which item this is, for its events; `key` is its id as text.
    pub fn entity<'a>(&self, key: &'a str) -> Entity<'a> {
        Entity { table: "users", key, version: self.version }
    }
}

/// The `users` table.
#[derive(Clone)]
pub struct Users {
    client: Client,
    table: String,
}

impl Users {
    /// Reads `USERS_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("USERS_TABLE") }
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The key of a user.
    pub fn key(id: UserId) -> std::collections::HashMap<String, AttributeValue> {
        [("id".to_owned(), AttributeValue::S(id.to_string()))].into()
    }

    /// Reads a user, strongly consistent.
    pub async fn get(&self, id: UserId) -> Result<Option<User>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(Self::key(id)));
        let item = get.consistent_read(true).send().await?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
    }

    /// Stores a new user, as part of a transaction.
    pub fn insert(&self, user: &User) -> Result<TransactWriteItem> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(user).map_err(Error::internal)?))
            .condition_expression("attribute_not_exists(id)")
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Holds a transaction to the user being active and no session having been ended for all since
    /// `auth_version` was read.
    pub fn check_may_log_in(&self, id: UserId, auth_version: u64) -> Result<TransactWriteItem> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(Self::key(id)))
            .condition_expression("authVersion = :authVersion AND #status = :active")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":authVersion", AttributeValue::N(auth_version.to_string()))
            .expression_attribute_values(":active", AttributeValue::S("ACTIVE".to_owned()))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}
