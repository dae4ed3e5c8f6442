//! What admins are shown of an account.

use schemars::JsonSchema;
use serde::Serialize;
use shared::describe::{Value, json};
use shared::profile::Profile;
use shared::users::{Status, SyncStatus, User};

/// An account, as an admin sees it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "User")]
pub(crate) struct Shown<'a> {
    #[serde(flatten)]
    profile: Profile<'a>,
    status: Status,
    sync_status: SyncStatus,
}

impl<'a> Shown<'a> {
    /// One for the API's document.
    pub(crate) fn example() -> Value {
        let mut example = Profile::example();
        example["status"] = json!(Status::Active);
        example["syncStatus"] = json!(SyncStatus::Synced);
        example
    }

    pub(crate) fn of(user: &'a User) -> Self {
        Self { profile: Profile::of(user), status: user.status, sync_status: user.sync_status }
    }
}
