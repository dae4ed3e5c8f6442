//! Credentials: which password belongs to which email address.
//!
//! They lie in a table of their own, keyed by the address: that makes addresses unique, finds an
//! account by one read, and keeps password hashes out of the users' stream.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::conditional;
use crate::email::Email;
use crate::id::UserId;
use crate::init::Init;
use crate::password::Hash;
use crate::transaction::{Condition, Item, Step};
use crate::{Error, Result};

/// The password of an account. It has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// The key.
    pub email: Email,
    /// Whose.
    pub user_id: UserId,
    /// The password's hash.
    pub password_hash: Hash,
    /// The number of passwords: a login holds its transaction to the one that it read. The same password
    /// hashed anew is the same.
    pub password_version: u64,
}

/// The `credentials` table.
#[derive(Clone)]
pub struct Credentials {
    client: Client,
    table: String,
}

impl Credentials {
    /// Reads `CREDENTIALS_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("CREDENTIALS_TABLE") }
    }

    fn key(email: &Email) -> Item {
        [("email".to_owned(), AttributeValue::S(email.to_string()))].into()
    }

    /// Reads the credential of `email`, strongly consistent.
    pub async fn get(&self, email: &Email) -> Result<Option<Credential>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(Self::key(email)));
        let item = get.consistent_read(true).send().await?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
    }

    /// Stores a credential under an address that nobody has, as part of a transaction.
    pub fn insert(&self, credential: &Credential) -> Result<Step> {
        let item = serde_dynamo::to_item(credential).map_err(Error::internal)?;
        let condition = Condition::new("attribute_not_exists(email)");
        let step = Step::put(&self.table, Self::key(&credential.email), item, condition);
        Ok(step.or(Error::EmailAlreadyRegistered))
    }

    /// Sets a new password in place of the one that was read, as part of a transaction.
    pub fn set_password(&self, read: &Credential, hash: &Hash) -> Step {
        let condition = Self::unchanged(read).text(":hash", hash.phc()).number(":one", 1);
        let change = "SET passwordHash = :hash, passwordVersion = passwordVersion + :one";
        Step::update(&self.table, Self::key(&read.email), change, condition)
    }

    /// Removes a credential, as part of a transaction: the address is free again.
    pub fn remove(&self, read: &Credential) -> Step {
        Step::delete(&self.table, Self::key(&read.email), Self::unchanged(read))
    }

    /// Holds a transaction to the password being the one that was read.
    pub fn check_unchanged(&self, read: &Credential) -> Step {
        Step::check(&self.table, Self::key(&read.email), Self::unchanged(read))
    }

    fn unchanged(read: &Credential) -> Condition {
        Condition::new("userId = :userId AND passwordVersion = :version")
            .text(":userId", &read.user_id)
            .number(":version", read.password_version)
    }

    /// Stores another hash of the same password, unless it was changed meanwhile.
    pub async fn rehash(&self, read: &Credential, hash: &Hash) -> Result<()> {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(Self::key(&read.email)));
        let update = update.update_expression("SET passwordHash = :hash");
        let update = update.condition_expression("passwordHash = :read");
        let update = update.expression_attribute_values(":hash", AttributeValue::S(hash.phc().to_owned()));
        let read = AttributeValue::S(read.password_hash.phc().to_owned());
        conditional::update(update.expression_attribute_values(":read", read)).await.map(drop)
    }
}
