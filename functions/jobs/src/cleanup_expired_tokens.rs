//! `cleanup-expired-tokens`: every hour, removes sessions and one-time tokens that have expired.

use std::time::{Duration, Instant};

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
        let sessions = remove(&self.sessions, now, started).await?;
        let tokens = remove(&self.tokens, now, started).await?;
        tracing::info!(sessions, tokens, "expired ones removed");
        Ok(())
    }
}

/// Removes what has expired by `now`, for as long as there is time; answers how many these were.
async fn remove(expiring: &Expiring, now: Timestamp, started: Instant) -> Result<usize> {
    let mut removed = 0;
    for shard in 0..SHARDS {
        let mut start = None;
        loop {
            let (some, next) = expiring.remove_some(shard, now, start).await?;
            removed += some;
            start = next;
            if start.is_none() || started.elapsed() > PATIENCE {
                break;
            }
        }
    }
    Ok(removed)
}
