//! `POST /api/v1/auth/login`: exchange an email address and a password for a token pair.
fn main() -> shared::Exit {
    shared::run(&auth::login::FUNCTION)
}
