//! `GET /api/v1/products/search`: products by the words of their name, category and description.
fn main() -> shared::Exit {
    shared::run(&products::search::FUNCTION)
}
