//! `POST /api/v1/auth/reset-password`: set a new password with the token of a mailed link.
fn main() -> shared::Exit {
    shared::run(&auth::reset_password::FUNCTION)
}
