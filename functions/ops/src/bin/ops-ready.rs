//! `GET /health/ready`: whether what the functions stand on answers.
fn main() -> shared::Exit {
    shared::run(&ops::ready::FUNCTION)
}
