//! `GET /health`: which version runs.
fn main() -> shared::Exit {
    shared::run(&ops::health::FUNCTION)
}
