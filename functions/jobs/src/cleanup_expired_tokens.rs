//! `cleanup-expired-tokens`: every hour, removes sessions and one-time tokens that have expired.

use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};
use shared::clock::Clock;
use shared::expired::Expiring;
use shared::function::Task;
use shared::listing::SHARDS;
use shared::one_time::OneTimeTokens;
use shared::sessions::Sessions;
use shared::time::Timestamp;
use shared::{Function, Init, Result};

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
        let (started, now) = (Instant::now(), self.clock.now());
        let (sessions, tokens) =
            try_join(remove(&self.sessions, now, started), remove(&self.tokens, now, started)).await?;
        tracing::info!(sessions, tokens, "expired ones removed");
        Ok(())
    }
}

/// Removes what has expired by `now`, for as long as there is time; answers how many these were.
async fn remove(expiring: &Expiring, now: Timestamp, started: Instant) -> Result<usize> {
    let shards = (0..SHARDS).map(async |shard| -> Result<usize> {
        let (mut removed, mut start) = (0, None);
        while started.elapsed() < PATIENCE {
            let (some, next) = expiring.remove_some(shard, now, start).await?;
            removed += some;
            start = next;
            if start.is_none() {
                break;
            }
        }
        Ok(removed)
    });
    Ok(try_join_all(shards).await?.into_iter().sum())
}
