//! `events-user-deleted`: what a deleted user leaves behind is removed, page by page.

use aws_sdk_sqs::Client;
use shared::event::OnBus;
use shared::function::{Consumer, Delivery};
use shared::one_time::OneTimeTokens;
use shared::sessions::Sessions;
use shared::{Error, Function, Init, Result};

/// `events-user-deleted`.
pub static FUNCTION: Function = Function::queue::<UserDeleted>("events-user-deleted");

/// What clearing up after a user needs. It keeps no receipts: to remove what is gone does nothing.
pub struct UserDeleted {
    sessions: Sessions,
    tokens: OneTimeTokens,
    sqs: Client,
    queue_url: String,
}

impl Consumer for UserDeleted {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self {
            sessions: Sessions::init(init),
            tokens: OneTimeTokens::init(init),
            sqs: init.aws().sqs(),
            queue_url: init.text("USER_DELETED_QUEUE_URL"),
        }
    }

    async fn consume(&self, message: OnBus, _: &Delivery) -> Result<()> {
        let user = message.detail.fact.user_id()?;
        self.tokens.remove_all(user).await?;
        if self.sessions.remove_some(user).await? {
            // The next page is a message of its own, so that no number of sessions outlasts the function.
            let body = serde_json::to_string(&message).map_err(Error::internal)?;
            self.sqs.send_message().queue_url(&self.queue_url).message_body(body).send().await?;
        }
        Ok(())
    }
}
