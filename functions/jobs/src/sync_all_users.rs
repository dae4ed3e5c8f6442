//! `sync-all-users`: has the external directory told of every account. DevOps invoke it once `UserSyncUrl` names another
//! directory, or one at all: what was changed before, nobody has noted.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use shared::clock::Clock;
use shared::directory::Untold;
use shared::function::Operation;
use shared::users::Users;
use shared::{Function, Init, Result};
use uuid::Uuid;

/// `sync-all-users`.
pub static FUNCTION: Function = Function::event::<SyncAllUsers>("sync-all-users");

/// How long it goes on: another invocation takes what is left.
const PATIENCE: Duration = Duration::from_secs(15);
/// Accounts that are noted at once.
const AT_ONCE: usize = 50;

/// Where to go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The `next` that was answered before; nothing to begin with.
    #[serde(default)]
    after: Option<Uuid>,
}

/// What it did.
#[derive(Serialize)]
pub struct Done {
    /// Accounts that the directory is going to be told of. It is of some others anyhow.
    accounts: usize,
    /// What to go on after; nothing where all are done.
    next: Option<Uuid>,
}

/// What that needs.
pub struct SyncAllUsers {
    users: Users,
    untold: Untold,
    clock: Clock,
}

impl Operation for SyncAllUsers {
    type Input = From;
    type Output = Done;

    fn init(init: &mut Init) -> Self {
        Self { users: Users::init(init), untold: Untold::init(init), clock: init.clock() }
    }

    async fn run(&self, From { after }: From) -> Result<Done> {
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
        tracing::info!(accounts = done.accounts, "accounts to tell the directory of");
        Ok(done)
    }
}
