//! What admins are shown of an account.

use serde::Serialize;
use shared::profile::Profile;
use shared::users::{Status, SyncStatus, User};

/// An account, as an admin sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown<'a> {
    #[serde(flatten)]
    profile: Profile<'a>,
    status: Status,
    sync_status: SyncStatus,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(user: &'a User) -> Self {
        Self { profile: Profile::of(user), status: user.status, sync_status: user.sync_status }
    }
}
