//! `PUT /api/v1/users/{id}/status`: suspend an account, or let it in again.
fn main() -> shared::Exit {
    shared::run(&users::status::FUNCTION)
}
