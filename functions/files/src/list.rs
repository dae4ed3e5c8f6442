//! `GET /api/v1/files`: the caller's files, newest first.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::describe::{About, json};
use shared::files::Files;
use shared::function::Endpoint;
use shared::page::{CursorParameters, Followed, Page};
use shared::{Function, Init, Request, Response, Result};

use crate::shown::Shown;

/// `files-list`.
pub static FUNCTION: Function = Function::http::<List>("files-list");

/// What listing files needs.
pub struct List {
    files: Files,
}

impl Endpoint for List {
    type Caller = SignedIn;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("List the own files, newest first")
            .detail("The list may lag behind by a second.")
            .query::<CursorParameters>()
            .answers::<Followed<Shown<'_>>>(
                StatusCode::OK,
                json!({"data": [Shown::example()], "size": 10, "nextCursor": null}),
            )
    }

    fn init(init: &mut Init) -> Self {
        Self { files: Files::init(init) }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let page = Page::follow(request, format!("files/{}", caller.user_id()))?;
        // One more than asked for tells whether there is a next page.
        let ids = self.files.ids_of(caller.user_id(), page.after, page.size + 1).await?;
        let (ids, next) = page.cut(ids);
        let files = self.files.get_all(&ids).await?;
        let data = files.iter().filter(|file| file.is_there()).map(Shown::of).collect();
        Response::json(StatusCode::OK, &page.answer_followed(data, next))
    }
}
