//! `events-token-reuse`: a user is told that somebody used a refresh token of theirs a second time.
fn main() -> shared::Exit {
    shared::run(&events::token_reuse::FUNCTION)
}
