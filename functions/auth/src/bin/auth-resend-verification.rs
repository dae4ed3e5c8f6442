//! `POST /api/v1/auth/resend-verification`: have another link mailed that verifies the caller's address.
fn main() -> shared::Exit {
    shared::run(&auth::resend_verification::FUNCTION)
}
