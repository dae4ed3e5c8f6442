//! `POST /api/v1/auth/register`: make an account.

use aws_sdk_dynamodb::Client;
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::credentials::{Credential, Credentials};
use shared::describe::{About, json};
use shared::directory::Directory;
use shared::email::Email;
use shared::function::Endpoint;
use shared::id::UserId;
use shared::limits::{Limit, Limits, network};
use shared::password::{self, NewPassword};
use shared::text::Name;
use shared::transaction;
use shared::users::{User, Users};
use shared::{Error, Function, Init, Request, Response, Result, input};

use crate::mail_limits::HOUR;

/// `auth-register`.
pub static FUNCTION: Function = Function::http::<Register>("auth-register");

input! {
    struct NewAccount { name: Name, email: Email, password: NewPassword }
}

/// The account.
#[derive(Serialize, JsonSchema)]
struct Registered<'a> {
    id: UserId,
    name: &'a str,
    email: &'a Email,
}

/// What registering needs.
pub struct Register {
    dynamodb: Client,
    users: Users,
    counters: Counters,
    credentials: Credentials,
    directory: Directory,
    limits: Limits,
    per_address: Limit,
    clock: Clock,
}

impl Endpoint for Register {
    type Caller = Visitor;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Make an account")
            .detail("A link that verifies the address is mailed to it.")
            .body::<NewAccount>(json!({
                "name": "Ada Lovelace", "email": "ada@example.com", "password": "Analytical-1843"
            }))
            .answers::<Registered<'_>>(
                StatusCode::CREATED,
                json!({"id": UserId::EXAMPLE, "name": "Ada Lovelace", "email": "ada@example.com"}),
            )
            .header("Location", "Where the account is read: `/api/v1/auth/me`")
            .fails([Error::EmailAlreadyRegistered, Error::TooManyRequests { seconds: 60 }])
    }

    fn init(init: &mut Init) -> Self {
        let most = init.number("REGISTRATIONS_PER_ADDRESS");
        Self {
            dynamodb: init.dynamodb(),
            users: Users::init(init),
            counters: Counters::init(init),
            credentials: Credentials::init(init),
            directory: Directory::init(init),
            limits: Limits::init(init),
            per_address: Limit { what: "register", most, seconds: HOUR },
            clock: init.clock(),
        }
    }

    async fn handle(&self, _: Visitor, request: &Request) -> Result<Response> {
        let NewAccount { name, email, password } = request.json()?;
        let origin = request.origin();
        self.limits.reserve(self.per_address, &network(&origin.source_ip)).await?;
        let password_hash = password::hash(password).await?;

        let mut user = User::new(&name, email, self.clock.now(), origin.by("auth-register", "register"));
        self.directory.note(None, &mut user);
        let credential =
            Credential { email: user.email.clone(), user_id: user.id, password_hash, password_version: 1 };
        // The credential's condition is what makes an address unique.
        let mut steps = vec![self.credentials.insert(&credential)?];
        steps.extend(self.users.insert(&user, &self.counters)?);
        transaction::commit(&self.dynamodb, steps).await?;

        let body = Registered { id: user.id, name: &user.name, email: &user.email };
        Ok(Response::json(StatusCode::CREATED, &body)?.header(header::LOCATION, "/api/v1/auth/me"))
    }
}
