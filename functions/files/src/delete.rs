//! `DELETE /api/v1/files/{id}`: delete a file.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::describe::About;
use shared::files::{Files, Objects};
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
        // An object that is removed does not come back: its session is known to stand before.
        caller.user().await?;
        transaction::retry_changed(|| Box::pin(self.try_once(&caller, request))).await
    }
}

impl Delete {
    /// The objects first: after a crash the file is still there to be deleted again.
    async fn try_once(&self, caller: &SignedIn, request: &Request) -> Result<Response> {
        let file = self.files.get(request.file_id()?, caller).await?;
        request.if_match().check(file.version)?;
        self.objects.remove(file.objects()).await?;
        let now = self.clock.now();
        let mut next = file.next(now, request.origin().by(&caller.user_id(), "delete"));
        next.delete(now);
        let steps = self.files.replace(&file, &next, &self.counters)?;
        caller.write(steps).await.map(|()| Response::empty(StatusCode::NO_CONTENT))
    }
}
