//! A gate that one call of the cloud does not pass until it is told to, or never: what a crash between two steps leaves.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::app::PATIENCE;
use crate::drive::BUCKET;

/// Where a call stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stop {
    /// Before it is made.
    Before,
    /// After it was made and before its caller hears of it.
    After,
}

impl Stop {
    pub(crate) const BOTH: [Self; 2] = [Self::Before, Self::After];
}

/// The gate. It counts calls that read or write files' items by their keys, and all of their bucket.
#[derive(Default)]
pub(crate) struct Gate {
    /// How many calls pass before the one that stops.
    armed: Mutex<Option<(u32, Stop)>>,
    reached: Notify,
    open: Notify,
    gone: Arc<Notify>,
}

/// Tells when a call that was stopped is no longer waited for.
struct Waiting(Arc<Notify>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Gate {
    /// Stops the call that comes after `passing` others.
    pub(crate) fn stop(&self, passing: u32, stop: Stop) {
        *self.armed.lock().unwrap() = Some((passing, stop));
    }

    /// Does `work` until a call of it is stopped, and drops it there with all that it has not done yet: as a process that
    /// is killed. Answers whether one was stopped, or what the work came to.
    pub(crate) async fn kill<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let done = tokio::select! {
            () = self.reached.notified() => None,
            done = work => Some(done),
        };
        if done.is_none() {
            // Dead is who no longer waits for the answer of a call.
            tokio::time::timeout(PATIENCE, self.gone.notified()).await.expect("it lives on");
        }
        self.armed.lock().unwrap().take();
        done
    }

    /// Does `work` as soon as a call is stopped, and lets that one pass then. Nothing where none is, before `other` ends.
    pub(crate) async fn while_stopped<T, O>(
        &self,
        work: impl Future<Output = T>,
        other: impl Future<Output = O>,
    ) -> (Option<T>, O) {
        tokio::pin!(other);
        tokio::select! {
            () = self.reached.notified() => {}
            other = &mut other => {
                self.armed.lock().unwrap().take();
                return (None, other);
            }
        }
        let done = work.await;
        self.open.notify_one();
        let other = other.await;
        self.gone.notified().await;
        (Some(done), other)
    }

    /// How the gate takes a call.
    pub(crate) fn meets(&self, operation: &str, path: &str, body: &[u8]) -> Option<Stop> {
        let table = b"\"FilesTable\"";
        let counted = matches!(operation, "GetItem" | "BatchGetItem" | "TransactWriteItems")
            && body.windows(table.len()).any(|text| text == table)
            || path.strip_prefix('/').is_some_and(|path| path.starts_with(BUCKET));
        let mut armed = self.armed.lock().unwrap();
        let (passing, stop) = (*armed).filter(|_| counted)?;
        *armed = passing.checked_sub(1).map(|passing| (passing, stop));
        (passing == 0).then_some(stop)
    }

    /// Stops a call.
    pub(crate) async fn wait(&self) {
        let _waiting = Waiting(Arc::clone(&self.gone));
        self.reached.notify_one();
        self.open.notified().await;
    }
}
