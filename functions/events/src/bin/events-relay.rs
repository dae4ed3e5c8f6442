//! The streams of the tables: changes become events on the bus.
fn main() -> shared::Exit {
    shared::run(&events::relay::FUNCTION)
}
