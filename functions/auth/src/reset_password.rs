//! `POST /api/v1/auth/reset-password`: set a new password with the token of a mailed link.

use aws_sdk_dynamodb::Client;
use futures_util::future::{join, try_join};
use http::StatusCode;
use shared::attempts::Counts;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::credentials::{Credential, Credentials};
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::one_time::{Claim, Links, OneTimeTokens, Purpose};
use shared::password::{self, Hash, Wanted};
use shared::request::Origin;
use shared::token::Presented;
use shared::transaction;
use shared::users::Users;
use shared::{Error, Function, Init, Request, Response, Result, input};

/// `auth-reset-password`.
pub static FUNCTION: Function = Function::http::<ResetPassword>("auth-reset-password");

input! {
    struct Reset { token: Presented, wanted as "newPassword": Wanted }
}

/// What setting a forgotten password needs.
pub struct ResetPassword {
    dynamodb: Client,
    users: Users,
    credentials: Credentials,
    tokens: OneTimeTokens,
    links: Links,
    counts: Counts,
    clock: Clock,
}

impl Endpoint for ResetPassword {
    type Caller = Visitor;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Set a new password with the token of a mailed link")
            .detail("All sessions end. A password that breaks the rules does not use the token up.")
            .body::<Reset>(json!({"token": "k1.AaMDyPKh.mAc1", "newPassword": "Difference-1822"}))
            .answers_nothing(StatusCode::NO_CONTENT)
            .fails([Error::InvalidOneTimeToken])
    }

    fn init(init: &mut Init) -> Self {
        Self {
            dynamodb: init.dynamodb(),
            users: Users::init(init),
            credentials: Credentials::init(init),
            tokens: OneTimeTokens::init(init),
            links: Links::init(init),
            counts: Counts::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, _: Visitor, request: &Request) -> Result<Response> {
        let Reset { token, wanted } = request.json()?;
        let claim = self.links.open(Purpose::ResetPassword, &token.0)?;
        let stored = self.tokens.get(claim.user_id, claim.purpose, self.clock.now());
        let (user, stored) = try_join(self.users.get(claim.user_id), stored).await?;
        let (Some(user), true) = (user, stored.is_some_and(|stored| stored.id == claim.id)) else {
            return Err(Error::InvalidOneTimeToken);
        };
        // A password that breaks the rules does not use the token up.
        let password = wanted.of("newPassword", &user.name, &user.email)?;
        let (hash, credential) = join(password::hash(password), self.credentials.get(&user.email)).await;
        let (hash, credential) = (hash?, credential?.ok_or(Error::InvalidOneTimeToken)?);
        transaction::retry_changed(|| Box::pin(self.set(&claim, &credential, &hash, request.origin())))
            .await?;
        // Whoever guessed before locks nobody out now.
        if let Err(error) = self.counts.restart(&credential, &request.origin().source_ip).await {
            tracing::warn!(cause = error.cause(), "attempts not cleared after a reset");
        }
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

impl ResetPassword {
    async fn set(&self, claim: &Claim, read: &Credential, hash: &Hash, origin: &Origin) -> Result<()> {
        let user = self.users.get(claim.user_id).await?.ok_or(Error::InvalidOneTimeToken)?;
        let now = self.clock.now();
        let mut next = user.next(now, origin.by(&user.id, "reset-password"));
        next.password_changed(now);
        let steps = vec![
            self.tokens.spend(claim, now),
            self.users.replace(&user, &next)?,
            // Changed meanwhile: the link was for the password before.
            self.credentials.set_password(read, hash).or(Error::InvalidOneTimeToken),
        ];
        transaction::commit(&self.dynamodb, steps).await
    }
}
