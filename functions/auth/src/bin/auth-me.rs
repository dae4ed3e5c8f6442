//! `GET /api/v1/auth/me`: the caller's own account.
fn main() -> shared::Exit {
    shared::run(&auth::me::FUNCTION)
}
