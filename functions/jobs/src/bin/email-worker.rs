//! The queue of mails: send each one.
fn main() -> shared::Exit {
    shared::run(&jobs::email_worker::FUNCTION)
}
