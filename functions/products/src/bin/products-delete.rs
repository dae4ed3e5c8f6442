//! `DELETE /api/v1/products/{id}`: take a product out of the catalogue.
fn main() -> shared::Exit {
    shared::run(&products::delete::FUNCTION)
}
