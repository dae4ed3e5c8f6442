//! `DELETE /api/v1/files/{id}`: delete a file.
fn main() -> shared::Exit {
    shared::run(&files::delete::FUNCTION)
}
