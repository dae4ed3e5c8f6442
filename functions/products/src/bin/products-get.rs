//! `GET /api/v1/products/{id}`: one product.
fn main() -> shared::Exit {
    shared::run(&products::get::FUNCTION)
}
