//! `GET /docs`: the API as a page to read.
fn main() -> shared::Exit {
    shared::run(&ops::docs::FUNCTION)
}
