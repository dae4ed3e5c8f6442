//! What admins are shown of an account.

use schemars::JsonSchema;
use serde::Serialize;
use shared::describe::{Value, json};
use shared::precondition::{etag, etag_beside};
use shared::profile::Profile;
use shared::users::{Status, SyncStatus, User};
use shared::{Request, Response, Result};

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

    /// The answer that shows an account. Its tag tells how the directory stands, too, which the account's version does not.
    pub(crate) fn answer(request: &Request, user: &'a User) -> Result<Response> {
        let etag = match user.sync_status {
            SyncStatus::Synced => etag(user.version),
            SyncStatus::Pending => etag_beside(user.version, "PENDING"),
            SyncStatus::Failed => etag_beside(user.version, "FAILED"),
        };
        Response::tagged_as(request, &etag, &Self::of(user))
    }

    pub(crate) fn of(user: &'a User) -> Self {
        Self { profile: Profile::of(user), status: user.status, sync_status: user.sync_status }
    }
}
