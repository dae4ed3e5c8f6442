//! Events: from committed changes to the bus, and from the bus to what follows from them.

use shared::Function;

pub mod audit;
mod mailing;
pub mod password_changed;
pub mod password_reset_requested;
pub mod redrive;
pub mod relay;
pub mod stock_alert;
pub mod token_reuse;
pub mod user_deleted;
pub mod user_registered;
pub mod verification_requested;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[
    &audit::FUNCTION,
    &password_changed::FUNCTION,
    &password_reset_requested::FUNCTION,
    &redrive::FUNCTION,
    &relay::FUNCTION,
    &stock_alert::FUNCTION,
    &token_reuse::FUNCTION,
    &user_deleted::FUNCTION,
    &user_registered::FUNCTION,
    &verification_requested::FUNCTION,
];
