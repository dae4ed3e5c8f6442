//! Jobs: work from queues and schedules.

use shared::Function;

pub mod email_worker;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[&email_worker::FUNCTION];
