//! `events-user-registered`: a new user gets a welcome mail, with a link that verifies the address.

use shared::clock::Clock;
use shared::event::{Fact, OnBus, Provenance};
use shared::function::{Consumer, Delivery};
use shared::id::derived;
use shared::job::{EmailJob, Emails, Mail};
use shared::one_time::{OneTimeToken, OneTimeTokens, Purpose};
use shared::receipts::Receipts;
use shared::users::Users;
use shared::{Error, Function, Init, Result};

/// `events-user-registered`.
pub static FUNCTION: Function = Function::queue::<UserRegistered>("events-user-registered");

/// What greeting a new user needs.
pub struct UserRegistered {
    users: Users,
    tokens: OneTimeTokens,
    emails: Emails,
    receipts: Receipts,
    clock: Clock,
}

impl Consumer for UserRegistered {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self {
            users: Users::init(init),
            tokens: OneTimeTokens::init(init),
            emails: Emails::init(init),
            receipts: Receipts::init(init),
            clock: init.clock(),
        }
    }

    async fn consume(&self, OnBus { detail: event }: OnBus, _: &Delivery) -> Result<()> {
        let Fact::UserRegistered { user_id, email, name } = event.fact else {
            return Err(Error::Poison(format!("a rule sent {} here", event.fact.kind())));
        };
        let change = Provenance::of_function("events-user-registered", "register", &event.correlation_id);
        let token = OneTimeToken::new(user_id, Purpose::VerifyEmail, self.clock.now(), change)?;
        let job = EmailJob {
            // Derived, so that a job queued twice is still one mail.
            id: derived(&["welcome", &event.id.to_string()]),
            mail: Mail::Welcome { user_id, email, name },
            correlation_id: event.correlation_id,
        };
        let greet = async {
            if self.users.get(user_id).await?.is_none() {
                tracing::info!(eventId = %event.id, "its user is gone: no mail");
                return Ok(());
            }
            // Where there is one already, a mail with it may be out.
            self.tokens.insert(&token).await?;
            self.emails.send(&job).await
        };
        self.receipts.once(event.id, greet).await
    }
}
