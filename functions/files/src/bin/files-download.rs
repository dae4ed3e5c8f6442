//! `GET /api/v1/files/{id}/download`: where to download a file from, for an hour.
fn main() -> shared::Exit {
    shared::run(&files::download::FUNCTION)
}
