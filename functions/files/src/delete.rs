//! `DELETE /api/v1/files/{id}`: delete a file.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::describe::About;
use shared::files::{File, Files, Objects};
use shared::function::Endpoint;
use shared::{Error, Function, Init, Request, Response, Result, transaction};

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
        let file = transaction::retry_changed(|| Box::pin(self.decide(&caller, request))).await?;
        self.finish(file).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}

impl Delete {
    /// Decides that the file is to be deleted, or finds that it was. An object that is removed does not come back: so this
    /// is written, by whoever may, before one is.
    async fn decide(&self, caller: &SignedIn, request: &Request) -> Result<File> {
        let file = self.files.get_to_delete(request.file_id()?, caller).await?;
        if !file.is_there() {
            return Ok(file);
        }
        request.if_match().check(file.version)?;
        let now = self.clock.now();
        let mut next = file.next(now, request.origin().by(&caller.user_id(), "delete"));
        next.begin_deletion(now);
        caller.write(self.files.replace(&[(file, next.clone())], &self.counters)?).await?;
        Ok(next)
    }

    /// Does what was decided. After a crash the next try does, or `files-expire`.
    async fn finish(&self, file: File) -> Result<()> {
        self.objects.remove(file.objects()).await?;
        let now = self.clock.now();
        let mut next = file.next(now, file.change.clone());
        next.leave(now);
        match self.files.commit(&[(file, next)], &self.counters).await {
            // It was finished by somebody else.
            Err(Error::Changed) => Ok(()),
            finished => finished,
        }
    }
}
