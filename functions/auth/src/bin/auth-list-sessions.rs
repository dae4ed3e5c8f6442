//! `GET /api/v1/auth/sessions`: the caller's live sessions.
fn main() -> shared::Exit {
    shared::run(&auth::list_sessions::FUNCTION)
}
