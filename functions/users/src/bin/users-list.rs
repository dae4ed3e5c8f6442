//! `GET /api/v1/users`: the accounts, newest first.
fn main() -> shared::Exit {
    shared::run(&users::list::FUNCTION)
}
