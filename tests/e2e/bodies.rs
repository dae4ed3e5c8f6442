//! Bodies that are not what a JSON endpoint takes: always a problem document, never a 5xx.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::app::{LOGIN, PASSWORD, REGISTER, TestApp, new_account, new_address};

/// The most bytes that a body may have.
const LIMIT: usize = 256 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_one_json_object_is_malformed() {
    let app = TestApp::start().await;
    let bodies = [
        String::new(),
        " \n".to_owned(),
        "{".to_owned(),
        "{\"name\": \"Ada\",}".to_owned(),
        "{'name': 'Ada'}".to_owned(),
        "{\"name\": NaN}".to_owned(),
        "{} {}".to_owned(),
        "name=Ada".to_owned(),
        "\u{feff}{}".to_owned(),
        // Duplicate keys, in clear and in disguise.
        "{\"name\": \"Ada\", \"name\": \"Eve\"}".to_owned(),
        "{\"name\": \"Ada\", \"n\\u0061me\": \"Eve\"}".to_owned(),
        // A raw control character.
        "{\"name\": \"A\u{0}da\"}".to_owned(),
        "[".repeat(LIMIT),
    ];
    for body in bodies {
        for path in [REGISTER, LOGIN] {
            let answer = app.post_bytes(path, body.clone()).await;
            let start: String = body.chars().take(40).collect();
            assert_eq!(answer.status, 400, "{path} {start:?}: {}", answer.body);
            answer.problem(400, "MALFORMED_JSON");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_surrogate_is_malformed() {
    let app = TestApp::start().await;
    for string in ["\\ud800", "\\udc00", "\\ud800x", "\\ud800\\u0041", "\\udfff\\ud800"] {
        for body in [format!("{{\"name\": \"{string}\"}}"), format!("{{\"{string}\": 1}}")] {
            app.post_bytes(REGISTER, body).await.problem(400, "MALFORMED_JSON");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deeply_nested_body_is_refused() {
    let app = TestApp::start().await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for place in ["name", "unknown"] {
            let depth = LIMIT / (open.len() + close.len()) - 16;
            let body = format!("{{\"{place}\":{}1{}}}", open.repeat(depth), close.repeat(depth));
            let answer = app.post_bytes(REGISTER, body).await;
            assert!([400, 422].contains(&answer.status.as_u16()), "{}", answer.body);
        }
    }
    // The function lives on.
    assert_eq!(app.post(REGISTER, &new_account(&new_address())).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_utf_8_is_malformed() {
    let app = TestApp::start().await;
    for bytes in [&b"{\"name\": \"\xff\"}"[..], b"\xff\xfe{\0}\0", b"{\"name\": \"\xed\xa0\x80\"}"] {
        app.post_bytes(REGISTER, bytes).await.problem(400, "MALFORMED_JSON");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_content_is_malformed_whatever_its_type() {
    let app = TestApp::start().await;
    app.send(app.request(Method::POST, LOGIN)).await.problem(400, "MALFORMED_JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_wrong_type_is_named() {
    let app = TestApp::start().await;
    let answer = app.post(REGISTER, &json!({"name": 1, "email": ["a@example.com"], "password": null})).await;
    answer.problem(400, "INVALID_TYPE");
    let faults = answer.faults();
    let places: Vec<&str> = faults.iter().filter_map(|fault| fault.split(' ').next()).collect();
    assert_eq!(places, ["/name", "/email", "/password"]);
    for body in [json!([]), json!("text"), json!(1), json!(null), json!(true)] {
        app.post(LOGIN, &body).await.problem(400, "INVALID_TYPE");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_character_in_a_name_is_refused() {
    let app = TestApp::start().await;
    for name in ["A\u{0}da", "Ada\r\nBcc: eve@example.com", "Ada\nLovelace", "A\u{7f}da", "A\u{85}da"] {
        let answer =
            app.post(REGISTER, &json!({"name": name, "email": new_address(), "password": PASSWORD})).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), ["/name INVALID_FORMAT"], "{name:?}");
    }
    for email in ["a\u{0}@example.com", "a@example.com\r\nBcc: eve@example.com"] {
        let answer = app.post(REGISTER, &new_account(email)).await;
        answer.problem(422, "VALIDATION_FAILED");
        assert_eq!(answer.faults(), ["/email INVALID_FORMAT"], "{email:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_content_type_is_refused() {
    let app = TestApp::start().await;
    let body = new_account(&new_address()).to_string();
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application", ""]
    {
        let request = app.request(Method::POST, REGISTER).header(CONTENT_TYPE, content_type);
        app.send(request.body(body.clone())).await.problem(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    app.send(app.request(Method::POST, REGISTER).body(body.clone()))
        .await
        .problem(415, "UNSUPPORTED_MEDIA_TYPE");
    let request = app.request(Method::POST, REGISTER).header(CONTENT_TYPE, "Application/JSON; charset=utf-8");
    assert_eq!(app.send(request.body(body)).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_256_kib_is_refused() {
    let app = TestApp::start().await;
    let account = new_account(&new_address()).to_string();
    let padded = |length: usize| format!("{account}{}", " ".repeat(length - account.len()));
    app.post_bytes(REGISTER, padded(LIMIT + 1)).await.problem(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(app.post_bytes(REGISTER, padded(LIMIT)).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_does_not_tell_what_the_server_is_made_of() {
    let app = TestApp::start().await;
    for body in [
        "{\"name\": 1e999}",
        "{}",
        "{\"name\": 1}",
        "{\"name\": tru}",
        "{\"name\": \"\\ud800\"}",
        "{\"a\":1,\"a\":2}",
    ] {
        let answer = app.post_bytes(REGISTER, body).await;
        assert!(answer.status.is_client_error(), "{body}: {}", answer.body);
        let text = answer.body.to_lowercase();
        for word in ["serde", "rust", "panick", "src/", "struct", "dynamo", "pointer("] {
            assert!(!text.contains(word), "{word}: {}", answer.body);
        }
        assert_ne!(answer.json()["requestId"], Value::Null);
    }
}
