//! The time that the emulated cloud and its functions agree on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's clock plus an offset that a test may move forward.
/// Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        let system = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        system + self.offset_ms.load(Ordering::SeqCst)
    }

    /// The moment, as far as a calendar reaches.
    pub fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.now_ms()).unwrap_or(jiff::Timestamp::MAX)
    }

    /// Moves the clock forward for everyone who shares it.
    pub fn advance_ms(&self, ms: i64) {
        self.offset_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The offset itself, for a clock of another kind that has to keep step.
    pub fn offset_ms(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.offset_ms)
    }
}
