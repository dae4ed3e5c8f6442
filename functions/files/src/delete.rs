//! `DELETE /api/v1/files/{id}`: delete a file.

use futures_util::future::try_join;
use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::describe::About;
use shared::files::{File, Files, Objects};
use shared::function::Endpoint;
use shared::{Function, Init, Request, Response, Result, transaction};

/// `files-delete`.
pub static FUNCTION: Function = Function::http::<Delete>("files-delete");

/// What deleting a file needs.
pub struct Delete {
    files: Files,
    objects: Objects,
    counters: Counters,
    clock: Clock,
}

impl Endpoint for Delete {
    type Caller = SignedIn;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Delete a file")
            .detail("The own ones; admins delete all.")
            .answers_nothing(StatusCode::NO_CONTENT)
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self {
            files: Files::init(init),
            objects: Objects::init(init),
            counters: Counters::init(init),
            clock: init.clock(),
        }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        // An object that is removed does not come back: whoever may not do so hears of it before. What has changed
        // after that does not stop it, or an answer would be 412 to what has happened.
        let (file, _) = try_join(self.files.get(request.file_id()?, &caller), caller.user()).await?;
        request.if_match().check(file.version)?;
        let mut read = Some(file);
        transaction::retry_changed(|| Box::pin(self.try_once(&caller, request, read.take()))).await
    }
}

impl Delete {
    /// Deletes the file that was read, or as it is now. The objects first: after a crash the file is still there to be
    /// deleted again.
    async fn try_once(&self, caller: &SignedIn, request: &Request, read: Option<File>) -> Result<Response> {
        let file = match read {
            Some(file) => file,
            None => self.files.get(request.file_id()?, caller).await?,
        };
        self.objects.remove(file.objects()).await?;
        let now = self.clock.now();
        let mut next = file.next(now, request.origin().by(&caller.user_id(), "delete"));
        next.delete(now);
        let steps = self.files.replace(&[(file, next)], &self.counters)?;
        caller.write(steps).await.map(|()| Response::empty(StatusCode::NO_CONTENT))
    }
}
