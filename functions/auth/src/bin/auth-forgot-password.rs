//! `POST /api/v1/auth/forgot-password`: have a link mailed that sets a new password.
fn main() -> shared::Exit {
    shared::run(&auth::forgot_password::FUNCTION)
}
