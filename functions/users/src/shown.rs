//! What admins are shown of an account.

use serde::Serialize;
use shared::email::Email;
use shared::id::UserId;
use shared::time::Timestamp;
use shared::users::{Role, Status, SyncStatus, User};

/// An account, as an admin sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown<'a> {
    id: UserId,
    name: &'a str,
    email: &'a Email,
    email_verified: bool,
    roles: &'a [Role],
    status: Status,
    sync_status: SyncStatus,
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
            status: user.status,
            sync_status: user.sync_status,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}
