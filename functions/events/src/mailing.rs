//! What consumers share that have a mail sent: whose account an event is about, and one job for each event.

use shared::event::Event;
use shared::job::{EmailJob, Emails, Mail};
use shared::receipts::Receipts;
use shared::users::{User, Users};
use shared::{Init, Result};

/// Queues mails to users.
pub(crate) struct Mailing {
    users: Users,
    emails: Emails,
    receipts: Receipts,
}

impl Mailing {
    pub(crate) fn init(init: &mut Init) -> Self {
        Self { users: Users::init(init), emails: Emails::init(init), receipts: Receipts::init(init) }
    }

    /// Queues, once for `event`, the mail that `write` makes for the user whom it is about. A user who is gone
    /// gets none.
    pub(crate) async fn send(&self, event: &Event, write: impl FnOnce(User) -> Mail + Send) -> Result<()> {
        let queue = async {
            let Some(user) = self.users.get(event.of_user()?).await? else {
                tracing::info!(eventId = %event.id, "its user is gone: no mail");
                return Ok(());
            };
            self.emails.send(&EmailJob::of(event, write(user))).await
        };
        self.receipts.once(event.id, queue).await
    }
}
