//! `user-sync-worker`: tells the external directory of each account of the `user-sync` queue.
fn main() -> shared::Exit {
    shared::run(&jobs::user_sync_worker::FUNCTION)
}
