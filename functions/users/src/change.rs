//! Changing what an account is or may do, as an admin.

use shared::caller::Admin;
use shared::clock::Clock;
use shared::counters::Counters;
use shared::directory::Directory;
use shared::transaction;
use shared::users::{User, Users};
use shared::{Error, Init, Request, Result};

/// What changing accounts needs.
pub(crate) struct Accounts {
    users: Users,
    counters: Counters,
    directory: Directory,
    clock: Clock,
}

impl Accounts {
    pub(crate) fn init(init: &mut Init) -> Self {
        let (users, counters) = (Users::init(init), Counters::init(init));
        Self { users, counters, directory: Directory::init(init), clock: init.clock() }
    }

    /// Changes the account that the request's path names, which ends its sessions; one that is so already stays
    /// as it is, with them.
    pub(crate) async fn change(
        &self,
        admin: &Admin,
        request: &Request,
        reason: &'static str,
        change: impl Fn(&mut User) + Sync,
    ) -> Result<User> {
        let try_once = || self.try_once(admin, request, reason, &change);
        transaction::retry_changed(|| Box::pin(try_once())).await
    }

    async fn try_once(
        &self,
        Admin(caller): &Admin,
        request: &Request,
        reason: &'static str,
        change: &(impl Fn(&mut User) + Sync),
    ) -> Result<User> {
        let origin = request.origin();
        let user = self.users.get(request.user_id()?).await?.ok_or(Error::NotFound("User"))?;
        request.if_match().check(user.version)?;
        let mut next = user.next(self.clock.now(), origin.by(&caller.user_id(), reason));
        change(&mut next);
        if (&next.roles, next.status) == (&user.roles, user.status) {
            return Ok(user);
        }
        // Tokens say what was true before.
        next.end_sessions();
        self.directory.note(Some(&user), &mut next);
        caller.write(self.users.replace_counted(&user, &next, &self.counters)?).await?;
        Ok(next)
    }
}
