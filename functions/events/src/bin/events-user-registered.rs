//! `events-user-registered`: a new user gets a welcome mail, with a link that verifies the address.
fn main() -> shared::Exit {
    shared::run(&events::user_registered::FUNCTION)
}
