//! `files-expire`: every hour, gives up files whose bytes did not come within a day.
fn main() -> shared::Exit {
    shared::run(&files::expire::FUNCTION)
}
