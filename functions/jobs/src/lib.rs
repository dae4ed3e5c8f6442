//! Jobs: work from queues and schedules.

use shared::Function;

pub mod cleanup_expired_tokens;
pub mod email_worker;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[&cleanup_expired_tokens::FUNCTION, &email_worker::FUNCTION];
