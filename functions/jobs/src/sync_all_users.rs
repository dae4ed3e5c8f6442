//! `sync-all-users`: has the external directory told of every account, or notes that there is nobody to tell. DevOps invoke it
//! once `UserSyncUrl` is another: what was changed before, nobody has noted.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use shared::clock::Clock;
use shared::directory::{Directory, Due, TELLING_SECONDS, Untold};
use shared::event::Provenance;
use shared::function::Operation;
use shared::time::Timestamp;
use shared::transaction::Item;
use shared::users::Users;
use shared::{Function, Init, Result};
use uuid::Uuid;

use crate::sweep::sweep;

/// `sync-all-users`.
pub static FUNCTION: Function = Function::event::<SyncAllUsers>("sync-all-users");

/// How long it goes on: another invocation takes what is left.
const PATIENCE: Duration = Duration::from_secs(15);
/// Accounts that are noted at once.
const AT_ONCE: usize = 50;

/// Where to go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The `next` that was answered before; nothing to begin with.
    #[serde(default)]
    after: Option<Uuid>,
}

/// What it did.
#[derive(Serialize)]
pub struct Done {
    /// Accounts that were noted. Of some others it is noted anyhow.
    accounts: usize,
    /// What to go on after; nothing where all are done. Where there is no directory, what is done is not found again, and the
    /// next one begins where this one did.
    next: Option<Uuid>,
}

/// What that needs.
pub struct SyncAllUsers {
    directory: Directory,
    users: Users,
    untold: Untold,
    clock: Clock,
}

impl Operation for SyncAllUsers {
    type Input = Start;
    type Output = Done;

    fn init(init: &mut Init) -> Self {
        Self {
            directory: Directory::init(init),
            users: Users::init(init),
            untold: Untold::init(init),
            clock: init.clock(),
        }
    }

    async fn run(&self, Start { after }: Start) -> Result<Done> {
        let done = if self.directory.is_there() { self.outdate(after).await? } else { self.settle().await? };
        tracing::info!(accounts = done.accounts, directory = self.directory.is_there(), "accounts noted");
        Ok(done)
    }
}

impl SyncAllUsers {
    /// Has the directory told of all accounts that it has not to be told of anyhow.
    async fn outdate(&self, after: Option<Uuid>) -> Result<Done> {
        let (started, mut done) = (Instant::now(), Done { accounts: 0, next: after });
        while started.elapsed() < PATIENCE {
            let ids = self.users.listing().ids(Users::partitions(), done.next, 0, AT_ONCE).await?;
            let now = self.clock.now();
            let noted = ids.iter().map(|id| self.untold.outdate((*id.as_bytes()).into(), now));
            done.accounts += try_join_all(noted).await?.into_iter().filter(|noted| *noted).count();
            done.next = ids.last().copied();
            if ids.len() < AT_ONCE {
                done.next = None;
                break;
            }
        }
        Ok(done)
    }

    /// Notes of those accounts that a directory was to be told of that there is none.
    async fn settle(&self) -> Result<Done> {
        let swept = sweep(PATIENCE, |shard, start| self.settle_some(shard, start)).await?;
        Ok(Done { accounts: swept.taken, next: (!swept.all).then_some(Uuid::nil()) })
    }

    async fn settle_some(&self, shard: u8, start: Option<Item>) -> Result<(usize, Option<Item>)> {
        let (due, next) = self.untold.due(shard, Timestamp::from_ms(i64::MAX), start).await?;
        let settled = try_join_all(due.into_iter().map(|due| self.settle_one(due))).await?;
        Ok((settled.into_iter().filter(|settled| *settled).count(), next))
    }

    async fn settle_one(&self, Due { id, due, .. }: Due) -> Result<bool> {
        let now = self.clock.now();
        let until = now.plus_seconds(TELLING_SECONDS);
        let Some(user) = self.untold.claim(id, due, until).await? else { return Ok(false) };
        let change = Provenance::of_function("sync-all-users", "no-directory", &user.change.correlation_id);
        self.untold.replace(&user, until, &user.told(now, change)).await
    }
}
