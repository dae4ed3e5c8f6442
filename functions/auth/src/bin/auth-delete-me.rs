//! `DELETE /api/v1/auth/me`: delete the caller's own account.
fn main() -> shared::Exit {
    shared::run(&auth::delete_me::FUNCTION)
}
