//! `products-reindex`: has the words of every product written to the search index anew.
fn main() -> shared::Exit {
    shared::run(&products::reindex::FUNCTION)
}
