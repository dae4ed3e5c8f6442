//! Operations: health, the audit, what the API says of itself, what no route takes, and the stack's keys.

use shared::Function;

pub mod audit;
pub mod docs;
pub mod fallback;
pub mod health;
pub mod jwt_keys;
pub mod openapi;
mod public;
pub mod ready;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[
    &audit::FUNCTION,
    &docs::FUNCTION,
    &fallback::FUNCTION,
    &health::FUNCTION,
    &jwt_keys::FUNCTION,
    &openapi::FUNCTION,
    &ready::FUNCTION,
];
