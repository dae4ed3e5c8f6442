//! `POST /api/v1/auth/register`: make an account.
fn main() -> shared::Exit {
    shared::run(&auth::register::FUNCTION)
}
