//! `events-token-reuse`: a user is told that somebody used a refresh token of theirs a second time.

use shared::event::OnBus;
use shared::function::{Consumer, Delivery};
use shared::job::{Alert, Mail};
use shared::{Function, Init, Result};

use crate::mailing::Mailing;

/// `events-token-reuse`.
pub static FUNCTION: Function = Function::queue::<TokenReuse>("events-token-reuse");

/// What telling of a token used twice needs.
pub struct TokenReuse(Mailing);

impl Consumer for TokenReuse {
    type Message = OnBus;

    fn init(init: &mut Init) -> Self {
        Self(Mailing::init(init))
    }

    async fn consume(&self, OnBus { detail: event }: OnBus, _: &Delivery) -> Result<()> {
        event.must_be("auth.token_reuse_detected")?;
        let at = event.timestamp;
        let alert = |user| Mail::security_alert(user, Alert::TokenReuse, at);
        self.0.send(&event, alert).await
    }
}
