//! `POST /api/v1/auth/resend-verification`: have another link mailed that verifies the caller's address.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::describe::About;
use shared::function::Endpoint;
use shared::one_time::{ASKED_FOR, OneTimeToken, OneTimeTokens, Purpose};
use shared::{Error, Function, Init, Request, Response, Result};

use crate::mail_limits::MailLimits;

/// `auth-resend-verification`.
pub static FUNCTION: Function = Function::http::<ResendVerification>("auth-resend-verification");

/// What asking for another link needs.
pub struct ResendVerification {
    tokens: OneTimeTokens,
    limits: MailLimits,
    clock: Clock,
}

impl Endpoint for ResendVerification {
    type Caller = SignedIn;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Have another link mailed that verifies the own address")
            .detail("Where the address is verified already, nothing is mailed. A link is good for 24 hours, once.")
            .answers_nothing(StatusCode::ACCEPTED)
            .fails([Error::TooManyRequests { seconds: 60 }])
    }

    fn init(init: &mut Init) -> Self {
        Self { tokens: OneTimeTokens::init(init), limits: MailLimits::init(init), clock: init.clock() }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let origin = request.origin();
        let user = caller.user().await?;
        self.limits.request(&origin.source_ip).await?;
        // A mail too many, or one that would verify what is verified, is accepted and not sent.
        if !user.email_verified && self.limits.mail(Purpose::VerifyEmail, &user.email).await? {
            let change = origin.by(&user.id, ASKED_FOR);
            let token = OneTimeToken::new(user.id, Purpose::VerifyEmail, self.clock.now(), change)?;
            caller.write(vec![self.tokens.replace(&token)?]).await?;
        }
        Ok(Response::empty(StatusCode::ACCEPTED))
    }
}
