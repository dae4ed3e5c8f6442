//! `GET /api/v1/users/{id}`: one account.

use http::StatusCode;
use shared::caller::Admin;
use shared::describe::About;
use shared::function::Endpoint;
use shared::users::Users;
use shared::{Error, Function, Init, Request, Response, Result};

use crate::shown::Shown;

/// `users-get`.
pub static FUNCTION: Function = Function::http::<Get>("users-get");

/// What reading an account needs.
pub struct Get {
    users: Users,
}

impl Endpoint for Get {
    type Caller = Admin;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Read an account").answers::<Shown<'_>>(StatusCode::OK, Shown::example()).versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { users: Users::init(init) }
    }

    async fn handle(&self, _: Admin, request: &Request) -> Result<Response> {
        let user = self.users.get(request.user_id()?).await?.ok_or(Error::NotFound("User"))?;
        Shown::answer(request, &user)
    }
}
