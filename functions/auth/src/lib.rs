//! Auth: accounts, sessions and tokens, at `/api/v1/auth`.

use shared::Function;

pub mod change_password;
pub mod delete_me;
pub mod end_session;
pub mod forgot_password;
pub mod jwks;
pub mod list_sessions;
pub mod login;
pub mod logout;
pub mod logout_all;
mod mail_limits;
pub mod me;
mod own_password;
pub mod refresh;
pub mod register;
pub mod resend_verification;
pub mod reset_password;
pub mod update_me;
pub mod verify_email;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] = &[
    &change_password::FUNCTION,
    &delete_me::FUNCTION,
    &end_session::FUNCTION,
    &forgot_password::FUNCTION,
    &jwks::FUNCTION,
    &list_sessions::FUNCTION,
    &login::FUNCTION,
    &logout::FUNCTION,
    &logout_all::FUNCTION,
    &me::FUNCTION,
    &refresh::FUNCTION,
    &register::FUNCTION,
    &resend_verification::FUNCTION,
    &reset_password::FUNCTION,
    &update_me::FUNCTION,
    &verify_email::FUNCTION,
];
