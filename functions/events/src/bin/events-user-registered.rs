//! `auth.user_registered`: queue the welcome mail.
fn main() -> shared::Exit {
    shared::run(&events::user_registered::FUNCTION)
}
