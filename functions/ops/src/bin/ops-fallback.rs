//! Whatever no route takes: 404, 405 and preflights.
fn main() -> shared::Exit {
    shared::run(&ops::fallback::FUNCTION)
}
