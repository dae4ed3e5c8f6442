//! `events-user-deleted`: what a deleted user leaves behind is removed, page by page.

use aws_sdk_sqs::Client;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::event::{Event, OnBus, Provenance};
use shared::files::{FILES_AT_ONCE, File, Files, Objects};
use shared::function::{Consumer, Delivery};
use shared::id::UserId;
use shared::one_time::OneTimeTokens;
use shared::sessions::Sessions;
use shared::{Error, Function, Init, Result, transaction};
use uuid::Uuid;

/// `events-user-deleted`.
pub static FUNCTION: Function = Function::queue::<UserDeleted>("events-user-deleted");

/// What clearing up after a user needs. It keeps no receipts: to remove what is gone does nothing.
pub struct UserDeleted {
    sessions: Sessions,
    tokens: OneTimeTokens,
    files: Files,
    objects: Objects,
    counters: Counters,
    clock: Clock,
    sqs: Client,
    queue_url: String,
}

impl Consumer for UserDeleted {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self {
            sessions: Sessions::init(init),
            tokens: OneTimeTokens::init(init),
            files: Files::init(init),
            objects: Objects::init(init),
            counters: Counters::init(init),
            clock: init.clock(),
            sqs: init.aws().sqs(),
            queue_url: init.text("USER_DELETED_QUEUE_URL"),
        }
    }

    async fn consume(&self, message: OnBus, _: &Delivery) -> Result<()> {
        message.detail.must_be("user.deleted")?;
        let user = message.detail.of_user()?;
        self.tokens.remove_all(user).await?;
        let sessions = self.sessions.remove_some(user).await?;
        let files = self.remove_some_files(user, &message.detail).await?;
        if sessions || files {
            // The next page is a message of its own, so that no number of them outlasts the function.
            let body = serde_json::to_string(&message).map_err(Error::internal)?;
            self.sqs.send_message().queue_url(&self.queue_url).message_body(body).send().await?;
        } else {
            // The list of files may lag behind; what they take of the user's room does not.
            self.files.forget_room(user, &self.counters).await?;
        }
        Ok(())
    }
}

impl UserDeleted {
    /// Removes a page of a user's files; answers whether there may be more.
    async fn remove_some_files(&self, user: UserId, because: &Event) -> Result<bool> {
        let ids = self.files.ids_of(user, None, FILES_AT_ONCE).await?;
        transaction::retry_changed(|| Box::pin(self.remove_files(&ids, because))).await?;
        Ok(!ids.is_empty())
    }

    async fn remove_files(&self, ids: &[Uuid], because: &Event) -> Result<()> {
        let files = self.files.get_all(ids).await?;
        if files.is_empty() {
            return Ok(());
        }
        self.objects.remove(files.iter().flat_map(File::objects)).await?;
        let now = self.clock.now();
        let change = Provenance::of_function("events-user-deleted", "delete", &because.correlation_id);
        let deleted = files.into_iter().map(|file| {
            let mut next = file.next(now, change.clone());
            next.delete(now);
            (file, next)
        });
        let deleted: Vec<_> = deleted.collect();
        self.files.commit(&deleted, &self.counters).await
    }
}
