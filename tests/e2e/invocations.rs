//! Events that no API Gateway should send: each is answered, and the function lives on.

use serde_json::{Value, json};

use crate::app::{LOGIN, TestApp, new_address};

/// A login of an account that does not exist, as API Gateway tells it.
fn event() -> Value {
    let body = json!({"email": new_address(), "password": "Wrong-password-1"});
    json!({
        "version": "2.0",
        "routeKey": format!("POST {LOGIN}"),
        "rawPath": LOGIN,
        "rawQueryString": "",
        "headers": {"host": "api.example.com", "x-forwarded-proto": "https", "content-type": "application/json"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "api.example.com", "domainPrefix": "api",
            "http": {
                "method": "POST", "path": LOGIN, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test",
            },
            "requestId": "request-1", "routeKey": format!("POST {LOGIN}"), "stage": "$default",
            "time": "21/Sep/2026:14:13:20 +0000", "timeEpoch": 1_790_000_000_000_i64,
        },
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

/// Invokes `auth-login`; answers the status and the code of its problem, or nothing for a function error.
async fn login(app: &TestApp, event: &str) -> Option<(u64, String)> {
    let answer = app.invoke("auth-login", event).await.ok()?;
    let problem: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(problem["status"], answer["statusCode"], "{answer}");
    Some((answer["statusCode"].as_u64()?, problem["code"].as_str()?.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_whatever_the_host_and_the_proxies_wrote() {
    let Some(app) = TestApp::local().await else { return };
    let unknown = Some((401, "INVALID_CREDENTIALS".to_owned()));
    assert_eq!(login(&app, &event().to_string()).await, unknown);
    let cases = [
        ("/headers/host", json!("a b")),
        ("/headers/host", json!("")),
        ("/headers/host", json!("[::1")),
        ("/requestContext/domainName", json!("a b")),
        ("/headers/x-forwarded-proto", json!("")),
        ("/headers/x-forwarded-proto", json!("https,http")),
        ("/headers/x-forwarded-proto", json!("ht tp")),
        ("/requestContext/stage", json!("pro d")),
        ("/rawPath", json!("no-slash")),
        ("/rawPath", json!("/with space/\u{e9}")),
        ("/requestContext/http/sourceIp", json!("not an address")),
    ];
    for (pointer, value) in cases {
        let mut event = event();
        *event.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(login(&app, &event.to_string()).await, unknown, "{pointer} {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_is_a_problem_of_the_client() {
    let Some(app) = TestApp::local().await else { return };
    let cases = [
        vec![("/rawQueryString", json!("a=b c&d= "))],
        vec![("/rawQueryString", json!("a=\u{7f}\u{0}"))],
        vec![("/isBase64Encoded", json!(true)), ("/body", json!("*** no base64 ***"))],
        vec![("/isBase64Encoded", json!(true)), ("/body", json!("e30"))],
        vec![("/body", Value::Null)],
        vec![("/headers", json!({"content-type": "application/json", "b d": "x", "x": "a\nb"}))],
        vec![("/requestContext/http/method", json!("PO ST"))],
    ];
    for changes in cases {
        let mut event = event();
        for (pointer, value) in &changes {
            *event.pointer_mut(pointer).unwrap() = value.clone();
        }
        let answer = login(&app, &event.to_string()).await;
        assert!(matches!(answer, Some((400, _))), "{changes:?}: {answer:?}");
    }
    assert!(login(&app, &event().to_string()).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_another_kind_does_not_end_a_function() {
    let Some(app) = TestApp::local().await else { return };
    let functions = ["auth-login", "auth-register", "auth-me", "ops-health", "ops-fallback"];
    let functions = functions.into_iter().chain(["events-relay", "events-user-registered", "email-worker"]);
    for function in functions {
        for event in ["", "{}", "null", "[]", "no JSON", "{\"Records\": 1}", "{\"Records\": [{}]}", "\u{0}"] {
            match app.invoke(function, event).await {
                Err(message) => assert!(!message.contains("Panic"), "{function} {event:?}: {message}"),
                Ok(answer) => {
                    let status = answer["statusCode"].as_u64().unwrap_or_default();
                    assert!((200..500).contains(&status), "{function} {event:?}: {answer}");
                }
            }
        }
    }
    // All of them still work.
    let account = app.register().await;
    app.wait_for_mail(&account.email, crate::app::PATIENCE).await;
    assert_eq!(app.me(&app.login(&account).await.access).await.status, 200);
    assert_eq!(app.get("/health").await.status, 200);
    assert_eq!(app.get("/nothing").await.status, 404);
}
