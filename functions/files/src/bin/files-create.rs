//! `POST /api/v1/files`: a place for a new file, and the request that uploads it.
fn main() -> shared::Exit {
    shared::run(&files::create::FUNCTION)
}
