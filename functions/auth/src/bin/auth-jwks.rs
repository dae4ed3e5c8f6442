//! `GET /.well-known/jwks.json`: the keys that verify access tokens (RFC 7517).
fn main() -> shared::Exit {
    shared::run(&auth::jwks::FUNCTION)
}
