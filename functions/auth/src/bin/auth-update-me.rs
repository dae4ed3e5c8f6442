//! `PATCH /api/v1/auth/me`: change the caller's own account.
fn main() -> shared::Exit {
    shared::run(&auth::update_me::FUNCTION)
}
