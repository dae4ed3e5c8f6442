//! `events-verification-requested`: another link to verify an address is mailed to its user.
fn main() -> shared::Exit {
    shared::run(&events::verification_requested::FUNCTION)
}
