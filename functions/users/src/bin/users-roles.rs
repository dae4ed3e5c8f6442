//! `PUT /api/v1/users/{id}/roles`: say what an account may do.
fn main() -> shared::Exit {
    shared::run(&users::roles::FUNCTION)
}
