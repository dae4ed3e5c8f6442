//! `PUT /api/v1/products/{id}`: change what a product is.
fn main() -> shared::Exit {
    shared::run(&products::update::FUNCTION)
}
