//! `events-password-changed`: a user is told that their account has another password.

use shared::event::OnBus;
use shared::function::{Consumer, Delivery};
use shared::job::{Alert, Mail};
use shared::{Function, Init, Result};

use crate::mailing::Mailing;

/// `events-password-changed`.
pub static FUNCTION: Function = Function::queue::<PasswordChanged>("events-password-changed");

/// What telling of a new password needs.
pub struct PasswordChanged(Mailing);

impl Consumer for PasswordChanged {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self(Mailing::init(init))
    }

    async fn consume(&self, OnBus { detail: event }: OnBus, _: &Delivery) -> Result<()> {
        event.must_be("auth.password_changed")?;
        let at = event.timestamp;
        let alert = |user| Mail::security_alert(user, Alert::PasswordChanged, at);
        self.0.send(&event, alert).await
    }
}
