//! `events-password-reset-requested`: the link to set a new password is mailed to its user.

use shared::event::OnBus;
use shared::function::{Consumer, Delivery};
use shared::job::Mail;
use shared::users::User;
use shared::{Function, Init, Result};

use crate::mailing::Mailing;

/// `events-password-reset-requested`.
pub static FUNCTION: Function = Function::queue::<PasswordResetRequested>("events-password-reset-requested");

/// What mailing a reset link needs.
pub struct PasswordResetRequested(Mailing);

impl Consumer for PasswordResetRequested {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self(Mailing::init(init))
    }

    async fn consume(&self, OnBus { detail: event }: OnBus, _: &Delivery) -> Result<()> {
        event.must_be("auth.password_reset_requested")?;
        let write = |user: User| Mail::PasswordReset { user_id: user.id, email: user.email, name: user.name };
        self.0.send(&event, write).await
    }
}
