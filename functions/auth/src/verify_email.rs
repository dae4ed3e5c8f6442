//! `POST /api/v1/auth/verify-email`: show with the token of a mailed link that an address is one's own.

use aws_sdk_dynamodb::Client;
use http::StatusCode;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::describe::{About, json};
use shared::directory::Directory;
use shared::function::Endpoint;
use shared::one_time::{Claim, Links, OneTimeTokens, Purpose};
use shared::request::Origin;
use shared::token::Presented;
use shared::transaction;
use shared::users::{User, Users};
use shared::{Error, Function, Init, Request, Response, Result, input};

/// `auth-verify-email`.
pub static FUNCTION: Function = Function::http::<VerifyEmail>("auth-verify-email");

input! {
    struct Given { token: Presented }
}

/// What verifying an address needs.
pub struct VerifyEmail {
    dynamodb: Client,
    users: Users,
    tokens: OneTimeTokens,
    links: Links,
    directory: Directory,
    clock: Clock,
}

impl Endpoint for VerifyEmail {
    type Caller = Visitor;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Verify an address with the token of a mailed link")
            .body::<Given>(json!({"token": "k1.AaMDyPKh.mAc1"}))
            .answers_nothing(StatusCode::NO_CONTENT)
            .fails([Error::InvalidOneTimeToken])
    }

    fn init(init: &mut Init) -> Self {
        Self {
            dynamodb: init.dynamodb(),
            users: Users::init(init),
            tokens: OneTimeTokens::init(init),
            links: Links::init(init),
            directory: Directory::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, _: Visitor, request: &Request) -> Result<Response> {
        let Given { token } = request.json()?;
        let claim = self.links.open(Purpose::VerifyEmail, &token.0)?;
        transaction::retry_changed(|| Box::pin(self.verify(&claim, request.origin()))).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

impl VerifyEmail {
    async fn verify(&self, claim: &Claim, origin: &Origin) -> Result<()> {
        let user = self.users.get(claim.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        let now = self.clock.now();
        let mut next = User { email_verified: true, ..user.next(now, origin.by(&user.id, "verify-email")) };
        self.directory.note(Some(&user), &mut next);
        let steps = vec![self.tokens.spend(claim, now), self.users.replace(&user, &next)?];
        transaction::commit(&self.dynamodb, steps).await
    }
}
