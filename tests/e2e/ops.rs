//! Health, what the API says of itself, what no route takes, CORS, and what every answer carries.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, IF_NONE_MATCH, ORIGIN};
use serde_json::json;

use crate::app::{Answer, LOGIN, ME, REGISTER, TestApp, new_account, new_address};
use crate::world::queue_url;

const ORIGIN_OF_A_PAGE: &str = "https://app.example.com";

/// The members of a comma-separated header.
fn list<'a>(answer: &'a Answer, header: &str) -> BTreeSet<&'a str> {
    answer.header(header).unwrap_or_default().split(',').map(str::trim).collect()
}

async fn preflight(app: &TestApp, path: &str, origin: &str) -> Answer {
    let request = app.request(Method::OPTIONS, path).header(ORIGIN, origin);
    let request = request.header("access-control-request-method", "POST");
    app.send(request.header("access-control-request-headers", "authorization,content-type")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_version_and_commit() {
    let app = TestApp::start().await;
    let answer = app.get("/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let health = answer.json();
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert!(health["commit"].as_str().is_some_and(|commit| !commit.is_empty()), "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_the_commit_that_was_deployed() {
    let Some(app) = TestApp::with_parameter("Commit", "0123abc").await else { return };
    assert_eq!(app.get("/health").await.json()["commit"], "0123abc");
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_tells_that_everything_answers() {
    let app = TestApp::start().await;
    let answer = app.get("/health/ready").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"status": "ready"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_tells_that_something_is_away_and_not_what() {
    let Some(app) = TestApp::local().await else { return };
    let sqs = app.aws().sqs();
    let url = queue_url(&sqs, "EmailsQueue").await;
    sqs.delete_queue().queue_url(url).send().await.unwrap();
    let answer = app.get("/health/ready").await;
    answer.problem(503, "UNAVAILABLE");
    assert!(answer.header("retry-after").is_some());
    assert!(!answer.body.to_lowercase().contains("queue"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_and_not_sent_again_to_who_has_it() {
    let app = TestApp::start().await;
    for (path, content_type) in
        [("/api/v1/openapi.json", "application/json"), ("/docs", "text/html; charset=utf-8")]
    {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
        let etag = answer.header("etag").unwrap();
        let again = app.send(app.request(Method::GET, path).header(IF_NONE_MATCH, etag)).await;
        assert_eq!((again.status.as_u16(), again.body.as_str(), again.header("etag")), (304, "", Some(etag)));
        let other = app.send(app.request(Method::GET, path).header(IF_NONE_MATCH, "\"other\"")).await;
        assert_eq!((other.status.as_u16(), other.body), (200, answer.body));
    }
    assert_eq!(app.get("/api/v1/openapi.json").await.json()["openapi"], "3.1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_document_runs_nothing_and_asks_nobody() {
    let app = TestApp::start().await;
    let page = app.get("/docs").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(page.body.contains("POST") && page.body.contains("/api/v1/auth/register"));
    for word in ["<script", "=\"http", "='http", "url(", "@import", "src=", " style="] {
        assert!(!page.body.contains(word), "the page has {word:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fallback_answers_an_unknown_path_with_404() {
    let app = TestApp::start().await;
    for path in ["/", "/nothing", "/api/v1", "/api/v1/auth/login/", "/api/v1/AUTH/login", "/api/v2/auth/me"] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let problem = app.send(app.request(method, path)).await.problem(404, "NOT_FOUND");
            assert_eq!(problem["detail"], "Route not found");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fallback_answers_an_unknown_method_with_405() {
    let app = TestApp::start().await;
    let routes = [
        (REGISTER, vec!["POST"]),
        (LOGIN, vec!["POST"]),
        (ME, vec!["DELETE", "GET", "PATCH"]),
        ("/health", vec!["GET"]),
    ];
    for (path, allowed) in routes {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if allowed.contains(&method.as_str()) {
                continue;
            }
            let answer = app.send(app.request(method, path).json(&json!({}))).await;
            answer.problem(405, "METHOD_NOT_ALLOWED");
            assert_eq!(list(&answer, "allow"), allowed.iter().copied().collect(), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_of_any_path_is_answered() {
    let app = TestApp::start().await;
    for path in [REGISTER, ME, "/health", "/", "/nothing/at/all"] {
        let answer = preflight(&app, path, ORIGIN_OF_A_PAGE).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            list(&answer, "access-control-allow-methods"),
            ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"].into()
        );
        let headers = "authorization content-type idempotency-key if-match if-none-match x-correlation-id \
                       x-grpc-web x-user-agent grpc-timeout connect-protocol-version connect-timeout-ms";
        assert_eq!(list(&answer, "access-control-allow-headers"), headers.split_whitespace().collect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_another_origin_exposes_its_headers() {
    let app = TestApp::start().await;
    let exposed = "etag location retry-after www-authenticate x-request-id idempotency-replayed \
                   x-result-incomplete grpc-status grpc-message grpc-status-details-bin";
    for path in ["/health", ME, "/nothing"] {
        let answer = app.send(app.request(Method::GET, path).header(ORIGIN, ORIGIN_OF_A_PAGE)).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_eq!(list(&answer, "access-control-expose-headers"), exposed.split_whitespace().collect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_not_allowed_gets_no_cors_headers() {
    let Some(app) = TestApp::with_parameter("AllowedOrigins", ORIGIN_OF_A_PAGE).await else { return };
    let is_cors =
        |answer: &Answer| answer.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
    for origin in
        ["https://evil.example.com", "https://app.example.com.evil.com", "http://app.example.com", "null"]
    {
        assert!(!is_cors(&preflight(&app, LOGIN, origin).await), "{origin}");
        let answer = app.send(app.request(Method::GET, "/health").header(ORIGIN, origin)).await;
        assert!(!is_cors(&answer), "{origin}");
    }
    let answer = preflight(&app, LOGIN, ORIGIN_OF_A_PAGE).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN_OF_A_PAGE));
}

/// [`TestApp::send`] holds every answer to it; this makes sure that one of each status was seen.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id_and_is_not_sniffed_or_stored() {
    let app = TestApp::start().await;
    let account = app.register().await;
    let token = app.login(&account).await.access;
    let body = new_account(&new_address());
    let plain = app.request(Method::POST, REGISTER).header(CONTENT_TYPE, "text/plain").body("text");
    let answers = [
        (200, app.get("/health").await),
        (200, app.me(&token).await),
        (201, app.post(REGISTER, &body).await),
        (204, preflight(&app, LOGIN, ORIGIN_OF_A_PAGE).await),
        (400, app.post_bytes(LOGIN, "{").await),
        (401, app.get(ME).await),
        (404, app.get("/nothing").await),
        (405, app.get(LOGIN).await),
        (409, app.post(REGISTER, &body).await),
        (413, app.post_bytes(LOGIN, " ".repeat(300_000)).await),
        (415, app.send(plain).await),
        (422, app.post(LOGIN, &json!({})).await),
    ];
    let mut ids = BTreeSet::new();
    for (status, answer) in &answers {
        assert_eq!(answer.status, *status, "{}", answer.body);
        ids.insert(answer.header("x-request-id").unwrap());
    }
    assert_eq!(ids.len(), answers.len(), "each request has an id of its own");
}
