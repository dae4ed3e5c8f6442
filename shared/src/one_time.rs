//! One-time tokens: what the links in mails carry.
//!
//! The table holds a random id. The token is that id under a MAC, and is made only where the mail is written:
//! nothing that is stored, queued or logged lets anybody in.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::conditional;
use crate::event::Provenance;
use crate::expired::Expiring;
use crate::id::UserId;
use crate::init::{Init, Secret};
use crate::keys::{Generations, MacKey};
use crate::listing;
use crate::time::Timestamp;
use crate::transaction::{Condition, Item, Step};
use crate::{Error, Result};

/// What a one-time token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Setting a new password without the old one.
    ResetPassword,
    /// Showing that an email address is one's own.
    VerifyEmail,
}

impl Purpose {
    /// How long a token lives, in seconds.
    pub fn lifetime(self) -> i64 {
        match self {
            Self::ResetPassword => 600,
            Self::VerifyEmail => LONGEST_LIFETIME,
        }
    }

    /// The purpose's name in the table, and the page that a link leads to.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResetPassword => "reset-password",
            Self::VerifyEmail => "verify-email",
        }
    }

    fn mac_purpose(self) -> &'static str {
        match self {
            Self::ResetPassword => "reset-password/v1",
            Self::VerifyEmail => "verify-email/v1",
        }
    }
}

/// The longest that any one-time token lives, in seconds.
pub const LONGEST_LIFETIME: i64 = 24 * 3600;

/// Why a verification token was made: only one that was asked for raises an event, the first one goes out with
/// the welcome.
pub const ASKED_FOR: &str = "asked-for";

/// A one-time token that was not used yet. A user has one of a kind: a newer one replaces it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OneTimeToken {
    /// Whose; the partition key.
    pub user_id: UserId,
    /// What for; the sort key.
    pub purpose: Purpose,
    /// 128 random bits.
    pub id: Uuid,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Who made it, and why.
    pub change: Provenance,
    /// When it may be removed, in seconds since the epoch.
    pub ttl: i64,
    /// Its partition in the list of what expires, see [`crate::expired`].
    pub shard: u8,
}

impl OneTimeToken {
    /// A new token, ready to be stored.
    pub fn new(user_id: UserId, purpose: Purpose, now: Timestamp, change: Provenance) -> Result<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(Error::internal)?;
        let expires_at = now.plus_seconds(purpose.lifetime());
        let ttl = expires_at.seconds();
        let shard = listing::shard(user_id.as_bytes());
        Ok(Self { user_id, purpose, id: Uuid::from_bytes(id), expires_at, change, ttl, shard })
    }
}

/// The `one-time-tokens` table.
#[derive(Clone)]
pub struct OneTimeTokens {
    client: Client,
    table: String,
}

impl OneTimeTokens {
    /// Reads `ONE_TIME_TOKENS_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("ONE_TIME_TOKENS_TABLE") }
    }

    /// Those that have expired.
    pub fn expiring(&self) -> Expiring {
        Expiring { client: self.client.clone(), table: self.table.clone(), key: ["userId", "purpose"] }
    }

    fn key(user: UserId, purpose: Purpose) -> Item {
        [
            ("userId".to_owned(), AttributeValue::S(user.to_string())),
            ("purpose".to_owned(), AttributeValue::S(purpose.name().to_owned())),
        ]
        .into()
    }

    /// The token of a user, if there is one that has not expired at `now`.
    pub async fn get(&self, user: UserId, purpose: Purpose, now: Timestamp) -> Result<Option<OneTimeToken>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(Self::key(user, purpose)));
        let item = get.consistent_read(true).send().await?.item;
        let token: Option<OneTimeToken> =
            item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
        Ok(token.filter(|token| now < token.expires_at))
    }

    /// Stores a token in place of an older one, as part of a transaction.
    pub fn replace(&self, token: &OneTimeToken) -> Result<Step> {
        let item = serde_dynamo::to_item(token).map_err(Error::internal)?;
        Ok(Step::put(&self.table, Self::key(token.user_id, token.purpose), item, Condition::default()))
    }

    /// Stores a token in place of an older one, or does the same work for nothing: what is not `wanted` is
    /// not to be told by its time from what is.
    pub async fn replace_if(&self, wanted: bool, token: &OneTimeToken) -> Result<()> {
        let condition = if wanted { "attribute_not_exists(#none)" } else { "attribute_exists(#none)" };
        self.put(token, condition, ("#none", "none")).await
    }

    /// Stores a token where there is none.
    pub async fn insert(&self, token: &OneTimeToken) -> Result<()> {
        self.put(token, "attribute_not_exists(#purpose)", ("#purpose", "purpose")).await
    }

    async fn put(&self, token: &OneTimeToken, condition: &str, name: (&str, &str)) -> Result<()> {
        let item = serde_dynamo::to_item(token).map_err(Error::internal)?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression(condition).expression_attribute_names(name.0, name.1);
        conditional::put(put).await.map(drop)
    }

    /// Uses a token up, as part of a transaction that is refused where it was used, replaced or has expired.
    pub fn spend(&self, claim: &Claim, now: Timestamp) -> Step {
        let condition =
            Condition::new("id = :id AND expiresAt > :now").text(":id", &claim.id).text(":now", &now);
        Step::delete(&self.table, Self::key(claim.user_id, claim.purpose), condition)
            .or(Error::InvalidOneTimeToken)
    }

    /// Takes a user's token away, whichever it is, as part of a transaction.
    pub fn revoke(&self, user: UserId, purpose: Purpose) -> Step {
        Step::delete(&self.table, Self::key(user, purpose), Condition::default())
    }

    /// Removes all tokens of a user.
    pub async fn remove_all(&self, user: UserId) -> Result<()> {
        for purpose in [Purpose::ResetPassword, Purpose::VerifyEmail] {
            let delete = self.client.delete_item().table_name(&self.table);
            delete.set_key(Some(Self::key(user, purpose))).send().await?;
        }
        Ok(())
    }
}

/// What a token says: which one it is.
pub struct Claim {
    /// Whose.
    pub user_id: UserId,
    /// What for.
    pub purpose: Purpose,
    /// The id that the table holds, if the token was not used yet.
    pub id: Uuid,
}

/// Makes and reads the tokens of links. It has no `Debug`.
pub struct Links {
    keys: Secret<Generations<MacKey>>,
}

impl Links {
    /// Reads `LINKS_SECRET_ARN`.
    pub fn init(init: &mut Init) -> Self {
        Self { keys: init.secret("LINKS_SECRET_ARN") }
    }

    /// The token itself, for the mail alone.
    pub fn seal(&self, token: &OneTimeToken) -> String {
        let payload = [*token.user_id.as_bytes(), *token.id.as_bytes()].concat();
        self.keys.current.seal(token.purpose.mac_purpose(), &payload)
    }

    /// What a token says, if it was made here for `purpose` ([`Error::InvalidOneTimeToken`] if not). Whether it
    /// can still be used is another question.
    pub fn open(&self, purpose: Purpose, token: &str) -> Result<Claim> {
        let payload: [u8; 32] =
            self.keys.open(purpose.mac_purpose(), token).ok_or(Error::InvalidOneTimeToken)?;
        let (user_id, id) = payload.split_first_chunk::<16>().ok_or(Error::InvalidOneTimeToken)?;
        let id = Uuid::from_slice(id).map_err(Error::internal)?;
        Ok(Claim { user_id: (*user_id).into(), purpose, id })
    }
}
