//! `GET /api/v1/files/{id}`: one file.
fn main() -> shared::Exit {
    shared::run(&files::get::FUNCTION)
}
