//! `GET /api/v1/products`: the catalogue, newest first.
fn main() -> shared::Exit {
    shared::run(&products::list::FUNCTION)
}
