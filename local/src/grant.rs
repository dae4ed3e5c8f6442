//! `cargo run -- grant-role EMAIL ROLE`: makes the first admin of a bundle that runs on this machine.

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

/// Has the bundle at `port` invoke `users-grant-role`, as `sam remote invoke` does at AWS; answers the account's
/// roles.
pub async fn role(port: u16, email: &str, role: &str) -> Result<String, Error> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let event = json!({"email": email, "role": role});
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://127.0.0.1:{port}/_local/invoke/users-grant-role"))
        .body(Full::from(event.to_string()))?;
    let response = client.request(request).await.map_err(|_| {
        format!(
            "nothing answers at 127.0.0.1:{port}: start the bundle with `cargo run` first, or name its --port"
        )
    })?;
    let status = response.status();
    let answer: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    if status == StatusCode::OK {
        return Ok(answer["roles"].to_string());
    }
    let message = answer["message"].as_str().unwrap_or_default();
    Err(if message.contains("NOT_FOUND") {
        format!("there is no account of {email}: register it first").into()
    } else if message.contains("MalformedEvent") {
        format!("{email:?} is no email address, or {role:?} is no role").into()
    } else {
        message.to_owned().into()
    })
}
