//! Auth: accounts, sessions and tokens, at `/api/v1/auth`.

use shared::Function;

pub mod login;
pub mod me;
pub mod register;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[&login::FUNCTION, &me::FUNCTION, &register::FUNCTION];
