//! `GET /api/v1/files/{id}/download`: where to download a file from, for an hour.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::describe::{About, json};
use shared::files::{Download as Answer, Files, Objects};
use shared::function::Endpoint;
use shared::{Error, Function, Init, Request, Response, Result};

/// `files-download`.
pub static FUNCTION: Function = Function::http::<Download>("files-download");

/// What downloading a file needs.
pub struct Download {
    files: Files,
    objects: Objects,
}

impl Endpoint for Download {
    type Caller = SignedIn;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Tell where to download a file from")
            .detail(
                "The URL holds for an hour, whatever becomes of the file's owner: it is as secret as the file. Files that \
                 are not active cannot be downloaded.",
            )
            .answers::<Answer>(
                StatusCode::OK,
                json!({
                    "downloadUrl": "https://bucket.s3.us-east-1.amazonaws.com/2026/11/25/01a203c8.pdf?X-Amz-Signature=...",
                    "expiresAt": "2026-11-25T10:30:00.000Z",
                }),
            )
    }

    fn init(init: &mut Init) -> Self {
        Self { files: Files::init(init), objects: Objects::init(init) }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let file = self.files.get(request.file_id()?, &caller).await?;
        if !file.is_active() {
            return Err(Error::NotFound("File"));
        }
        Response::json(StatusCode::OK, &self.objects.download(&file).await?)
    }
}
