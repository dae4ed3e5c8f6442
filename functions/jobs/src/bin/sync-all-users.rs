//! `sync-all-users`: has the external directory told of every account.
fn main() -> shared::Exit {
    shared::run(&jobs::sync_all_users::FUNCTION)
}
