//! `DELETE /api/v1/auth/sessions/{id}`: end one of the caller's sessions.
fn main() -> shared::Exit {
    shared::run(&auth::end_session::FUNCTION)
}
