//! `users-grant-role`: gives an account a role.
fn main() -> shared::Exit {
    shared::run(&users::grant_role::FUNCTION)
}
