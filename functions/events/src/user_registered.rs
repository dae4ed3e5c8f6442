//! `events-user-registered`: a new user gets a welcome mail.

use shared::event::{Fact, OnBus};
use shared::function::{Consumer, Delivery};
use shared::id::derived;
use shared::job::{EmailJob, Emails, Mail};
use shared::receipts::Receipts;
use shared::{Error, Function, Init, Result};

/// `events-user-registered`.
pub static FUNCTION: Function = Function::queue::<UserRegistered>("events-user-registered");

/// What greeting a new user needs.
pub struct UserRegistered {
    emails: Emails,
    receipts: Receipts,
}

impl Consumer for UserRegistered {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self { emails: Emails::init(init), receipts: Receipts::init(init) }
    }

    async fn consume(&self, OnBus { detail: event }: OnBus, _: &Delivery) -> Result<()> {
        let Fact::UserRegistered { user_id, email, name } = event.fact else {
            return Err(Error::internal(format!("a rule sent {} here", event.fact.kind())));
        };
        let job = EmailJob {
            // Derived, so that a job queued twice is still one mail.
            id: derived(&["welcome", &event.id.to_string()]),
            mail: Mail::Welcome { user_id, email, name },
            correlation_id: event.correlation_id,
        };
        self.receipts.once(event.id, self.emails.send(&job)).await
    }
}
