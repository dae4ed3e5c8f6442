//! `PATCH /api/v1/auth/me`: change the caller's own account.

use http::StatusCode;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::describe::{About, json};
use shared::directory::Directory;
use shared::function::Endpoint;
use shared::profile::Profile;
use shared::text::Name;
use shared::transaction;
use shared::users::{User, Users};
use shared::{Function, Init, Request, Response, Result, input};

/// `auth-update-me`.
pub static FUNCTION: Function = Function::http::<UpdateMe>("auth-update-me");

input! {
    struct Changes { name: Option<Name> }
}

/// What changing an account needs.
pub struct UpdateMe {
    users: Users,
    directory: Directory,
    clock: Clock,
}

impl Endpoint for UpdateMe {
    type Caller = SignedIn;
    const WRITES: bool = true;

    fn describe() -> About {
        About::new("Change the own account")
            .body::<Changes>(json!({"name": "Ada King"}))
            .answers::<Profile<'_>>(StatusCode::OK, Profile::example())
            .versioned()
    }

    fn init(init: &mut Init) -> Self {
        Self { users: Users::init(init), directory: Directory::init(init), clock: init.clock() }
    }

    async fn handle(&self, caller: SignedIn, request: &Request) -> Result<Response> {
        let Changes { name } = request.json()?;
        let user = match name {
            None => {
                let user = caller.user().await?;
                request.if_match().check(user.version)?;
                user.clone()
            }
            Some(name) => {
                transaction::retry_changed(|| Box::pin(self.rename(&caller, &name, request))).await?
            }
        };
        Response::tagged(request, user.version, &Profile::of(&user))
    }
}

impl UpdateMe {
    async fn rename(&self, caller: &SignedIn, name: &Name, request: &Request) -> Result<User> {
        let user = caller.user_now().await?;
        request.if_match().check(user.version)?;
        let change = request.origin().by(&user.id, "update-me");
        let mut next = User { name: name.as_str().to_owned(), ..user.next(self.clock.now(), change) };
        self.directory.note(Some(&user), &mut next);
        caller.write(vec![self.users.replace(&user, &next)?]).await?;
        Ok(next)
    }
}
