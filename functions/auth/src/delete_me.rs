//! `DELETE /api/v1/auth/me`: delete the caller's own account.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::credentials::Credential;
use shared::describe::{About, json};
use shared::directory::Directory;
use shared::function::Endpoint;
use shared::password::Password;
use shared::transaction;
use shared::users::Users;
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::own_password::OwnPassword;

/// `auth-delete-me`.
pub static FUNCTION: Function = Function::http::<DeleteMe>("auth-delete-me");

input! {
    struct Confirmed { password: Password }
}

/// What deleting an account needs.
pub struct DeleteMe {
    users: Users,
    counters: Counters,
    directory: Directory,
    own: OwnPassword,
    clock: Clock,
}

impl Endpoint for DeleteMe {
    type Caller = SignedIn;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Delete the own account")
            .detail("All sessions end. The last active admin cannot go.")
            .body::<Confirmed>(json!({"password": "Analytical-1843"}))
            .answers_nothing(StatusCode::NO_CONTENT)
            .versioned()
            .fails([Error::WrongPassword, Error::LastAdmin, Error::TooManyRequests { seconds: 60 }])
    }

    fn init(init: &mut Init) -> Self {
        Self {
            users: Users::init(init),
            counters: Counters::init(init),
            directory: Directory::init(init),
            own: OwnPassword::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let Confirmed { password } = request.json()?;
        let user = caller.user().await?;
        request.if_match().check(user.version)?;
        let credential = self.own.check(&user.email, password, &request.origin().source_ip).await?;
        transaction::retry_changed(|| Box::pin(self.delete(&caller, &credential, request))).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

impl DeleteMe {
    /// The account and its address go at once; what else was the user's follows from the event.
    async fn delete(&self, caller: &SignedIn, credential: &Credential, request: &Request) -> Result<()> {
        let user = caller.user_now().await?;
        request.if_match().check(user.version)?;
        let now = self.clock.now();
        let mut next = user.next(now, request.origin().by(&user.id, "delete-me"));
        next.delete(now);
        self.directory.note(Some(&user), &mut next);
        let mut steps = self.users.replace_counted(&user, &next, &self.counters)?;
        steps.push(self.own.credentials.remove(credential));
        caller.write(steps).await
    }
}
