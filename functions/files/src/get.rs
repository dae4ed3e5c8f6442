//! `GET /api/v1/files/{id}`: one file.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::describe::About;
use shared::files::Files;
use shared::function::Endpoint;
use shared::{Function, Init, Request, Response, Result};

use crate::shown::Shown;

/// `files-get`.
pub static FUNCTION: Function = Function::http::<Get>("files-get");

/// What reading a file needs.
pub struct Get {
    files: Files,
}

impl Endpoint for Get {
    type Caller = SignedIn;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Read what there is to know of a file")
            .detail("The own ones; admins read all.")
            .answers::<Shown<'_>>(StatusCode::OK, Shown::example())
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { files: Files::init(init) }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let file = self.files.get(request.file_id()?, &caller).await?;
        Response::tagged(request, file.version, &Shown::of(&file))
    }
}
