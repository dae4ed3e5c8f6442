//! `files-expire`: every hour, gives up files whose bytes did not come within a day, and finishes deletions that a crash
//! has left.
//!
//! A file is given up first and its objects are removed then; only after that it leaves the list of unfinished files. So
//! what a crash leaves, the next run finds.

use std::time::{Duration, Instant};

use shared::clock::Clock;
use shared::counters::Counters;
use shared::event::Provenance;
use shared::files::{File, Files, Objects, PENDING_SECONDS};
use shared::function::Task;
use shared::listing::SHARDS;
use shared::time::Timestamp;
use shared::transaction::retry_changed;
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
}

impl Task for Expire {
    fn init(init: &mut Init) -> Self {
        Self {
            files: Files::init(init),
            objects: Objects::init(init),
            counters: Counters::init(init),
            clock: init.clock(),
        }
    }

    async fn run(&self, _: Timestamp) -> Result<()> {
        let started = Instant::now();
        let before = self.clock.now().plus_seconds(-PENDING_SECONDS);
        let mut expired = 0;
        for shard in 0..SHARDS {
            let mut start = None;
            loop {
                let (ids, next) = self.files.ids_unfinished_since(shard, before, start).await?;
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
    /// Gives up those of a page of files that are pending, and tidies up after all; answers how many it gave up.
    async fn expire(&self, ids: &[Uuid]) -> Result<usize> {
        let expired = retry_changed(|| Box::pin(self.change(ids, File::is_pending, File::expire))).await?;
        let files = self.files.get_all(ids).await?;
        let leaving: Vec<File> = files.into_iter().filter(File::is_leaving).collect();
        self.objects.remove(leaving.iter().flat_map(File::objects)).await?;
        let ids: Vec<Uuid> = leaving.iter().map(|file| Uuid::from_bytes(*file.id.as_bytes())).collect();
        retry_changed(|| Box::pin(self.change(&ids, File::is_leaving, File::leave))).await?;
        Ok(expired)
    }

    /// Changes those of a page of files that are of a kind, all at once; answers how many.
    async fn change(
        &self,
        ids: &[Uuid],
        which: fn(&File) -> bool,
        how: fn(&mut File, Timestamp),
    ) -> Result<usize> {
        let now = self.clock.now();
        let files = self.files.get_all(ids).await?.into_iter().filter(which);
        let changed = files.map(|file| {
            let change = Provenance::of_function("files-expire", "expire", &file.change.correlation_id);
            let mut next = file.next(now, change);
            how(&mut next, now);
            (file, next)
        });
        let changed: Vec<_> = changed.collect();
        if !changed.is_empty() {
            self.files.commit(&changed, &self.counters).await?;
        }
        Ok(changed.len())
    }
}
