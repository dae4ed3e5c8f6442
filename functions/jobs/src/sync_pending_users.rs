//! `sync-pending-users`: every five minutes, queues a job for each account that the external directory has to be told of.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use shared::clock::Clock;
use shared::directory::{Due, Outdated, QUEUED_SECONDS};
use shared::function::Task;
use shared::job::{SyncJob, Syncs};
use shared::time::Timestamp;
use shared::transaction::Item;
use shared::{Function, Init, Result};

use crate::sweep::sweep;

/// `sync-pending-users`.
pub static FUNCTION: Function = Function::schedule::<SyncPendingUsers>("sync-pending-users");

/// How long a run goes on queueing more: the next one takes what is left.
const PATIENCE: Duration = Duration::from_secs(20);
/// Accounts that are claimed at once, of each shard.
const AT_ONCE: usize = 10;

/// What finding these accounts needs.
pub struct SyncPendingUsers {
    outdated: Outdated,
    syncs: Syncs,
    clock: Clock,
}

impl Task for SyncPendingUsers {
    fn init(init: &mut Init) -> Self {
        Self { outdated: Outdated::init(init), syncs: Syncs::init(init), clock: init.clock() }
    }

    async fn run(&self, _: Timestamp) -> Result<()> {
        let now = self.clock.now();
        let queued = sweep(PATIENCE, |shard, start| self.queue_some(shard, now, start)).await?;
        tracing::info!(queued, "accounts to tell the directory of");
        Ok(())
    }
}

impl SyncPendingUsers {
    /// Queues those of a page; answers how many these were, and where to go on.
    async fn queue_some(
        &self,
        shard: u8,
        now: Timestamp,
        start: Option<Item>,
    ) -> Result<(usize, Option<Item>)> {
        let (due, next) = self.outdated.due(shard, now, start).await?;
        // Claimed first: one whose job is lost is due again, and none is queued twice.
        let jobs: Vec<Option<SyncJob>> =
            stream::iter(due).map(|due| self.claim(due)).buffer_unordered(AT_ONCE).try_collect().await?;
        let jobs: Vec<SyncJob> = jobs.into_iter().flatten().collect();
        for jobs in jobs.chunks(Syncs::AT_ONCE) {
            self.syncs.send(jobs).await?;
        }
        Ok((jobs.len(), next))
    }

    async fn claim(&self, Due { id, due, change }: Due) -> Result<Option<SyncJob>> {
        let until = self.clock.now().plus_seconds(QUEUED_SECONDS);
        let claimed = self.outdated.claim(id, due, until).await?;
        Ok(claimed.then(|| SyncJob::new(id, until, change.correlation_id)))
    }
}
