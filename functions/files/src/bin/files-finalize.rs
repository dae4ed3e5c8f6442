//! `files-finalize`: looks at what was uploaded, and takes it or refuses it.
fn main() -> shared::Exit {
    shared::run(&files::finalize::FUNCTION)
}
