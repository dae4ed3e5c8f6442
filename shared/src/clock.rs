//! What time it is, passed in so that a test can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::time::Timestamp;

/// The system's clock, plus an offset that only a laptop ever sets.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that runs ahead of the system's by a shared number of milliseconds.
    pub fn ahead_by(offset_ms: Arc<AtomicI64>) -> Self {
        Self { offset_ms }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        Timestamp::system().plus_ms(self.offset_ms.load(Ordering::SeqCst))
    }
}
