//! CloudFormation's custom resource that makes the stack's keys.
fn main() -> shared::Exit {
    shared::run(&ops::jwt_keys::FUNCTION)
}
