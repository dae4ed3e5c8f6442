//! `PUT /api/v1/users/{id}/roles`: say what an account may do.

use http::StatusCode;
use shared::caller::Admin;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::users::Roles;
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::change::Accounts;
use crate::shown::Shown;

/// `users-roles`.
pub static FUNCTION: Function = Function::http::<SetRoles>("users-roles");

input! {
    struct Wanted { roles: Roles }
}

/// What changing roles needs.
pub struct SetRoles(Accounts);

impl Endpoint for SetRoles {
    type Caller = Admin;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Say what an account may do")
            .detail("Its sessions end, unless it has these roles already. The last active admin stays one.")
            .body::<Wanted>(json!({"roles": ["user", "admin"]}))
            .answers::<Shown<'_>>(StatusCode::OK, Shown::example())
            .versioned()
            .fails([Error::LastAdmin])
    }

    fn init(init: &mut Init) -> Self {
        Self(Accounts::init(init))
    }

    async fn handle(&self, admin: Admin, request: &Request) -> Result<Response> {
        let Wanted { roles: Roles(roles) } = request.json()?;
        let user = self.0.change(&admin, request, "set-roles", |user| user.roles.clone_from(&roles)).await?;
        Shown::answer(request, &user)
    }
}
