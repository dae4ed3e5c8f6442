//! `events-user-deleted`: what a deleted user leaves behind is removed, page by page.
fn main() -> shared::Exit {
    shared::run(&events::user_deleted::FUNCTION)
}
