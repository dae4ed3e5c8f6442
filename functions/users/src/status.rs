//! `PUT /api/v1/users/{id}/status`: suspend an account, or let it in again.

use http::StatusCode;
use shared::caller::Admin;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::users::Status;
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::change::Accounts;
use crate::shown::Shown;

/// `users-status`.
pub static FUNCTION: Function = Function::http::<SetStatus>("users-status");

input! {
    struct Wanted { status: Status }
}

/// What suspending an account needs.
pub struct SetStatus(Accounts);

impl Endpoint for SetStatus {
    type Caller = Admin;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Suspend an account, or let it in again")
            .detail("Its sessions end, unless it is so already. The last active admin cannot be suspended.")
            .body::<Wanted>(json!({"status": "SUSPENDED"}))
            .answers::<Shown<'_>>(StatusCode::OK, Shown::example())
            .versioned()
            .fails([Error::LastAdmin])
    }

    fn init(init: &mut Init) -> Self {
        Self(Accounts::init(init))
    }

    async fn handle(&self, admin: Admin, request: &Request) -> Result<Response> {
        let Wanted { status } = request.json()?;
        let user = self.0.change(&admin, request, "set-status", |user| user.status = status).await?;
        Shown::answer(request, &user)
    }
}
