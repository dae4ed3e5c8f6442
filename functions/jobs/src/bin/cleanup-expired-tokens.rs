//! `cleanup-expired-tokens`: every hour, removes sessions and one-time tokens that have expired.
fn main() -> shared::Exit {
    shared::run(&jobs::cleanup_expired_tokens::FUNCTION)
}
