//! `cargo run -- grant-role EMAIL ROLE`: makes the first admin of a bundle that runs on this machine.

use serde_json::json;

use crate::running;

type Error = Box<dyn std::error::Error>;

/// Has the bundle at `port` invoke `users-grant-role`, as `sam remote invoke` does at AWS; answers the account's
/// roles.
pub async fn role(port: u16, email: &str, role: &str) -> Result<String, Error> {
    let event = json!({"email": email, "role": role});
    let failed = match running::invoke(port, "users-grant-role", &event).await {
        Ok(answer) => return Ok(answer["roles"].to_string()),
        Err(failed) => failed,
    };
    let message = failed.to_string();
    Err(if message.contains("NOT_FOUND") {
        format!("there is no account of {email}: register it first").into()
    } else if message.contains("MalformedEvent") {
        format!("{email:?} is no email address, or {role:?} is no role").into()
    } else {
        failed
    })
}
