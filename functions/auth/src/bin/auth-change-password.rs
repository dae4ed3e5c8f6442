//! `POST /api/v1/auth/change-password`: set a new password, knowing the old one.
fn main() -> shared::Exit {
    shared::run(&auth::change_password::FUNCTION)
}
