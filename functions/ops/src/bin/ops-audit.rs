//! `GET /api/v1/audit`: what has happened, newest first.
fn main() -> shared::Exit {
    shared::run(&ops::audit::FUNCTION)
}
