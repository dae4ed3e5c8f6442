//! The external directory of accounts: what it knows of an account, and which accounts it has yet to be told of.
//!
//! An account that it has to be told of is in the sparse index `untold`, by the time from which on telling it is due.
//! Whoever is about to tell it moves that time on first, and so nobody else is.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use serde::{Deserialize, Serialize};

use crate::conditional::{self, Conditional};
use crate::email::Email;
use crate::event::Provenance;
use crate::id::UserId;
use crate::init::Init;
use crate::listing;
use crate::time::Timestamp;
use crate::transaction::Item;
use crate::users::{DELETED_KEPT_SECONDS, Role, Status, SyncStatus, User, Users};
use crate::{Error, Result};

/// How long a job may wait in its queue, in seconds, before another is made.
pub const QUEUED_SECONDS: i64 = 15 * 60;
/// How long telling the directory may take, in seconds: longer than any function runs.
pub const TELLING_SECONDS: i64 = 60;
/// How long after the first failure telling it is tried again, in seconds; after each later one twice as long ...
const FIRST_WAIT_SECONDS: i64 = 5 * 60;
/// ... up to a day.
const LONGEST_WAIT_SECONDS: i64 = 24 * 3600;
/// Accounts that are read of the index at once.
const AT_ONCE: i32 = 100;

/// What the directory knows of an account: a change of it is a change that the directory should know.
#[derive(PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Entry<'a> {
    /// One that is there.
    There {
        /// What its owner is called.
        name: &'a str,
        /// Where its owner is reached.
        email: &'a Email,
        /// Whether its owner has shown that the address is theirs.
        email_verified: bool,
        /// What its owner may do.
        roles: &'a [Role],
        /// Whether its owner may log in.
        status: Status,
    },
    /// One that was deleted, of whose owner nothing is known any more.
    Deleted {
        /// When.
        deleted_at: Timestamp,
    },
}

impl<'a> Entry<'a> {
    /// What the directory should know of `user`.
    pub fn of(user: &'a User) -> Self {
        let User { name, email, email_verified, roles, status, deleted_at, .. } = user;
        match *deleted_at {
            Some(deleted_at) => Self::Deleted { deleted_at },
            None => Self::There { name, email, email_verified: *email_verified, roles, status: *status },
        }
    }
}

/// Whether there is a directory: every writer of accounts that changes an [`Entry`] has to know.
#[derive(Clone, Copy)]
pub struct Directory {
    is_there: bool,
}

impl Directory {
    /// Reads `USER_SYNC`, which is `on` or `off`.
    pub fn init(init: &mut Init) -> Self {
        let is_there = init.parsed("USER_SYNC", |text| match text {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("is neither on nor off".to_owned()),
        });
        Self { is_there }
    }

    /// Whether there is one.
    pub fn is_there(self) -> bool {
        self.is_there
    }

    /// Notes in an account that is about to be stored, in place of `read` if it is not new, that the directory has to be
    /// told of it, unless it knows all that. Where there is no directory it has nothing to be told.
    pub fn note(self, read: Option<&User>, next: &mut User) {
        if !self.is_there {
            next.settle(next.updated_at);
        } else if read.map(Entry::of) != Some(Entry::of(next)) {
            next.outdate();
        }
    }
}

impl User {
    /// Has the directory told of it; only later where a job or a worker has claimed it, for it must not be told twice at once.
    fn outdate(&mut self) {
        let claimed = self.sync_due.filter(|_| self.sync_status == SyncStatus::Pending);
        self.sync_due = claimed.or(Some(self.updated_at));
        self.sync_status = SyncStatus::Pending;
        self.sync_shard = Some(listing::shard(self.id.as_bytes()));
        // It stays until the directory knows.
        self.ttl = None;
    }

    /// There is nothing to tell.
    fn settle(&mut self, now: Timestamp) {
        self.sync_status = SyncStatus::Synced;
        (self.sync_attempts, self.sync_due, self.sync_shard) = (0, None, None);
        self.ttl = self.deleted_at.map(|_| now.seconds() + DELETED_KEPT_SECONDS);
    }

    /// The account once the directory knows it as it is. Its version stays: to its owner nothing is otherwise.
    #[must_use]
    pub fn told(&self, now: Timestamp, change: Provenance) -> Self {
        let mut next = Self { change, ..self.clone() };
        next.settle(now);
        next
    }

    /// The account once telling the directory has failed once more: it is tried again later. Its version stays.
    #[must_use]
    pub fn not_told(&self, now: Timestamp, change: Provenance) -> Self {
        let doubled = FIRST_WAIT_SECONDS << self.sync_attempts.min(16);
        Self {
            sync_status: SyncStatus::Failed,
            sync_attempts: self.sync_attempts.saturating_add(1),
            sync_due: Some(now.plus_seconds(doubled.min(LONGEST_WAIT_SECONDS))),
            change,
            ..self.clone()
        }
    }
}

/// The accounts that the directory has yet to be told of, and their index.
pub struct Untold {
    client: Client,
    table: String,
}

/// One of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Due {
    /// Which.
    pub id: UserId,
    /// Since when it is due.
    #[serde(rename = "syncDue")]
    pub due: Timestamp,
    /// Why it was written last.
    pub change: Provenance,
}

impl Untold {
    /// Reads `USERS_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("USERS_TABLE") }
    }

    /// Some of those of one partition that are due by `now`, the longest due first, after `start`; and where to go on, if there
    /// are more.
    pub async fn due(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<(Vec<Due>, Option<Item>)> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("untold")
            .key_condition_expression("syncShard = :shard AND syncDue <= :now")
            .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .set_exclusive_start_key(start)
            .limit(AT_ONCE);
        let page = query.send().await?;
        let mut due = Vec::new();
        for item in page.items.unwrap_or_default() {
            match serde_dynamo::from_item(item) {
                Ok(one) => due.push(one),
                // One that cannot be read holds up no other.
                Err(error) => tracing::error!(%error, "an account cannot be read"),
            }
        }
        Ok((due, page.last_evaluated_key))
    }

    /// Moves the time from which on an account is due from `due` to `until`, for a job or a worker, and answers the account as it is then; nothing where
    /// it is due at another time. The account's version stays: nobody is shown that time.
    pub async fn claim(&self, id: UserId, due: Timestamp, until: Timestamp) -> Result<Option<User>> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Users::key(id)))
            .update_expression("SET syncDue = :until, syncStatus = :pending")
            .condition_expression("syncDue = :due")
            .expression_attribute_values(":pending", AttributeValue::S("PENDING".to_owned()))
            .expression_attribute_values(":due", AttributeValue::S(due.to_string()))
            .expression_attribute_values(":until", AttributeValue::S(until.to_string()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let read = |item: Option<Item>| -> Result<Option<User>> {
            item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
        };
        match conditional::update(update).await? {
            Conditional::Written(item) => read(item),
            // Our own claim, if the reply to it was lost and the SDK tried again.
            Conditional::Refused(item) => Ok(read(item)?.filter(|user| user.sync_due == Some(until))),
        }
    }

    /// Stores `next` in place of `read`, which was claimed `until`; false where the account has changed since, or was claimed by
    /// another.
    pub async fn replace(&self, read: &User, until: Timestamp, next: &User) -> Result<bool> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(next).map_err(Error::internal)?))
            .condition_expression("#version = :version AND syncDue = :until")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", AttributeValue::N(read.version.to_string()))
            .expression_attribute_values(":until", AttributeValue::S(until.to_string()));
        Ok(matches!(conditional::put(put).await?, Conditional::Written(_)))
    }

    /// Has the directory told of an account that it has not to be told of anyhow; false where it has, or where there is none.
    pub async fn outdate(&self, id: UserId, now: Timestamp) -> Result<bool> {
        let shard = listing::shard(id.as_bytes());
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Users::key(id)))
            .update_expression("SET syncStatus = :pending, syncDue = :now, syncShard = :shard")
            .condition_expression("attribute_exists(id) AND attribute_not_exists(syncDue)")
            .expression_attribute_values(":pending", AttributeValue::S("PENDING".to_owned()))
            .expression_attribute_values(":now", AttributeValue::S(now.to_string()))
            .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()));
        Ok(matches!(conditional::update(update).await?, Conditional::Written(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Name;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_ms(1_790_000_000_000).plus_seconds(seconds)
    }

    fn change() -> Provenance {
        Provenance::of_function("test", "test", "c-1")
    }

    fn a_user() -> User {
        let name: Name = serde_json::from_str("\"Ada\"").unwrap();
        User::new(&name, "ada@example.com".parse().unwrap(), at(0), change())
    }

    const ON: Directory = Directory { is_there: true };

    #[test]
    fn without_a_directory_an_account_has_nothing_to_be_told() {
        let off = Directory { is_there: false };
        let mut user = a_user();
        let made = user.clone();
        off.note(None, &mut user);
        assert!(user == made);
        // Nor has one that had, while there was a directory.
        ON.note(None, &mut user);
        user = user.not_told(at(1), change());
        let mut next = user.next(at(2), change());
        next.delete(at(2));
        off.note(Some(&user), &mut next);
        assert_eq!((next.sync_status, next.sync_due, next.sync_shard), (SyncStatus::Synced, None, None));
        assert_eq!(next.ttl, Some(at(2).seconds() + DELETED_KEPT_SECONDS));
    }

    #[test]
    fn a_change_that_the_directory_should_know_makes_an_account_pending_and_no_other_does() {
        let mut user = a_user();
        ON.note(None, &mut user);
        assert_eq!((user.sync_status, user.sync_due), (SyncStatus::Pending, Some(at(0))));
        let told = user.told(at(1), change());
        assert_eq!((told.sync_status, told.sync_due, told.ttl), (SyncStatus::Synced, None, None));
        assert_eq!((told.version, told.updated_at), (1, at(0)), "to its owner nothing is otherwise");
        let known: [fn(&mut User); 5] = [
            |user| user.name = "Ada King".into(),
            |user| user.email_verified = true,
            |user| user.roles = vec![Role::User, Role::Admin],
            |user| user.status = Status::Suspended,
            |user| user.delete(at(9)),
        ];
        for (place, change_it) in known.into_iter().enumerate() {
            let mut next = told.next(at(9), change());
            change_it(&mut next);
            ON.note(Some(&told), &mut next);
            assert_eq!((next.sync_status, next.sync_due), (SyncStatus::Pending, Some(at(9))), "{place}");
            assert_eq!(next.ttl, None, "{place}: it stays until it is told");
        }
        for change_it in [User::end_sessions, |user: &mut User| user.password_changed(at(9))] {
            let mut next = told.next(at(9), change());
            change_it(&mut next);
            ON.note(Some(&told), &mut next);
            assert_eq!((next.sync_status, next.sync_due), (SyncStatus::Synced, None));
        }
    }

    #[test]
    fn a_failure_is_tried_again_with_growing_distance_up_to_a_day() {
        let mut user = a_user();
        ON.note(None, &mut user);
        let mut waits = Vec::new();
        for _ in 0..40 {
            user = user.not_told(at(0), change());
            assert_eq!(user.sync_status, SyncStatus::Failed);
            waits.push((user.sync_due.unwrap().seconds() - at(0).seconds()) / 60);
        }
        assert_eq!(waits[..10], [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440]);
        assert!(waits[10..].iter().all(|wait| *wait == 1440));
        let told = user.told(at(0), change());
        assert_eq!((told.sync_attempts, told.sync_shard), (0, None));
    }

    #[test]
    fn a_change_while_the_directory_is_told_waits_for_that_and_one_after_a_failure_for_nothing() {
        let mut user = a_user();
        ON.note(None, &mut user);
        user.sync_due = Some(at(TELLING_SECONDS));
        let mut next = user.next(at(1), change());
        next.name = "Ada King".into();
        ON.note(Some(&user), &mut next);
        assert_eq!(next.sync_due, Some(at(TELLING_SECONDS)));
        let failed = user.not_told(at(0), change());
        let mut next = failed.next(at(1), change());
        next.name = "Ada King".into();
        ON.note(Some(&failed), &mut next);
        assert_eq!((next.sync_status, next.sync_due), (SyncStatus::Pending, Some(at(1))));
    }

    #[test]
    fn a_deleted_account_goes_once_the_directory_knows() {
        let mut user = a_user();
        user.delete(at(0));
        ON.note(Some(&a_user()), &mut user);
        assert_eq!(user.ttl, None);
        assert_eq!(user.not_told(at(5), change()).ttl, None);
        assert_eq!(user.told(at(5), change()).ttl, Some(at(5).seconds() + DELETED_KEPT_SECONDS));
    }
}
