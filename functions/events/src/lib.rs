//! Events: from committed changes to the bus, and from the bus to what follows from them.

use shared::Function;

mod mailing;
pub mod password_changed;
pub mod password_reset_requested;
pub mod relay;
pub mod token_reuse;
pub mod user_deleted;
pub mod user_registered;
pub mod verification_requested;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[
    &password_changed::FUNCTION,
    &password_reset_requested::FUNCTION,
    &relay::FUNCTION,
    &token_reuse::FUNCTION,
    &user_deleted::FUNCTION,
    &user_registered::FUNCTION,
    &verification_requested::FUNCTION,
];
