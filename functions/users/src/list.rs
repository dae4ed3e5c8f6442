//! `GET /api/v1/users`: the accounts, newest first.

use futures_util::future::try_join;
use http::StatusCode;
use shared::caller::Admin;
use shared::counters::Counters;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::listing::Listing;
use shared::page::{Listed, Page, Parameters};
use shared::users::Users;
use shared::{Function, Init, Request, Response, Result};

use crate::shown::Shown;

/// `users-list`.
pub static FUNCTION: Function = Function::http::<List>("users-list");

/// The list's name in its cursors.
const LIST: &str = "users";

/// What listing accounts needs.
pub struct List {
    users: Users,
    listing: Listing,
    counters: Counters,
}

impl Endpoint for List {
    type Caller = Admin;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("List the accounts, newest first").query::<Parameters>().answers::<Listed<Shown<'_>>>(
            StatusCode::OK,
            json!({"data": [Shown::example()], "page": 0, "size": 10, "total": 1, "nextCursor": null}),
        )
    }

    fn init(init: &mut Init) -> Self {
        let users = Users::init(init);
        Self { listing: users.listing(), users, counters: Counters::init(init) }
    }

    async fn handle(&self, _: Admin, request: &Request) -> Result<Response> {
        let page = Page::read(request, LIST)?;
        // One more than asked for tells whether there is a next page.
        let ids = self.listing.ids(Users::partitions(), page.after, page.skip, page.size + 1);
        let (ids, total) = try_join(ids, self.users.count(&self.counters)).await?;
        let (ids, next) = page.cut(ids);
        let users = self.users.get_all(&ids).await?;
        let data = users.iter().map(Shown::of).collect();
        Response::json(StatusCode::OK, &page.answer(data, total, next))
    }
}
