//! `GET /api/v1/openapi.json`: what the API takes and answers.
fn main() -> shared::Exit {
    shared::run(&ops::openapi::FUNCTION)
}
