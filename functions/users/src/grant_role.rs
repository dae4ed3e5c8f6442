//! `users-grant-role`: gives an account a role. DevOps invoke it, for the first admin above all; nobody can over
//! HTTP.

use aws_sdk_dynamodb::Client;
use serde::{Deserialize, Serialize};
use shared::clock::Clock;
use shared::counters::Counters;
use shared::credentials::Credentials;
use shared::directory::Directory;
use shared::email::Email;
use shared::event::Provenance;
use shared::function::Operation;
use shared::id::UserId;
use shared::transaction;
use shared::users::{Role, Roles, Users};
use shared::{Error, Function, Init, Result};

/// `users-grant-role`.
pub static FUNCTION: Function = Function::event::<GrantRole>("users-grant-role");

/// Who gets which role. It has no `Debug`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    email: Email,
    role: Role,
}

/// Whose roles are which now.
#[derive(Serialize)]
pub struct Granted {
    id: UserId,
    roles: Vec<Role>,
}

/// What granting a role needs.
pub struct GrantRole {
    dynamodb: Client,
    users: Users,
    counters: Counters,
    credentials: Credentials,
    directory: Directory,
    clock: Clock,
}

impl Operation for GrantRole {
    type Input = Grant;
    type Output = Granted;

    fn init(init: &mut Init) -> Self {
        Self {
            dynamodb: init.dynamodb(),
            users: Users::init(init),
            counters: Counters::init(init),
            credentials: Credentials::init(init),
            directory: Directory::init(init),
            clock: init.clock(),
        }
    }

    async fn run(&self, Grant { email, role }: Grant) -> Result<Granted> {
        let credential = self.credentials.get(&email).await?.ok_or(Error::NotFound("User"))?;
        transaction::retry_changed(|| Box::pin(self.grant(credential.user_id, role))).await
    }
}

impl GrantRole {
    async fn grant(&self, id: UserId, role: Role) -> Result<Granted> {
        let user = self.users.get(id).await?.ok_or(Error::NotFound("User"))?;
        if user.roles.contains(&role) {
            return Ok(Granted { id, roles: user.roles });
        }
        let change = Provenance {
            correlation_id: shared::id::uuid(self.clock.now()).to_string(),
            actor: "users-grant-role".to_owned(),
            reason: "grant-role".to_owned(),
        };
        let mut next = user.next(self.clock.now(), change);
        next.roles = Roles::sorted(&[next.roles.as_slice(), &[role]].concat());
        next.end_sessions();
        self.directory.note(Some(&user), &mut next);
        let steps = self.users.replace_counted(&user, &next, &self.counters)?;
        transaction::commit(&self.dynamodb, steps).await?;
        Ok(Granted { id, roles: next.roles })
    }
}
