//! What a user is shown of an account.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::email::Email;
use crate::id::UserId;
use crate::time::Timestamp;
use crate::users::{Role, User};

/// An account, as its owner sees it; admins see more.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile<'a> {
    id: UserId,
    name: &'a str,
    email: &'a Email,
    email_verified: bool,
    roles: &'a [Role],
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'a> Profile<'a> {
    /// One for the API's document.
    pub fn example() -> Value {
        json!({
            "id": UserId::EXAMPLE, "name": "Ada Lovelace", "email": "ada@example.com", "emailVerified": true,
            "roles": [Role::User], "createdAt": "2026-01-31T09:05:00.000Z",
            "updatedAt": "2026-01-31T09:05:00.000Z"
        })
    }

    /// What is shown of `user`.
    pub fn of(user: &'a User) -> Self {
        Self {
            id: user.id,
            name: &user.name,
            email: &user.email,
            email_verified: user.email_verified,
            roles: &user.roles,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}
