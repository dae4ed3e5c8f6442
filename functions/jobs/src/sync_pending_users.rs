//! `sync-pending-users`: every five minutes, queues a job for each account that the external directory has to be told of.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use shared::clock::Clock;
use shared::directory::{Due, QUEUED_SECONDS, Untold};
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
    untold: Untold,
    syncs: Syncs,
    clock: Clock,
}

impl Task for SyncPendingUsers {
    fn init(init: &mut Init) -> Self {
        Self { untold: Untold::init(init), syncs: Syncs::init(init), clock: init.clock() }
    }

    async fn run(&self, _: Timestamp) -> Result<()> {
        let now = self.clock.now();
        let queued = sweep(PATIENCE, |shard, start| self.queue_some(shard, now, start)).await?;
        tracing::info!(queued = queued.taken, "accounts to tell the directory of");
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
        let (due, next) = self.untold.due(shard, now, start).await?;
        // Claimed first: one whose job is lost is due again, and none is queued twice.
        let jobs: Vec<SyncJob> = stream::iter(due)
            .map(|due| self.claim(due))
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        // All of them, before a failure is told of: what was claimed is claimed.
        let sent = join_all(jobs.chunks(Syncs::AT_ONCE).map(|jobs| self.syncs.send(jobs))).await;
        sent.into_iter().collect::<Result<()>>()?;
        Ok((jobs.len(), next))
    }

    async fn claim(&self, Due { id, due, change }: Due) -> Option<SyncJob> {
        let until = self.clock.now().plus_seconds(QUEUED_SECONDS);
        match self.untold.claim(id, due, until).await {
            Ok(claimed) => claimed.map(|_| SyncJob::new(id, until, change.correlation_id)),
            Err(error) => {
                tracing::warn!(user_id = %id, cause = error.cause(), "not queued: it is due at the next run");
                None
            }
        }
    }
}
