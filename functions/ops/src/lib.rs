//! Operations: health, what no route takes, and the stack's keys.

use shared::Function;

pub mod fallback;
pub mod health;
pub mod jwt_keys;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[&fallback::FUNCTION, &health::FUNCTION, &jwt_keys::FUNCTION];
