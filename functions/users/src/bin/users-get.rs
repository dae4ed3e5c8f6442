//! `GET /api/v1/users/{id}`: one account.
fn main() -> shared::Exit {
    shared::run(&users::get::FUNCTION)
}
