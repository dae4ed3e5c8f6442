//! `POST /api/v1/products`: a new product, as a draft.
fn main() -> shared::Exit {
    shared::run(&products::create::FUNCTION)
}
