//! `PUT /api/v1/users/{id}/roles`: say what an account may do.

use http::StatusCode;
use shared::caller::Admin;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::function::Endpoint;
use shared::id::UserId;
use shared::request::Origin;
use shared::transaction;
use shared::users::{Role, Roles, User, Users};
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::shown::Shown;

/// `users-roles`.
pub static FUNCTION: Function = Function::http::<SetRoles>("users-roles");

input! {
    struct Wanted { roles: Roles }
}

/// What changing roles needs.
pub struct SetRoles {
    users: Users,
    counters: Counters,
    clock: Clock,
}

impl Endpoint for SetRoles {
    type Caller = Admin;
    const WRITES: bool = true;

    fn init(init: &mut Init) -> Self {
        Self { users: Users::init(init), counters: Counters::init(init), clock: init.clock() }
    }

    async fn handle(&self, admin: Admin, request: Request) -> Result<Response> {
        let id = request.user_id()?;
        let Wanted { roles: Roles(roles) } = request.json()?;
        let set = || self.set(&admin, id, &roles, request.origin());
        let user = transaction::persist(|| Box::pin(set())).await?;
        Response::json(StatusCode::OK, &Shown::of(&user))
    }
}

impl SetRoles {
    async fn set(&self, Admin(caller): &Admin, id: UserId, roles: &[Role], origin: &Origin) -> Result<User> {
        let user = self.users.get(id).await?.ok_or(Error::NotFound("User"))?;
        if user.roles == roles {
            return Ok(user);
        }
        let change = origin.by(&caller.user_id(), "set-roles");
        let mut next = User { roles: roles.to_vec(), ..user.next(self.clock.now(), change) };
        // Tokens say the roles of before.
        next.end_sessions();
        caller.write(self.users.replace_counted(&user, &next, &self.counters)?).await?;
        Ok(next)
    }
}
