//! Credentials: which password belongs to which email address.
//!
//! They lie in a table of their own, keyed by the address: that makes addresses unique, finds an
//! account by one read, and keeps password hashes out of the users' stream.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::id::UserId;
use crate::init::Init;
use crate::password::Hash;
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
    /// The number of writes: a login holds its transaction to the one that it read.
    pub version: u64,
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

    /// Reads the credential of `email`, strongly consistent.
    pub async fn get(&self, email: &Email) -> Result<Option<Credential>> {
        let key = AttributeValue::S(email.to_string());
        let get = self.client.get_item().table_name(&self.table).key("email", key);
        let item = get.consistent_read(true).send().await?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
    }

    /// Stores a credential under an address that nobody has, as part of a transaction.
    pub fn insert(&self, credential: &Credential) -> Result<TransactWriteItem> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(credential).map_err(Error::internal)?))
            .condition_expression("attribute_not_exists(email)")
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Holds a transaction to the credential being as it was read.
    pub fn check_unchanged(&self, credential: &Credential) -> Result<TransactWriteItem> {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .key("email", AttributeValue::S(credential.email.to_string()))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", AttributeValue::N(credential.version.to_string()))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}
