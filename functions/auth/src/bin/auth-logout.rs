//! `POST /api/v1/auth/logout`: end the session of a refresh token.
fn main() -> shared::Exit {
    shared::run(&auth::logout::FUNCTION)
}
