//! `GET /api/v1/files`: the caller's files, newest first.
fn main() -> shared::Exit {
    shared::run(&files::list::FUNCTION)
}
