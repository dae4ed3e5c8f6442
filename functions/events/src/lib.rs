//! Events: from committed changes to the bus, and from the bus to what follows from them.

use shared::Function;

pub mod relay;
pub mod user_registered;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[&relay::FUNCTION, &user_registered::FUNCTION];
