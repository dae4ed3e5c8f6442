//! `POST /api/v1/auth/verify-email`: show with the token of a mailed link that an address is one's own.
fn main() -> shared::Exit {
    shared::run(&auth::verify_email::FUNCTION)
}
