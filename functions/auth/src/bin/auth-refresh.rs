//! `POST /api/v1/auth/refresh`: exchange a refresh token for a new pair.
fn main() -> shared::Exit {
    shared::run(&auth::refresh::FUNCTION)
}
