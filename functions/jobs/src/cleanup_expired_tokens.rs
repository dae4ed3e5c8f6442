//! `cleanup-expired-tokens`: every hour, removes sessions and one-time tokens that have expired.

use std::time::Duration;

use futures_util::future::try_join;
use shared::clock::Clock;
use shared::expired::Expiring;
use shared::function::Task;
use shared::one_time::OneTimeTokens;
use shared::sessions::Sessions;
use shared::time::Timestamp;
use shared::{Function, Init, Result};

use crate::sweep::sweep;

/// `cleanup-expired-tokens`.
pub static FUNCTION: Function = Function::schedule::<CleanupExpiredTokens>("cleanup-expired-tokens");

/// How long a run goes on taking more: the next one takes what is left.
const PATIENCE: Duration = Duration::from_secs(20);

/// What removing what has expired needs.
pub struct CleanupExpiredTokens {
    sessions: Expiring,
    tokens: Expiring,
    clock: Clock,
}

impl Task for CleanupExpiredTokens {
    fn init(init: &mut Init) -> Self {
        Self {
            sessions: Sessions::init(init).expiring(),
            tokens: OneTimeTokens::init(init).expiring(),
            clock: init.clock(),
        }
    }

    async fn run(&self, _: Timestamp) -> Result<()> {
        let now = self.clock.now();
        let (sessions, tokens) = try_join(
            sweep(PATIENCE, |shard, start| self.sessions.remove_some(shard, now, start)),
            sweep(PATIENCE, |shard, start| self.tokens.remove_some(shard, now, start)),
        )
        .await?;
        tracing::info!(sessions = sessions.taken, tokens = tokens.taken, "expired ones removed");
        Ok(())
    }
}
