//! `PUT /api/v1/users/{id}/status`: suspend an account, or let it in again.

use http::StatusCode;
use shared::caller::Admin;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::function::Endpoint;
use shared::id::UserId;
use shared::request::Origin;
use shared::transaction;
use shared::users::{Status, User, Users};
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::shown::Shown;

/// `users-status`.
pub static FUNCTION: Function = Function::http::<SetStatus>("users-status");

input! {
    struct Wanted { status: Status }
}

/// What suspending an account needs.
pub struct SetStatus {
    users: Users,
    counters: Counters,
    clock: Clock,
}

impl Endpoint for SetStatus {
    type Caller = Admin;
    const WRITES: bool = true;

    fn init(init: &mut Init) -> Self {
        Self { users: Users::init(init), counters: Counters::init(init), clock: init.clock() }
    }

    async fn handle(&self, admin: Admin, request: Request) -> Result<Response> {
        let id = request.user_id()?;
        let Wanted { status } = request.json()?;
        let set = || self.set(&admin, id, status, request.origin());
        let user = transaction::persist(|| Box::pin(set())).await?;
        Response::json(StatusCode::OK, &Shown::of(&user))
    }
}

impl SetStatus {
    async fn set(&self, Admin(caller): &Admin, id: UserId, status: Status, origin: &Origin) -> Result<User> {
        let user = self.users.get(id).await?.ok_or(Error::NotFound("User"))?;
        if user.status == status {
            return Ok(user);
        }
        let change = origin.by(&caller.user_id(), "set-status");
        let mut next = User { status, ..user.next(self.clock.now(), change) };
        next.end_sessions();
        caller.write(self.users.replace_counted(&user, &next, &self.counters)?).await?;
        Ok(next)
    }
}
