//! What users are shown of their own account.

use serde::Serialize;
use shared::email::Email;
use shared::id::UserId;
use shared::time::Timestamp;
use shared::users::{Role, User};

/// An account, as its owner sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown<'a> {
    id: UserId,
    name: &'a str,
    email: &'a Email,
    email_verified: bool,
    roles: &'a [Role],
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(user: &'a User) -> Self {
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
