//! `GET /api/v1/auth/sessions`: the caller's live sessions.

use futures_util::future::try_join;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use shared::caller::SignedIn;
use shared::clock::Clock;
use shared::describe::{About, json};
use shared::function::Endpoint;
use shared::id::SessionId;
use shared::sessions::Sessions;
use shared::time::Timestamp;
use shared::{Function, Init, Request, Response, Result};

/// `auth-list-sessions`.
pub static FUNCTION: Function = Function::http::<ListSessions>("auth-list-sessions");

/// The live sessions, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sessions")]
struct Listed<'a> {
    data: Vec<Shown<'a>>,
}

/// A login that has not ended.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Session")]
struct Shown<'a> {
    id: SessionId,
    created_at: Timestamp,
    last_used_at: Timestamp,
    ip: &'a str,
    user_agent: &'a str,
    /// Whether it is the one that asks.
    current: bool,
}

/// What listing sessions needs.
pub struct ListSessions {
    sessions: Sessions,
    clock: Clock,
}

impl Endpoint for ListSessions {
    type Caller = SignedIn;
    const WRITES: bool = false;

    fn describe() -> About {
        About::new("List where the caller is logged in").answers::<Listed<'_>>(
            StatusCode::OK,
            json!({"data": [{
                "id": SessionId::EXAMPLE, "createdAt": "2026-01-31T09:05:00.000Z",
                "lastUsedAt": "2026-01-31T09:05:00.000Z", "ip": "203.0.113.7", "userAgent": "curl/8.14.1",
                "current": true
            }]}),
        )
    }

    fn init(init: &mut Init) -> Self {
        Self { sessions: Sessions::init(init), clock: init.clock() }
    }

    async fn handle(&self, caller: SignedIn, _: &Request) -> Result<Response> {
        let of_user = self.sessions.of_user(caller.user_id());
        let (user, mut sessions) = try_join(caller.user(), of_user).await?;
        let now = self.clock.now();
        sessions.retain(|session| session.is_alive(user, now));
        sessions.sort_by_key(|session| std::cmp::Reverse(session.created_at));
        let shown = sessions.iter().map(|session| Shown {
            id: session.id,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            ip: &session.ip,
            user_agent: &session.user_agent,
            current: session.id == caller.session_id(),
        });
        Response::json(StatusCode::OK, &Listed { data: shown.collect() })
    }
}
