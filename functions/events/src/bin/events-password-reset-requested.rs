//! `events-password-reset-requested`: the link to set a new password is mailed to its user.
fn main() -> shared::Exit {
    shared::run(&events::password_reset_requested::FUNCTION)
}
