//! `POST /api/v1/auth/register`: make an account.

use aws_sdk_dynamodb::Client;
use http::{StatusCode, header};
use serde::Serialize;
use shared::caller::Visitor;
use shared::clock::Clock;
use shared::credentials::{Credential, Credentials};
use shared::email::Email;
use shared::event::Provenance;
use shared::function::Endpoint;
use shared::id::UserId;
use shared::password::{self, NewPassword};
use shared::text::Name;
use shared::transaction::{self, Written};
use shared::users::{User, Users};
use shared::{Error, Function, Init, Request, Response, Result, input};

/// `auth-register`.
pub static FUNCTION: Function = Function::http::<Register>("auth-register");

input! {
    struct NewAccount { name: Name, email: Email, password: NewPassword }
}

#[derive(Serialize)]
struct Registered<'a> {
    id: UserId,
    name: &'a str,
    email: &'a Email,
}

/// What registering needs.
pub struct Register {
    dynamodb: Client,
    users: Users,
    credentials: Credentials,
    clock: Clock,
}

impl Endpoint for Register {
    type Caller = Visitor;

    fn init(init: &mut Init) -> Self {
        Self {
            dynamodb: init.dynamodb(),
            users: Users::init(init),
            credentials: Credentials::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, _: Visitor, request: Request) -> Result<Response> {
        let NewAccount { name, email, password } = request.json()?;
        let password_hash = password::hash(password).await?;

        let change = Provenance {
            correlation_id: request.origin().correlation_id.clone(),
            actor: "auth-register".to_owned(),
            reason: "register".to_owned(),
        };
        let user = User::new(&name, email, self.clock.now(), change);
        let credential =
            Credential { email: user.email.clone(), user_id: user.id, password_hash, version: 1 };
        // The credential first: its condition is what makes an address unique.
        let items = vec![self.credentials.insert(&credential)?, self.users.insert(&user)?];
        match transaction::write(&self.dynamodb, items).await? {
            Written::Committed => {}
            Written::Refused(_) => return Err(Error::EmailAlreadyRegistered),
        }

        let body = Registered { id: user.id, name: &user.name, email: &user.email };
        Ok(Response::json(StatusCode::CREATED, &body)?.header(header::LOCATION, "/api/v1/auth/me"))
    }
}
