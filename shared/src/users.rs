//! Users: who has an account.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::batch;
use crate::counters::Counters;
use crate::email::Email;
use crate::event::{Entity, Provenance};
use crate::id::{UserId, derived};
use crate::init::Init;
use crate::input::{self, Fault, Field, Raw};
use crate::listing::{self, Listing, SHARDS};
use crate::text::Name;
use crate::time::Timestamp;
use crate::transaction::{Condition, Item, Step};
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
    /// Whether the external directory knows the account as it is, see [`crate::directory`].
    pub sync_status: SyncStatus,
    /// How often telling the directory has failed since it knew.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sync_attempts: u32,
    /// From when on the directory is to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_due: Option<Timestamp>,
    /// Its partition among those that the directory is to be told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_shard: Option<u8>,
    /// Raised by everything that ends all sessions: a session of another number is dead.
    pub auth_version: u64,
    /// When its password was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_changed_at: Option<Timestamp>,
    /// When the account was deleted: the item stays until its event is out and the directory knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// When DynamoDB may remove a deleted account, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
    /// Its partition in the list of users, see [`crate::listing`]; a deleted account is in no list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u8>,
    /// The number of writes; telling the directory is none.
    pub version: u64,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was written last; telling the directory is no write.
    pub updated_at: Timestamp,
    /// Who wrote it last, and why.
    pub change: Provenance,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What everybody may.
    User,
    /// Everything.
    Admin,
}

/// Roles in a request: at least one, each once, always in the same order.
pub struct Roles(pub Vec<Role>);

impl Roles {
    /// Each of `roles` once, in the order that they are always in.
    pub fn sorted(roles: &[Role]) -> Vec<Role> {
        [Role::User, Role::Admin].into_iter().filter(|role| roles.contains(role)).collect()
    }
}

impl Field for Roles {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        let mut roles = Vec::new();
        for name in raw.strings()? {
            let role = match name.as_str() {
                "user" => Role::User,
                "admin" => Role::Admin,
                _ => return Err(Fault::invalid("INVALID_VALUE", "must have only \"user\" and \"admin\"")),
            };
            roles.push(role);
        }
        if roles.is_empty() {
            return Err(Fault::invalid("TOO_SHORT", "must have at least one role"));
        }
        Ok(Self(Self::sorted(&roles)))
    }

    fn schema() -> Schema {
        json_schema!({"type": "array", "minItems": 1, "items": input::schema_of::<Role>()})
    }
}

impl Field for Status {
    fn read(raw: &Raw<'_>) -> Result<Self, Fault> {
        match raw.string()?.as_str() {
            "ACTIVE" => Ok(Self::Active),
            "SUSPENDED" => Ok(Self::Suspended),
            _ => Err(Fault::invalid("INVALID_VALUE", "must be \"ACTIVE\" or \"SUSPENDED\"")),
        }
    }

    fn schema() -> Schema {
        input::schema_of::<Self>()
    }
}

/// Whether a user may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// May log in.
    Active,
    /// May not, until an admin says otherwise.
    Suspended,
}

/// Whether the external directory knows a user as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SyncStatus {
    /// It does, or there is no directory.
    Synced,
    /// It has yet to be told, or is being told.
    Pending,
    /// Telling it failed; it is tried again later.
    Failed,
}

/// How long a deleted account's item stays, in seconds: as long as its stream can tell of it.
pub(crate) const DELETED_KEPT_SECONDS: i64 = 24 * 3600;
/// The counter of active admins.
const ADMINS: &str = "admins";

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl User {
    /// A new account, ready to be stored.
    pub fn new(name: &Name, email: Email, now: Timestamp, change: Provenance) -> Self {
        let id = UserId::new(now);
        Self {
            id,
            name: name.as_str().to_owned(),
            email,
            email_verified: false,
            roles: vec![Role::User],
            status: Status::Active,
            sync_status: SyncStatus::Synced,
            sync_attempts: 0,
            sync_due: None,
            sync_shard: None,
            auth_version: 1,
            password_changed_at: None,
            deleted_at: None,
            ttl: None,
            shard: Some(listing::shard(id.as_bytes())),
            version: 1,
            created_at: now,
            updated_at: now,
            change,
        }
    }

    /// The account one write later, to be changed and stored.
    #[must_use]
    pub fn next(&self, now: Timestamp, change: Provenance) -> Self {
        Self { version: self.version + 1, updated_at: now, change, ..self.clone() }
    }

    /// Ends all its sessions.
    pub fn end_sessions(&mut self) {
        self.auth_version += 1;
    }

    /// Notes that it has another password, which ends all its sessions.
    pub fn password_changed(&mut self, now: Timestamp) {
        self.end_sessions();
        self.password_changed_at = Some(now);
    }

    /// Marks it deleted. Of what its owner told, nothing stays.
    pub fn delete(&mut self, now: Timestamp) {
        self.end_sessions();
        "deleted".clone_into(&mut self.name);
        self.email = Email::nobodys();
        self.deleted_at = Some(now);
        self.ttl = Some(now.seconds() + DELETED_KEPT_SECONDS);
        self.shard = None;
    }

    /// Whether it is one of those that cannot all go.
    fn is_active_admin(&self) -> bool {
        self.roles.contains(&Role::Admin) && self.status == Status::Active && self.deleted_at.is_none()
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
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// The key of a user.
    pub(crate) fn key(id: UserId) -> Item {
        [("id".to_owned(), AttributeValue::S(id.to_string()))].into()
    }

    /// Reads a user who was not deleted, strongly consistent.
    pub async fn get(&self, id: UserId) -> Result<Option<User>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(Self::key(id)));
        let item = get.consistent_read(true).send().await?.item;
        let user: Option<User> = item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
        Ok(user.filter(|user| user.deleted_at.is_none()))
    }

    /// Reads the users of these ids, at most 100, newest first; one that is not there is left out.
    pub async fn get_all(&self, ids: &[Uuid]) -> Result<Vec<User>> {
        let key = |id: &Uuid| Self::key((*id.as_bytes()).into());
        let mut users: Vec<User> = batch::get_all(&self.client, &self.table, ids.iter().map(key)).await?;
        users.retain(|user| user.deleted_at.is_none());
        users.sort_unstable_by(|one, other| other.id.as_bytes().cmp(one.id.as_bytes()));
        Ok(users)
    }

    /// The list of users, newest first.
    pub fn listing(&self) -> Listing {
        let (client, table) = (self.client.clone(), self.table.clone());
        Listing { client, table, index: Some("newest"), partition: "shard", sort: "id" }
    }

    /// The partitions of that list.
    pub fn partitions() -> impl Iterator<Item = AttributeValue> {
        (0..SHARDS).map(|shard| AttributeValue::N(shard.to_string()))
    }

    /// How many users there are.
    pub async fn count(&self, counters: &Counters) -> Result<i64> {
        counters.sum((0..SHARDS).map(counter)).await
    }

    /// Stores a new user, as part of a transaction.
    pub fn insert(&self, user: &User, counters: &Counters) -> Result<[Step; 2]> {
        let condition = Condition::new("attribute_not_exists(id)");
        Ok([self.put(user, condition)?, counters.add(&counter(listing::shard(user.id.as_bytes())), 1)])
    }

    /// Stores `next` in place of `read`, from which it was made, as part of a transaction. What was written
    /// between the two is not overwritten ([`Error::Changed`]).
    pub fn replace(&self, read: &User, next: &User) -> Result<Step> {
        // Whoever tells the directory of an account writes when it is due next, and leaves its version as it is.
        let condition = match read.sync_due {
            None => Condition::new("#version = :version AND attribute_not_exists(syncDue)"),
            Some(due) => {
                Condition::new("#version = :version AND syncDue = :due").text(":due", &due.to_string())
            }
        };
        self.put(next, condition.name("#version", "version").number(":version", read.version))
    }

    /// [`replace`](Self::replace) where roles, status or existence change: the counters follow, and the last
    /// active admin stays one ([`Error::LastAdmin`]).
    pub fn replace_counted(&self, read: &User, next: &User, counters: &Counters) -> Result<Vec<Step>> {
        let mut steps = vec![self.replace(read, next)?];
        match (read.is_active_admin(), next.is_active_admin()) {
            (true, false) => steps.push(counters.take_but_last(ADMINS).or(Error::LastAdmin)),
            (false, true) => steps.push(counters.add(ADMINS, 1)),
            _ => {}
        }
        if read.deleted_at.is_none() && next.deleted_at.is_some() {
            steps.push(counters.add(&counter(listing::shard(read.id.as_bytes())), -1));
        }
        Ok(steps)
    }

    fn put(&self, user: &User, condition: Condition) -> Result<Step> {
        let item = serde_dynamo::to_item(user).map_err(Error::internal)?;
        Ok(Step::put(&self.table, Self::key(user.id), item, condition))
    }

    /// Holds a transaction to the user being active and no session having been ended for all since
    /// `auth_version` was read.
    pub fn check_may_log_in(&self, id: UserId, auth_version: u64) -> Step {
        Step::check(&self.table, Self::key(id), Self::may_log_in(auth_version))
    }

    pub(crate) fn may_log_in(auth_version: u64) -> Condition {
        Condition::new("authVersion = :authVersion AND #userStatus = :active")
            .name("#userStatus", "status")
            .number(":authVersion", auth_version)
            .text(":active", "ACTIVE")
    }
}

/// An id that is no user's, the same each time for an address: what stands for an unknown account's where the
/// work must not differ.
pub fn nobody(email: &Email) -> UserId {
    (*derived(&["nobody", email.as_str()]).as_bytes()).into()
}

/// The counter of the users in one partition of their list.
fn counter(shard: u8) -> String {
    format!("users#{shard}")
}
