//! `POST /api/v1/auth/change-password`: set a new password, knowing the old one.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::credentials::Credential;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::one_time::{OneTimeTokens, Purpose};
use shared::password::{self, Hash, Password, Wanted};
use shared::request::Origin;
use shared::transaction;
use shared::users::Users;
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::own_password::OwnPassword;

/// `auth-change-password`.
pub static FUNCTION: Function = Function::http::<ChangePassword>("auth-change-password");

input! {
    struct Change { current as "currentPassword": Password, wanted as "newPassword": Wanted }
}

/// What changing a password needs.
pub struct ChangePassword {
    users: Users,
    own: OwnPassword,
    tokens: OneTimeTokens,
    clock: Clock,
}

impl Endpoint for ChangePassword {
    type Caller = SignedIn;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Change the own password")
            .detail("All sessions end, the caller's included.")
            .body::<Change>(json!({"currentPassword": "Analytical-1843", "newPassword": "Difference-1822"}))
            .answers_nothing(StatusCode::NO_CONTENT)
            .fails([Error::WrongPassword, Error::TooManyRequests { seconds: 60 }])
    }

    fn init(init: &mut Init) -> Self {
        Self {
            users: Users::init(init),
            own: OwnPassword::init(init),
            tokens: OneTimeTokens::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let Change { current, wanted } = request.json()?;
        let origin = request.origin();
        let user = caller.user().await?;
        let password = wanted.of("newPassword", &user.name, &user.email)?;
        let credential = self.own.check(&user.email, current, &origin.source_ip).await?;
        let hash = password::hash(password).await?;
        transaction::retry_changed(|| Box::pin(self.set(&caller, &credential, &hash, origin))).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

impl ChangePassword {
    async fn set(&self, caller: &SignedIn, read: &Credential, hash: &Hash, origin: &Origin) -> Result<()> {
        let user = caller.user_now().await?;
        let now = self.clock.now();
        let mut next = user.next(now, origin.by(&user.id, "change-password"));
        next.password_changed(now);
        let steps = vec![
            self.users.replace(&user, &next)?,
            self.own.credentials.set_password(read, hash),
            // A link that was asked for before, by whoever, sets no password after this.
            self.tokens.revoke(user.id, Purpose::ResetPassword),
        ];
        caller.write(steps).await
    }
}
