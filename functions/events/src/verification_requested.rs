//! `events-verification-requested`: another link to verify an address is mailed to its user.

use shared::event::OnBus;
use shared::function::{Consumer, Delivery};
use shared::job::Mail;
use shared::users::User;
use shared::{Function, Init, Result};

use crate::mailing::Mailing;

/// `events-verification-requested`.
pub static FUNCTION: Function = Function::queue::<VerificationRequested>("events-verification-requested");

/// What mailing a verification link needs.
pub struct VerificationRequested(Mailing);

impl Consumer for VerificationRequested {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self(Mailing::init(init))
    }

    async fn consume(&self, OnBus { detail: event }: OnBus, _: &Delivery) -> Result<()> {
        event.must_be("auth.verification_requested")?;
        let write = |user: User| Mail::VerifyEmail { user_id: user.id, email: user.email, name: user.name };
        self.0.send(&event, write).await
    }
}
