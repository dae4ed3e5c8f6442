//! `GET /api/v1/audit`: what has happened, newest first.

use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use shared::audit::{Audit as Records, Filter, Kind, Record};
use shared::caller::Admin;
use shared::describe::{About, Value, json};
use shared::function::Endpoint;
use shared::id::UserId;
use shared::page::{Followed, Page, Size};
use shared::time::Timestamp;
use shared::{Function, Init, Request, Response, Result, input};

/// `ops-audit`.
pub static FUNCTION: Function = Function::http::<Audit>("ops-audit");

input! {
    /// Which records are asked for.
    struct Parameters {
        /// Of this type
        kind as "type": Option<Kind>,
        /// About this user
        user_id as "userId": Option<UserId>,
        /// Of this moment or later, as in RFC 3339
        from: Option<Timestamp>,
        /// Of before this moment
        to: Option<Timestamp>,
        size: Option<Size>,
        /// The `nextCursor` of the page before
        cursor: Option<String>,
    }
}

/// An event that has happened.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditRecord")]
struct Shown {
    /// The event's id.
    #[schemars(extend("format" = "uuid"))]
    id: String,
    #[serde(rename = "type")]
    kind: String,
    /// Ids of what it is about; never a name or an address.
    data: serde_json::Map<String, Value>,
    timestamp: Timestamp,
    /// The correlation id of the request that caused it.
    correlation_id: String,
    received_at: Timestamp,
}

impl Shown {
    fn of(record: Record) -> Self {
        let Record { event_id, kind, data, timestamp, correlation_id, received_at, .. } = record;
        Self { id: event_id.to_string(), kind, data, timestamp, correlation_id, received_at }
    }
}

/// What showing the audit needs.
pub struct Audit {
    records: Records,
}

impl Endpoint for Audit {
    type Caller = Admin;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("Read what has happened, newest first")
            .detail(
                "Events of the last 90 days. The list may lag behind by a second, and by more where an event was \
                 told again later: it stands at the time when it happened.",
            )
            .query::<Parameters>()
            .answers::<Followed<Shown>>(
                StatusCode::OK,
                json!({"data": [{
                    "id": "0f6f19ae-88cc-52e1-a64b-58938b205b80", "type": "user.deleted",
                    "data": {"userId": UserId::EXAMPLE}, "timestamp": "2026-11-25T09:30:00.000Z",
                    "correlationId": "01a0c450-6c5a-777b-b0c4-f4ee4f887ec9",
                    "receivedAt": "2026-11-25T09:30:00.450Z",
                }], "size": 10, "nextCursor": null}),
            )
    }

    fn init(init: &mut Init) -> Self {
        Self { records: Records::init(init) }
    }

    async fn handle(&self, _: Admin, request: &Request) -> Result<Response> {
        let Parameters { kind, user_id, from, to, size, cursor } = request.query()?;
        let filter = Filter { kind: kind.map(|kind| kind.0), user: user_id, from, to };
        let page = Page::of(None, size, cursor.as_deref(), list(&filter))?;
        // One more than asked for tells whether there is a next page.
        let ids = self.records.ids(&filter, page.after, page.size + 1).await?;
        let (ids, next) = page.cut(ids);
        let records = self.records.get_all(&ids).await?;
        let data = records.into_iter().map(Shown::of).collect();
        Response::json(StatusCode::OK, &page.answer_followed(data, next))
    }
}

/// The list's name in its cursors: a cursor is of one filter.
fn list(Filter { kind, user, from, to }: &Filter) -> String {
    let text = |value: Option<String>| value.unwrap_or_default();
    let user = text(user.map(|user| user.to_string()));
    let (from, to) = (text(from.map(|from| from.to_string())), text(to.map(|to| to.to_string())));
    format!("audit/{}/{user}/{from}/{to}", kind.unwrap_or_default())
}
