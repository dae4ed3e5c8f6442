//! A bundle that runs on this machine: how a command has it invoke a function.

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Has the bundle at `port` invoke a function, as `sam remote invoke` does at AWS; answers what it answers, or says why it
/// failed.
pub(crate) async fn invoke(
    port: u16,
    function: &str,
    event: &Value,
) -> Result<Value, Box<dyn std::error::Error>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://127.0.0.1:{port}/_local/invoke/{function}"))
        .body(Full::from(event.to_string()))?;
    let response = client.request(request).await.map_err(|_| {
        format!(
            "nothing answers at 127.0.0.1:{port}: start the bundle with `cargo run` first, or name its --port"
        )
    })?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let answer: Value = serde_json::from_slice(&body)
        .map_err(|_| format!("what answers at 127.0.0.1:{port} is no API of a bundle: name its --port"))?;
    if status == StatusCode::OK {
        Ok(answer)
    } else {
        Err(answer["message"].as_str().unwrap_or_default().into())
    }
}
