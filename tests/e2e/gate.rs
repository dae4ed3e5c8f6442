//! A gate that one call of the cloud does not pass until it is told to, or never: what a crash between two steps leaves.

use std::sync::Mutex;

use tokio::sync::{Notify, Semaphore};

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

/// The gate. It counts calls that read or write items, and all of the bucket of files.
#[derive(Default)]
pub(crate) struct Gate {
    /// How many calls pass before the one that stops.
    armed: Mutex<Option<(u32, Stop)>>,
    reached: Notify,
    open: Mutex<Option<std::sync::Arc<Semaphore>>>,
}

impl Gate {
    /// Stops the call that comes after `passing` others.
    pub(crate) fn stop(&self, passing: u32, stop: Stop) {
        *self.open.lock().unwrap() = Some(std::sync::Arc::new(Semaphore::new(0)));
        *self.armed.lock().unwrap() = Some((passing, stop));
    }

    /// Waits until it has stopped a call.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets the call pass, and stops no other. Whether one would have been stopped.
    pub(crate) fn release(&self) -> bool {
        if let Some(open) = self.open.lock().unwrap().take() {
            open.add_permits(1);
        }
        self.armed.lock().unwrap().take().is_some()
    }

    /// How the gate takes a call.
    pub(crate) fn meets(&self, operation: &str, path: &str) -> Option<Stop> {
        let counted = matches!(operation, "GetItem" | "BatchGetItem" | "TransactWriteItems")
            || path.strip_prefix('/').is_some_and(|path| path.starts_with(BUCKET));
        let mut armed = self.armed.lock().unwrap();
        let (passing, stop) = (*armed).filter(|_| counted)?;
        *armed = passing.checked_sub(1).map(|passing| (passing, stop));
        (passing == 0).then_some(stop)
    }

    /// Stops a call.
    pub(crate) async fn wait(&self) {
        let open = self.open.lock().unwrap().clone();
        self.reached.notify_one();
        if let Some(open) = open {
            drop(open.acquire().await);
        }
    }
}
