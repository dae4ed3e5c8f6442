//! A file as the API shows it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use shared::files::{File, Reason, Status};
use shared::id::FileId;
use shared::sha256::Sha256;
use shared::time::Timestamp;

/// A file.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "File")]
pub(crate) struct Shown<'a> {
    id: FileId,
    filename: &'a str,
    /// Where to ask for a download; null until it is active.
    url: Option<String>,
    /// How many bytes it has, or is to have.
    size: i64,
    content_type: &'static str,
    /// Of its bytes; null until it is active.
    sha256: Option<Sha256>,
    status: Status,
    /// Why it was rejected or has expired.
    reason: Option<Reason>,
    /// When it became active; null until then.
    uploaded_at: Option<Timestamp>,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(file: &'a File) -> Self {
        Self {
            id: file.id,
            filename: &file.filename,
            url: file.is_active().then(|| format!("/api/v1/files/{}/download", file.id)),
            size: file.size,
            content_type: file.extension.content_type(),
            sha256: file.sha256,
            status: file.status,
            reason: file.reason,
            uploaded_at: file.uploaded_at,
        }
    }

    /// One for the API's document.
    pub(crate) fn example() -> Value {
        json!({
            "id": FileId::EXAMPLE, "filename": "notes.pdf",
            "url": format!("/api/v1/files/{}/download", FileId::EXAMPLE), "size": 48213,
            "contentType": "application/pdf", "sha256": Sha256::EXAMPLE, "status": "ACTIVE", "reason": null,
            "uploadedAt": "2026-11-25T09:30:00.000Z",
        })
    }
}
