//! Files: what users have uploaded, or said that they would.
//!
//! A file is [`Status::Pending`] until its bytes have come and were looked at. Then it is either [`Status::Active`], until
//! its owner deletes it, or [`Status::Rejected`]; one whose bytes do not come is [`Status::Expired`]. From these two, and
//! from the moment that it [is to be deleted](File::begin_deletion), nothing leads back: so whoever finds a file in such a
//! state may remove its objects.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::batch;
use crate::caller::SignedIn;
use crate::counters::Counters;
use crate::event::{Entity, Provenance};
use crate::id::{self, FileId, UserId};
use crate::init::Init;
use crate::listing::{self, Listing};
use crate::sha256::Sha256;
use crate::time::Timestamp;
use crate::transaction::{self, Condition, Item, Step};
use crate::{Error, Result};

mod kind;
mod objects;

pub use kind::Extension;
pub use objects::{
    DOWNLOAD_SECONDS, Download, Object, Objects, Promised, UPLOAD_SECONDS, Upload, quarantine_key,
    quarantined,
};

/// The largest file, in bytes.
pub const LARGEST: i64 = 10 * 1024 * 1024;
/// How long a file may wait for its bytes, in seconds.
pub const PENDING_SECONDS: i64 = 24 * 3600;
/// Files that one transaction changes: of as many users, with two counters each, these are 75 of the 100 items that it takes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>).
pub const FILES_AT_ONCE: usize = 25;
/// How long the item of a file stays that is rejected, expired or deleted, in seconds: longer than an event about its
/// objects waits in queues (a day on the bus, 14 in each of two dead-letter queues). An event that comes later still
/// finds no file, and removes what it is about.
const FINAL_KEPT_SECONDS: i64 = 30 * 24 * 3600;

/// A file, as the `files` table holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// The key.
    pub id: FileId,
    /// Whose.
    pub user_id: UserId,
    /// What its owner calls it.
    pub filename: String,
    /// Of which kind its owner says that it is.
    pub extension: Extension,
    /// How many bytes.
    pub size: i64,
    /// The checksum that its owner has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_sha256: Option<Sha256>,
    /// The checksum of its bytes, once they were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// What has become of it.
    pub status: Status,
    /// Why it did not become active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Where its object lies once it is active: `yyyy/mm/dd/{uuid}.{ext}`, by the day of its making in UTC.
    pub key: String,
    /// When it became active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_at: Option<Timestamp>,
    /// As long as it is pending, or [leaves](Self::is_leaving) objects to be removed, its partition in the list of such
    /// files, see [`crate::listing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<u8>,
    /// When it was decided that it is to be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleting_at: Option<Timestamp>,
    /// As long as it is not deleted, in whose list it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_of: Option<UserId>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// When DynamoDB may remove the item, in seconds since the epoch: never as long as the file is pending or active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
    /// The number of writes.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was written last.
    pub updated_at: Timestamp,
    /// Who wrote it last, and why.
    pub change: Provenance,
}

/// What has become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(rename = "FileStatus")]
pub enum Status {
    /// Its bytes have not come, or were not looked at yet.
    Pending,
    /// It can be downloaded.
    Active,
    /// Its bytes were not what they were said to be.
    Rejected,
    /// Its bytes did not come in time, or could not be looked at.
    Expired,
}

/// Why a file did not become active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(rename = "FileReason")]
pub enum Reason {
    /// It has another size than was said.
    SizeMismatch,
    /// It has another SHA-256 than was said.
    ChecksumMismatch,
    /// Its bytes are of another kind than its extension.
    TypeMismatch,
    /// It begins as its kind does, but cannot be read as such.
    Malformed,
    /// It would unpack to far more than it is.
    ExpandsTooFar,
    /// Within 24 hours nothing came, or what came could not be looked at.
    NotInTime,
}

/// What a file is made of.
pub struct NewFile {
    /// Whose.
    pub user_id: UserId,
    /// What it is called.
    pub filename: String,
    /// Of which kind it is.
    pub extension: Extension,
    /// How many bytes, from 1 to [`LARGEST`].
    pub size: i64,
    /// Their checksum, if the owner has told it.
    pub sha256: Option<Sha256>,
}

impl File {
    /// A new file, ready to be stored.
    pub fn new(new: NewFile, now: Timestamp, change: Provenance) -> Self {
        let NewFile { user_id, filename, extension, size, sha256 } = new;
        let id = FileId::new(now);
        // `2026-01-31T...`: the day is the path.
        let day = now.to_string()[..10].replace('-', "/");
        Self {
            id,
            user_id,
            filename,
            extension,
            size,
            told_sha256: sha256,
            sha256: None,
            status: Status::Pending,
            reason: None,
            key: format!("{day}/{}.{}", id::uuid(now), extension.name()),
            uploaded_at: None,
            unfinished: Some(listing::shard(id.as_bytes())),
            deleting_at: None,
            list_of: Some(user_id),
            deleted_at: None,
            ttl: None,
            version: 1,
            created_at: now,
            updated_at: now,
            change,
        }
    }

    /// The file one write later, to be changed and stored.
    #[must_use]
    pub fn next(&self, now: Timestamp, change: Provenance) -> Self {
        Self { version: self.version + 1, updated_at: now, change, ..self.clone() }
    }

    /// Takes it: its bytes are what they were said to be.
    pub fn accept(&mut self, sha256: Sha256, now: Timestamp) {
        debug_assert!(self.is_pending(), "only what is pending is taken");
        self.status = Status::Active;
        self.sha256 = Some(sha256);
        self.uploaded_at = Some(now);
        self.unfinished = None;
    }

    /// Refuses it.
    pub fn reject(&mut self, reason: Reason, now: Timestamp) {
        debug_assert!(self.is_pending(), "only what is pending is refused");
        self.status = Status::Rejected;
        self.reason = Some(reason);
        self.unfinished = None;
        self.end(now);
    }

    /// Gives it up: its time is over. It then [leaves](Self::leave).
    pub fn expire(&mut self, now: Timestamp) {
        debug_assert!(self.is_pending(), "only what is pending is given up");
        self.status = Status::Expired;
        self.reason = Some(Reason::NotInTime);
        self.end(now);
    }

    /// Decides that it is to be deleted: nobody sees it any more. It then [leaves](Self::leave).
    pub fn begin_deletion(&mut self, now: Timestamp) {
        self.deleting_at = Some(now);
        self.unfinished = Some(listing::shard(self.id.as_bytes()));
    }

    /// Ends what was decided, once its objects are removed.
    pub fn leave(&mut self, now: Timestamp) {
        debug_assert!(self.is_leaving(), "only what was decided is ended");
        self.unfinished = None;
        if self.deleting_at.is_some() {
            self.delete(now);
        }
    }

    /// Marks it deleted. Of what its owner told, nothing stays.
    pub fn delete(&mut self, now: Timestamp) {
        "deleted".clone_into(&mut self.filename);
        (self.told_sha256, self.sha256) = (None, None);
        self.deleted_at = Some(now);
        self.list_of = None;
        self.unfinished = None;
        self.end(now);
    }

    fn end(&mut self, now: Timestamp) {
        self.ttl = Some(now.seconds() + FINAL_KEPT_SECONDS);
    }

    /// Whether there is one, for whoever may see it.
    pub fn is_there(&self) -> bool {
        self.deleting_at.is_none() && self.deleted_at.is_none()
    }

    /// Whether its bytes may still come and be looked at.
    pub fn is_pending(&self) -> bool {
        self.status == Status::Pending && self.is_there()
    }

    /// Whether it can be downloaded.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active && self.is_there()
    }

    /// Whether it was given up or is to be deleted, and may have objects still.
    pub fn is_leaving(&self) -> bool {
        self.unfinished.is_some() && !self.is_pending()
    }

    /// Whether it counts against its user's quota.
    fn takes_room(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Active) && self.deleted_at.is_none()
    }

    /// Every place where an object of it may lie.
    pub fn objects(&self) -> [String; 2] {
        [quarantine_key(self.id), self.key.clone()]
    }

    /// Which item this is, for its events; `key` is its id as text.
    pub fn entity<'a>(&self, key: &'a str) -> Entity<'a> {
        Entity { table: "files", key, version: self.version }
    }
}

/// How much the files of a user may be together: those that are pending or active.
#[derive(Clone, Copy)]
pub struct Quota {
    bytes: i64,
    files: i64,
}

impl Quota {
    /// Reads `FILE_QUOTA_BYTES` and `FILE_QUOTA_FILES`.
    pub fn init(init: &mut Init) -> Self {
        Self { bytes: init.number("FILE_QUOTA_BYTES"), files: init.number("FILE_QUOTA_FILES") }
    }
}

/// The `files` table.
#[derive(Clone)]
pub struct Files {
    client: Client,
    table: String,
}

impl Files {
    /// Reads `FILES_TABLE`.
    pub fn init(init: &mut Init) -> Self {
        Self { client: init.dynamodb(), table: init.text("FILES_TABLE") }
    }

    fn key(id: FileId) -> Item {
        [("id".to_owned(), AttributeValue::S(id.to_string()))].into()
    }

    /// Reads a file as long as its item is there, strongly consistent.
    pub async fn find(&self, id: FileId) -> Result<Option<File>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(Self::key(id)));
        let item = get.consistent_read(true).send().await?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
    }

    /// Reads a file that `caller` may see, its owner or an admin: to everybody else there is none.
    pub async fn get(&self, id: FileId, caller: &SignedIn) -> Result<File> {
        let file = self.get_to_delete(id, caller).await?;
        if file.is_there() { Ok(file) } else { Err(Error::NotFound("File")) }
    }

    /// [`get`](Self::get) also of a file whose deletion was begun and not ended.
    pub async fn get_to_delete(&self, id: FileId, caller: &SignedIn) -> Result<File> {
        let may_see = |file: &File| {
            file.deleted_at.is_none() && (file.user_id == caller.user_id() || caller.is_admin())
        };
        self.find(id).await?.filter(may_see).ok_or(Error::NotFound("File"))
    }

    /// Reads the files of these ids, at most 100, in their order; one that is deleted is left out.
    pub async fn get_all(&self, ids: &[Uuid]) -> Result<Vec<File>> {
        let key = |id: &Uuid| Self::key((*id.as_bytes()).into());
        let mut files: Vec<File> = batch::get_all(&self.client, &self.table, ids.iter().map(key)).await?;
        files.retain(|file| file.deleted_at.is_none());
        files.sort_by_key(|file| ids.iter().position(|id| id.as_bytes() == file.id.as_bytes()));
        Ok(files)
    }

    /// The ids of a user's files, the newest first: those after `after`, `most` of them at most. It may lag behind by
    /// a second.
    pub async fn ids_of(&self, user: UserId, after: Option<Uuid>, most: usize) -> Result<Vec<Uuid>> {
        let (client, table) = (self.client.clone(), self.table.clone());
        let listing = Listing { client, table, index: Some("newest"), partition: "listOf", sort: "id" };
        listing.ids([AttributeValue::S(user.to_string())], after, 0, most).await
    }

    /// The ids of some files of a partition of the list of unfinished ones that were made before `before`, the oldest
    /// first: those after `start`; and where to go on, if there are more.
    pub async fn ids_unfinished_since(
        &self,
        shard: u8,
        before: Timestamp,
        start: Option<Item>,
    ) -> Result<(Vec<Uuid>, Option<Item>)> {
        let most = i32::try_from(FILES_AT_ONCE).map_err(Error::internal)?;
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("unfinished")
            // Times have one width and sort as text.
            .key_condition_expression("unfinished = :shard AND createdAt < :before")
            .expression_attribute_values(":shard", AttributeValue::N(shard.to_string()))
            .expression_attribute_values(":before", AttributeValue::S(before.to_string()))
            .projection_expression("id")
            .set_exclusive_start_key(start)
            .limit(most);
        let page = query.send().await?;
        let id = |item: &Item| item.get("id")?.as_s().ok()?.parse().ok();
        let unread = || Error::internal("an index has an id that is none");
        let ids = page.items().iter().map(|item| id(item).ok_or_else(unread)).collect::<Result<_>>()?;
        Ok((ids, page.last_evaluated_key))
    }

    /// Stores a new file, as part of a transaction, if its user has room for it ([`Error::QuotaExceeded`]).
    pub fn insert(&self, file: &File, counters: &Counters, quota: Quota) -> Result<[Step; 3]> {
        let Quota { bytes, files } = quota;
        let [of_bytes, of_files] = counters_of(file.user_id);
        let exceeded = || Error::QuotaExceeded { bytes, files };
        Ok([
            self.put(file, Condition::new("attribute_not_exists(id)"))?,
            counters.add_up_to(&of_bytes, file.size, bytes).or(exceeded()),
            counters.add_up_to(&of_files, 1, files).or(exceeded()),
        ])
    }

    /// Stores each file's next state in place of what was read, from which it was made, as part of a transaction, unless
    /// one was written meanwhile ([`Error::Changed`]). Their users have the room back that they no longer take: once,
    /// because nothing leads back to where a file takes any. For at most [`FILES_AT_ONCE`] files.
    pub fn replace(&self, changes: &[(File, File)], counters: &Counters) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut freed: HashMap<UserId, (i64, i64)> = HashMap::new();
        for (read, next) in changes {
            let condition = Condition::new("#version = :version").name("#version", "version");
            steps.push(self.put(next, condition.number(":version", read.version))?);
            if read.takes_room() && !next.takes_room() {
                let (bytes, files) = freed.entry(read.user_id).or_default();
                (*bytes, *files) = (*bytes + read.size, *files + 1);
            }
        }
        for (user, (bytes, files)) in freed {
            let [of_bytes, of_files] = counters_of(user);
            steps.extend([counters.add(&of_bytes, -bytes), counters.add(&of_files, -files)]);
        }
        Ok(steps)
    }

    /// [`replace`](Self::replace) as a transaction of its own.
    pub async fn commit(&self, changes: &[(File, File)], counters: &Counters) -> Result<()> {
        transaction::commit(&self.client, self.replace(changes, counters)?).await
    }

    fn put(&self, file: &File, condition: Condition) -> Result<Step> {
        let item = serde_dynamo::to_item(file).map_err(Error::internal)?;
        Ok(Step::put(&self.table, Self::key(file.id), item, condition))
    }

    /// Forgets how much a deleted user has: refused ([`Error::Busy`]) as long as there are files that
    /// take room, whatever the list shows.
    pub async fn forget_room(&self, user: UserId, counters: &Counters) -> Result<()> {
        let forget = |id: String| counters.remove_none(&id).or(Error::Busy { seconds: 2 });
        transaction::commit(&self.client, counters_of(user).map(forget).into()).await
    }
}

/// The counters of a user's room: bytes and files.
fn counters_of(user: UserId) -> [String; 2] {
    [format!("file-bytes#{user}"), format!("files#{user}")]
}
