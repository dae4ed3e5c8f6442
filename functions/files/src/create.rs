//! `POST /api/v1/files`: a place for a new file, and the request that uploads it.

use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::describe::{About, json};
use shared::files::{File, Files, NewFile, Objects, Promised, Quota, Status, Upload, quarantine_key};
use shared::function::Endpoint;
use shared::id::FileId;
use shared::sha256::Sha256;
use shared::{Error, Function, Init, Request, Response, Result, input, precondition};

use crate::filename::{ContentType, Filename, Size};

/// `files-create`.
pub static FUNCTION: Function = Function::http::<Create>("files-create");

input! {
    /// What a client says of a file.
    struct Announced {
        filename: Filename,
        size: Size,
        content_type as "contentType": Option<ContentType>,
        /// Of the bytes; S3 then takes no others
        sha256: Option<Sha256>,
    }
}

/// The answer, without what is secret for a while.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Kept {
    id: FileId,
    filename: String,
    size: i64,
    content_type: String,
    /// Always `PENDING`.
    status: Status,
    /// Always null: there is nothing to download yet.
    url: Option<String>,
}

/// A file that waits for its bytes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewFile")]
struct Created {
    #[serde(flatten)]
    file: Kept,
    upload: Upload,
}

/// What making a file needs.
pub struct Create {
    files: Files,
    objects: Objects,
    counters: Counters,
    quota: Quota,
    clock: Clock,
}

impl Endpoint for Create {
    type Caller = SignedIn;
    const WRITES: bool = true;
    const KEYED: bool = true;

    fn describe() -> About {
        About::new("Make a place for a file, which is then uploaded")
            .detail(
                "`upload` is the request that uploads it, to S3, within 15 minutes: with this method, this URL and all of these \
                 headers. It is refused once the bytes are there; with `sha256`, so are any but these very bytes. The file is `PENDING` until its bytes were looked at, seconds later: then it is \
                 `ACTIVE`, or `REJECTED` for a `reason`.",
            )
            .body::<Announced>(json!({"filename": "notes.pdf", "size": 48213}))
            .answers::<Created>(StatusCode::CREATED, example())
            .header("Location", "Where the file is")
            .versioned()
            .fails([Error::QuotaExceeded { bytes: 1 << 30, files: 10_000 }])
    }

    fn init(init: &mut Init) -> Self {
        Self {
            files: Files::init(init),
            objects: Objects::init(init),
            counters: Counters::init(init),
            quota: Quota::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let Announced { filename, size, sha256, .. } = request.json()?;
        let (user_id, Filename { text, extension }) = (caller.user_id(), filename);
        let new = NewFile { user_id, filename: text, extension, size: size.0, sha256 };
        let file = File::new(new, self.clock.now(), request.origin().by(&user_id, "create"));
        let steps = self.files.insert(&file, &self.counters, self.quota)?;
        let kept = Kept {
            id: file.id,
            filename: file.filename.clone(),
            size: file.size,
            content_type: extension.content_type().to_owned(),
            status: file.status,
            url: None,
        };
        let answer = Response::json(StatusCode::CREATED, &kept)?
            .header(header::LOCATION, &format!("/api/v1/files/{}", file.id))
            .header(header::ETAG, &precondition::etag(file.version));
        caller.write_and_answer(steps.into(), answer).await
    }

    async fn add_unkept(&self, request: &Request, answer: Response) -> Result<Response> {
        let Announced { sha256, .. } = request.json()?;
        let body = answer.body_text().unwrap_or_default();
        let file: Kept = serde_json::from_str(body).map_err(Error::internal)?;
        let quarantine = &quarantine_key(file.id);
        let promised = Promised { quarantine, size: file.size, content_type: &file.content_type, sha256 };
        let upload = self.objects.upload(&promised).await?;
        let body = serde_json::to_string(&Created { file, upload }).map_err(Error::internal)?;
        Ok(answer.text("application/json", body))
    }
}

fn example() -> serde_json::Value {
    json!({
        "id": FileId::EXAMPLE, "filename": "notes.pdf", "size": 48213, "contentType": "application/pdf",
        "status": "PENDING", "url": null,
        "upload": {
            "method": "PUT",
            "url": "https://bucket.s3.us-east-1.amazonaws.com/quarantine/01a203c8?X-Amz-Signature=...",
            "headers": {"content-type": "application/pdf", "if-none-match": "*"},
            "expiresAt": "2026-11-25T09:45:00.000Z",
        },
    })
}
