//! `events-user-deleted`: what a deleted user leaves behind is removed, page by page.

use aws_sdk_sqs::Client;
use futures_util::future::try_join_all;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::event::{Event, OnBus, Provenance};
use shared::files::{File, Files, Objects};
use shared::function::{Consumer, Delivery};
use shared::id::UserId;
use shared::one_time::OneTimeTokens;
use shared::sessions::Sessions;
use shared::{Error, Function, Init, Result, transaction};

/// `events-user-deleted`.
pub static FUNCTION: Function = Function::queue::<UserDeleted>("events-user-deleted");

/// Files that are removed at once.
const FILES: usize = 25;

/// What clearing up after a user needs. It keeps no receipts: to remove what is gone does nothing.
pub struct UserDeleted {
    sessions: Sessions,
    tokens: OneTimeTokens,
    files: Files,
    objects: Objects,
    counters: Counters,
    clock: Clock,
    dynamodb: aws_sdk_dynamodb::Client,
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
            dynamodb: init.dynamodb(),
            sqs: init.aws().sqs(),
            queue_url: init.text("USER_DELETED_QUEUE_URL"),
        }
    }

    async fn consume(&self, message: OnBus, _: &Delivery) -> Result<()> {
        let user = message.detail.fact.user_id()?;
        self.tokens.remove_all(user).await?;
        let sessions = self.sessions.remove_some(user).await?;
        let files = self.remove_some_files(user, &message.detail).await?;
        if sessions || files {
            // The next page is a message of its own, so that no number of them outlasts the function.
            let body = serde_json::to_string(&message).map_err(Error::internal)?;
            self.sqs.send_message().queue_url(&self.queue_url).message_body(body).send().await?;
        } else {
            // The list of files may lag behind; what they take of the user's room does not.
            transaction::commit(&self.dynamodb, Files::forget_room(user, &self.counters)).await?;
        }
        Ok(())
    }
}

impl UserDeleted {
    /// Removes a page of a user's files; answers whether there may be more.
    async fn remove_some_files(&self, user: UserId, because: &Event) -> Result<bool> {
        let ids = self.files.ids_of(user, None, FILES).await?;
        let files = self.files.get_all(&ids).await?;
        self.objects.remove(files.iter().flat_map(File::objects)).await?;
        try_join_all(files.iter().map(|file| self.delete(file, because))).await?;
        Ok(!ids.is_empty())
    }

    /// Deletes a file; one that changed meanwhile is left for the next page.
    async fn delete(&self, file: &File, because: &Event) -> Result<()> {
        let now = self.clock.now();
        let change = Provenance {
            correlation_id: because.correlation_id.clone(),
            actor: "events-user-deleted".to_owned(),
            reason: "delete".to_owned(),
        };
        let mut next = file.next(now, change);
        next.delete(now);
        transaction::write(&self.dynamodb, self.files.replace(file, &next, &self.counters)?).await.map(drop)
    }
}
