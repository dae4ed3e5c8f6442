//! `files-finalize`: looks at what was uploaded, and takes it or refuses it.
//!
//! S3's event may come twice, late or never end well: every step can be done again, by several at once. What decides is
//! one conditional write of the file's item. Before it the object is copied to its place, because an active file has its
//! object; after it the objects are removed that the file must not have then: of an active one that in quarantine, of any
//! other both. So a crash between any two steps leaves something to be done again, and nothing else.

use serde::Deserialize;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::event::Provenance;
use shared::files::{File, Files, Objects, Reason, quarantine_key, quarantined};
use shared::function::{Consumer, Delivery, Label, Message};
use shared::id::FileId;
use shared::sha256::Sha256;
use shared::transaction::retry_changed;
use shared::{Error, Function, Init, Result};
use uuid::Uuid;

use self::content::Content;

mod content;
mod document;

/// `files-finalize`.
pub static FUNCTION: Function = Function::queue::<Finalize>("files-finalize");

/// S3's event about an object, as EventBridge passes it on
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>).
#[derive(Deserialize)]
pub struct ObjectCreated {
    id: Uuid,
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    object: Stored,
}

#[derive(Deserialize)]
struct Stored {
    key: String,
}

impl Message for ObjectCreated {
    fn label(&self) -> Label {
        // Which request asked for the upload, the file's item says.
        Label { kind: "Object Created", id: self.id, correlation_id: String::new() }
    }
}

/// What looking at a file needs.
pub struct Finalize {
    files: Files,
    objects: Objects,
    counters: Counters,
    clock: Clock,
}

impl Consumer for Finalize {
    type Message = ObjectCreated;

    fn init(init: &mut Init) -> Self {
        Self {
            files: Files::init(init),
            objects: Objects::init(init),
            counters: Counters::init(init),
            clock: init.clock(),
        }
    }

    async fn consume(&self, ObjectCreated { detail, .. }: ObjectCreated, _: &Delivery) -> Result<()> {
        let Some(id) = quarantined(&detail.object.key) else {
            return Err(Error::Poison("an event about an object that is no upload".to_owned()));
        };
        // What changes under it is looked at anew.
        retry_changed(|| Box::pin(self.finalize(id))).await
    }
}

impl Finalize {
    async fn finalize(&self, id: FileId) -> Result<()> {
        let mut file = self.files.find(id).await?;
        if let Some(pending) = file.as_ref().filter(|file| file.is_pending()) {
            // Where nothing is left, whoever else looked at it has decided, and removed it.
            let Some(found) = self.look(pending).await? else { return Ok(()) };
            file = self.settle(pending, found).await?;
        }
        self.tidy(id, file.as_ref()).await
    }

    /// Looks at the bytes of a pending file, if any have come: their checksum, or what is wrong with them. Good ones are
    /// copied to their place.
    async fn look(&self, file: &File) -> Result<Option<Result<Sha256, Reason>>> {
        let Some(mut object) = self.objects.get(&quarantine_key(file.id)).await? else { return Ok(None) };
        if object.size != file.size {
            return Ok(Some(Err(Reason::SizeMismatch)));
        }
        let mut content = Content::of(file);
        while let Some(bytes) = object.body.try_next().await.map_err(Error::unavailable)? {
            content.add(&bytes);
        }
        let found = content.judge(file).await?;
        if found.is_ok() {
            self.objects.promote(file, &object.etag).await?;
        }
        Ok(Some(found))
    }

    /// Writes what has become of a file, unless it is no longer pending; answers it as it is then.
    async fn settle(&self, file: &File, found: Result<Sha256, Reason>) -> Result<Option<File>> {
        let now = self.clock.now();
        let what = if found.is_ok() { "accept" } else { "reject" };
        let change = Provenance::of_function("files-finalize", what, &file.change.correlation_id);
        let mut next = file.next(now, change);
        match found {
            Ok(sha256) => next.accept(sha256, now),
            Err(reason) => next.reject(reason, now),
        }
        match self.files.commit(&[(file.clone(), next.clone())], &self.counters).await {
            Ok(()) => {
                tracing::info!(
                    fileId = %file.id,
                    correlationId = file.change.correlation_id,
                    status = ?next.status,
                    reason = ?next.reason,
                    "file looked at"
                );
                Ok(Some(next))
            }
            // Somebody has written it since.
            Err(Error::Changed) => self.files.find(file.id).await,
            Err(error) => Err(error),
        }
    }

    /// Removes the objects that the file, as it is, must not have.
    async fn tidy(&self, id: FileId, file: Option<&File>) -> Result<()> {
        match file {
            Some(file) if !file.is_active() => self.objects.remove(file.objects()).await,
            // Of one that was forgotten, its own object was removed long before.
            _ => self.objects.remove([quarantine_key(id)]).await,
        }
    }
}
