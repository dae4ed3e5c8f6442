//! `events-redrive`: brings on their way once more the events and records that could not be delivered or relayed.
fn main() -> shared::Exit {
    shared::run(&events::redrive::FUNCTION)
}
