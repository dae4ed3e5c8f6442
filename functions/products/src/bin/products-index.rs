//! `products-index`: keeps the search index as the products' stream tells.
fn main() -> shared::Exit {
    shared::run(&products::index::FUNCTION)
}
