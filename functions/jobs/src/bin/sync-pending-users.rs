//! `sync-pending-users`: every five minutes, queues a job for each account that the external directory has to be told of.
fn main() -> shared::Exit {
    shared::run(&jobs::sync_pending_users::FUNCTION)
}
