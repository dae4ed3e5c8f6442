//! Users: the accounts as admins see them, at `/api/v1/users`.

use shared::Function;

mod change;
pub mod get;
pub mod grant_role;
pub mod list;
pub mod roles;
mod shown;
pub mod status;

/// Every function of this domain.
pub static FUNCTIONS: &[&Function] =
    &[&get::FUNCTION, &grant_role::FUNCTION, &list::FUNCTION, &roles::FUNCTION, &status::FUNCTION];
