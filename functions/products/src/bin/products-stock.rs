//! `PATCH /api/v1/products/{id}/stock`: add to a product's stock, or take from it.
fn main() -> shared::Exit {
    shared::run(&products::stock::FUNCTION)
}
