//! `events-audit`: keeps a record of every event for 90 days.
fn main() -> shared::Exit {
    shared::run(&events::audit::FUNCTION)
}
