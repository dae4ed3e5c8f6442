//! `events-password-changed`: a user is told that their account has another password.
fn main() -> shared::Exit {
    shared::run(&events::password_changed::FUNCTION)
}
