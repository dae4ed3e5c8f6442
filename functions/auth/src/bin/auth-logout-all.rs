//! `POST /api/v1/auth/logout-all`: end all sessions of the caller.
fn main() -> shared::Exit {
    shared::run(&auth::logout_all::FUNCTION)
}
