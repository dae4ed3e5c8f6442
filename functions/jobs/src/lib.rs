//! Jobs: work from queues and schedules.

use shared::Function;

pub mod cleanup_expired_tokens;
pub mod email_worker;
mod sweep;
pub mod sync_all_users;
pub mod sync_pending_users;
pub mod user_sync_worker;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[
    &cleanup_expired_tokens::FUNCTION,
    &email_worker::FUNCTION,
    &sync_all_users::FUNCTION,
    &sync_pending_users::FUNCTION,
    &user_sync_worker::FUNCTION,
];
