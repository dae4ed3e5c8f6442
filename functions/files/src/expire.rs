//! `files-expire`: every hour, gives up files whose bytes did not come within a day.
//!
//! A file is given up first and its objects are removed then; only after that it leaves the list of pending files. So what
//! a crash leaves, the next run finds.

use std::time::{Duration, Instant};

use shared::clock::Clock;
use shared::counters::Counters;
use shared::event::Provenance;
use shared::files::{File, Files, Objects, PENDING_SECONDS};
use shared::function::Task;
use shared::listing::SHARDS;
use shared::time::Timestamp;
use shared::transaction::{commit, retry_changed};
use shared::{Function, Init, Result};
use uuid::Uuid;

/// `files-expire`.
pub static FUNCTION: Function = Function::schedule::<Expire>("files-expire");

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
        for shard in 0..SHARDS {
            let mut start = None;
            loop {
                let (ids, next) = self.files.ids_pending_since(shard, before, start).await?;
                expired += self.expire(&ids).await?;
                start = next;
                if start.is_none() || started.elapsed() > PATIENCE {
                    break;
                }
            }
        }
        tracing::info!(expired, "files expired");
        Ok(())
    }
}

impl Expire {
    /// Gives up those of a page of files that are pending, and tidies up after them; answers how many.
    async fn expire(&self, ids: &[Uuid]) -> Result<usize> {
        let given_up = |file: &mut File| file.expire(file.updated_at);
        let expired = retry_changed(|| Box::pin(self.change(ids, File::is_pending, given_up))).await?;
        // Also those that an earlier run gave up and did not tidy up after.
        let left = self.files.get_all(ids).await?;
        let left: Vec<&File> = left.iter().filter(|file| file.has_expired()).collect();
        self.objects.remove(left.iter().flat_map(|file| file.objects())).await?;
        retry_changed(|| Box::pin(self.change(ids, File::has_expired, File::tidied))).await?;
        Ok(expired)
    }

    /// Changes those of a page of files that are of a kind, all at once; answers how many.
    async fn change(&self, ids: &[Uuid], which: fn(&File) -> bool, how: fn(&mut File)) -> Result<usize> {
        let now = self.clock.now();
        let files = self.files.get_all(ids).await?.into_iter().filter(which);
        let changed = files.map(|file| {
            let change = Provenance::of_function("files-expire", "expire", &file.change.correlation_id);
            let mut next = file.next(now, change);
            how(&mut next);
            (file, next)
        });
        let changed: Vec<_> = changed.collect();
        if !changed.is_empty() {
            commit(&self.client, self.files.replace(&changed, &self.counters)?).await?;
        }
        Ok(changed.len())
    }
}
