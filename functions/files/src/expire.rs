//! `files-expire`: every hour, gives up files whose bytes did not come within a day.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::event::Provenance;
use shared::files::{File, Files, Objects, PENDING_SECONDS, Reason};
use shared::function::Task;
use shared::time::Timestamp;
use shared::transaction::{Written, write};
use shared::{Function, Init, Result};

/// `files-expire`.
pub static FUNCTION: Function = Function::schedule::<Expire>("files-expire");

/// Files of each partition that are given up at once.
const AT_ONCE: i32 = 10;
/// How long a run goes on taking more: the next one takes what is left.
const PATIENCE: Duration = Duration::from_secs(20);

/// What giving up files needs.
pub struct Expire {
    files: Files,
    objects: Objects,
    counters: Counters,
    clock: Clock,
    client: aws_sdk_dynamodb::Client,
}

impl Task for Expire {
    fn init(init: &mut Init) -> Self {
        Self {
            files: Files::init(init),
            objects: Objects::init(init),
            counters: Counters::init(init),
            clock: init.clock(),
            client: init.dynamodb(),
        }
    }

    async fn run(&self, _: Timestamp) -> Result<()> {
        let started = Instant::now();
        let before = self.clock.now().plus_seconds(-PENDING_SECONDS);
        let mut expired = 0;
        loop {
            let ids = self.files.ids_pending_since(before, AT_ONCE).await?;
            let files = self.files.get_all(&ids).await?;
            let given_up = try_join_all(files.iter().map(|file| self.expire(file))).await?;
            let count = given_up.into_iter().filter(|given_up| *given_up).count();
            expired += count;
            // Where none could be, the index lags behind, or others are at work.
            if count == 0 || started.elapsed() > PATIENCE {
                tracing::info!(expired, "files expired");
                return Ok(());
            }
        }
    }
}

impl Expire {
    /// Gives a file up that is pending still; answers whether it was.
    async fn expire(&self, file: &File) -> Result<bool> {
        if !file.is_pending() {
            return Ok(false);
        }
        let now = self.clock.now();
        let change = Provenance {
            correlation_id: file.change.correlation_id.clone(),
            actor: "files-expire".to_owned(),
            reason: "expire".to_owned(),
        };
        let mut next = file.next(now, change);
        next.reject(Reason::NotUploaded, now);
        let steps = self.files.replace(file, &next, &self.counters)?;
        if let Written::Refused(_) = write(&self.client, steps).await? {
            return Ok(false);
        }
        // What came and could not be looked at, or was not any more.
        self.objects.remove(next.objects()).await?;
        Ok(true)
    }
}
