//! `user-sync-worker`: tells the external directory of each account of the `user-sync` queue.

use shared::clock::Clock;
use shared::directory::{TELLING_SECONDS, Untold};
use shared::event::Provenance;
use shared::function::{Consumer, Delivery};
use shared::job::{Sync, SyncJob};
use shared::{Function, Init, Result};

use self::endpoint::Endpoint;

mod endpoint;

/// `user-sync-worker`.
pub static FUNCTION: Function = Function::queue::<UserSyncWorker>("user-sync-worker");

/// What telling the directory needs.
pub struct UserSyncWorker {
    untold: Untold,
    endpoint: Endpoint,
    clock: Clock,
}

impl Consumer for UserSyncWorker {
    type Message = SyncJob;

    fn init(init: &mut Init) -> Self {
        Self { untold: Untold::init(init), endpoint: Endpoint::init(init), clock: init.clock() }
    }

    /// A failure of the directory is no failure of the job: the account is due again, later each time. So it is where this
    /// worker dies.
    async fn consume(&self, job: SyncJob, _: &Delivery) -> Result<()> {
        let Sync::UserSync { user_id, due } = job.sync;
        let until = self.clock.now().plus_seconds(TELLING_SECONDS);
        let Some(user) = self.untold.claim(user_id, due, until).await? else {
            tracing::info!(id = %job.id, %user_id, "not due as it was queued: told, or told by another job");
            return Ok(());
        };
        let told = self.endpoint.tell(&user, self.clock.now(), &job.correlation_id).await;
        let change = |reason| Provenance::of_function("user-sync-worker", reason, &job.correlation_id);
        let now = self.clock.now();
        let next = match told {
            Ok(()) => user.told(now, change("told")),
            Err(reason) => {
                let next = user.not_told(now, change("not-told"));
                let (attempts, due) = (next.sync_attempts, next.sync_due);
                tracing::warn!(id = %job.id, %user_id, reason, attempts, due = due.map(tracing::field::display), "the directory was not told");
                next
            }
        };
        if !self.untold.replace(&user, until, &next).await? {
            tracing::info!(id = %job.id, %user_id, "changed meanwhile: it is due again");
        }
        Ok(())
    }
}
