//! A function for the tests: does what its payload's `do` says, and fails to start
//! in the way that `PROBE` says.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    match environment.get("PROBE").map(String::as_str) {
        Some("panic") => panic!("the probe cannot start"),
        Some("report") => {
            post("runtime/init/error", r#"{"errorType":"Probe.Init","errorMessage":"no database"}"#);
            std::process::exit(1);
        }
        Some("hang") => std::thread::sleep(Duration::from_mins(1)),
        Some("raw") => raw(),
        _ => {}
    }
    let environment = &environment;
    run(service_fn(move |event: LambdaEvent<Value>| async move { handle(event, environment).await })).await
}

async fn handle(event: LambdaEvent<Value>, environment: &BTreeMap<String, String>) -> Result<Value, Error> {
    let (payload, context) = event.into_parts();
    let number = payload["n"].as_u64().unwrap_or_default();
    match payload["do"].as_str().unwrap_or_default() {
        "sleep" => tokio::time::sleep(Duration::from_millis(number)).await,
        "block" => loop {
            std::hint::spin_loop();
        },
        "panic" => panic!("the probe panics"),
        "exit" => std::process::exit(i32::try_from(number)?),
        "fail" => return Err("the probe fails".into()),
        "big" => return Ok(Value::String("x".repeat(usize::try_from(number)?))),
        "env" => return Ok(json!(environment)),
        "context" => return Ok(serde_json::to_value(context)?),
        "say" => {
            println!("to stdout");
            eprintln!("to stderr");
        }
        _ => {}
    }
    Ok(payload)
}

/// A runtime without manners: tries requests out of turn and answers with the
/// statuses that it got.
fn raw() -> ! {
    let mut statuses = Vec::new();
    loop {
        let (_, head) = request("GET", "runtime/invocation/next", "");
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: "))
            .expect("a request id");
        let answer = format!("runtime/invocation/{id}/response");
        statuses.push(request("GET", "runtime/invocation/next", "").0);
        statuses.push(post("runtime/init/error", "{}"));
        statuses.push(post("runtime/invocation/another/response", "{}"));
        statuses.push(post(&answer, &json!(statuses).to_string()));
        statuses.push(post(&answer, "{}"));
    }
}

fn post(path: &str, body: &str) -> u16 {
    request("POST", path, body).0
}

/// The status and the head of the answer.
fn request(method: &str, path: &str, body: &str) -> (u16, String) {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("the Runtime API");
    let (host, process) =
        api.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL with a path");
    let mut stream = TcpStream::connect(host).expect("connects");
    let length = body.len();
    write!(
        stream,
        "{method} /{process}/2018-06-01/{path} HTTP/1.1\r\nhost: {host}\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer)
}
