//! `POST /api/v1/auth/forgot-password`: have a link mailed that sets a new password.

use futures_util::future::join;
use http::StatusCode;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::credentials::Credentials;
use shared::describe::{About, json};
use shared::email::Email;
use shared::function::Endpoint;
use shared::one_time::{OneTimeToken, OneTimeTokens, Purpose};
use shared::users;
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::mail_limits::MailLimits;

/// `auth-forgot-password`.
pub static FUNCTION: Function = Function::http::<ForgotPassword>("auth-forgot-password");

input! {
    struct Forgotten { email: Email }
}

/// What asking for a link needs.
pub struct ForgotPassword {
    credentials: Credentials,
    tokens: OneTimeTokens,
    limits: MailLimits,
    clock: Clock,
}

impl Endpoint for ForgotPassword {
    type Caller = Visitor;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Have a link mailed that sets a new password")
            .detail("Answered alike whether there is such an account or not. A link is good for 10 minutes, once.")
            .body::<Forgotten>(json!({"email": "ada@example.com"}))
            .answers_nothing(StatusCode::ACCEPTED)
            .fails([Error::TooManyRequests { seconds: 60 }])
    }

    fn init(init: &mut Init) -> Self {
        Self {
            credentials: Credentials::init(init),
            tokens: OneTimeTokens::init(init),
            limits: MailLimits::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, _: Visitor, request: &Request) -> Result<Response> {
        let Forgotten { email } = request.json()?;
        let origin = request.origin();
        self.limits.request(&origin.source_ip).await?;
        // The same work for everybody, so that neither the answer nor its time tells who has an account.
        let (credential, may_mail) =
            join(self.credentials.get(&email), self.limits.mail(Purpose::ResetPassword, &email)).await;
        let (credential, may_mail) = (credential?, may_mail?);
        let user_id =
            credential.as_ref().map_or_else(|| users::nobody(&email), |credential| credential.user_id);
        let change = origin.by("auth-forgot-password", "forgot-password");
        let token = OneTimeToken::new(user_id, Purpose::ResetPassword, self.clock.now(), change)?;
        self.tokens.replace_if(credential.is_some() && may_mail, &token).await?;
        Ok(Response::empty(StatusCode::ACCEPTED))
    }
}
