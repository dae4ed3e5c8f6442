//! `sync-all-users`: has the external directory told of every account, or notes that there is nobody to tell.
fn main() -> shared::Exit {
    shared::run(&jobs::sync_all_users::FUNCTION)
}
