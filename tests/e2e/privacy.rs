//! What no log line may hold.

use reqwest::Method;
use serde_json::json;

use crate::app::{
    CHANGE_PASSWORD, FILES, FORGOT_PASSWORD, LOGIN, LOGOUT, LOGOUT_ALL, ME, PASSWORD, PATIENCE, REGISTER,
    RESEND, RESET_PASSWORD, SESSIONS, TestApp, USERS, VERIFY_EMAIL, eventually,
};
use crate::documents::pdf;
use crate::drive::{Upload, path};
use crate::local_bundle::Program;

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_holds_a_secret_a_password_a_token_or_an_address() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let program = Program::start_logged(&log).await;
    let app = &program.app;
    let canaries = walk(app).await;
    app.settle().await;
    program.kill().await;

    let logged = std::fs::read_to_string(&log).unwrap();
    for line in ["request", "relayed", "message"] {
        assert!(logged.contains(line), "no line says {line}: nothing was looked at");
    }
    for (what, canary) in canaries {
        assert!(canary.len() >= 8, "{what} is no canary: {canary:?}");
        let found = logged.lines().find(|line| line.contains(&canary));
        assert_eq!(found, None, "{what} is in a log line");
    }
}

/// Everything there is, well and badly done; answers what must not be in any log.
async fn walk(app: &TestApp) -> Vec<(&'static str, String)> {
    let admin = app.register_admin().await;
    let account = app.register().await;
    let wrong = "Canary-Wrong-Password-1";
    let new = "Canary-New-Password-1";
    let mut canaries = vec![
        ("an address", account.email.clone()),
        ("an admin's address", admin.email.clone()),
        ("a password", PASSWORD.to_owned()),
        ("a wrong password", wrong.to_owned()),
        ("a new password", new.to_owned()),
    ];
    let tokens = app.login(&account).await;
    let admin = app.login(&admin).await;
    for (status, path, body) in [
        (409, REGISTER, json!({"name": "A", "email": account.email, "password": PASSWORD})),
        (400, REGISTER, json!({"name": 1, "email": account.email, "password": wrong})),
        (401, LOGIN, json!({"email": account.email, "password": wrong})),
        (422, LOGIN, json!({"email": account.email, "password": wrong, "more": PASSWORD})),
        (400, VERIFY_EMAIL, json!({"token": "canary-of-a-link"})),
        (400, RESET_PASSWORD, json!({"token": "canary-of-a-link", "newPassword": new})),
        (204, LOGOUT, json!({"refreshToken": "canary-of-a-refresh-token"})),
    ] {
        assert_eq!(app.post(path, &body).await.status, status, "{path}");
    }
    app.post_bytes(LOGIN, format!("{{\"email\": \"{}\", \"password\": \"{wrong}\"", account.email)).await;
    app.me("canary-of-an-access-token").await;
    app.get_as(&tokens.access, SESSIONS).await;
    app.do_as(&tokens.access, Method::PATCH, ME, &json!({"name": "Another Name"})).await;
    app.do_as(&tokens.access, Method::POST, RESEND, &json!({})).await;
    app.get_as(&admin.access, &format!("{USERS}/{}", account.id)).await;
    app.get_as(&tokens.access, USERS).await;
    let refreshed = app.refresh(&tokens.refresh).await;
    app.post(FORGOT_PASSWORD, &json!({"email": account.email})).await;
    let link = app.token_in_mail(&account.email, "Password Reset Request", 1).await;
    app.post(RESET_PASSWORD, &json!({"token": link, "newPassword": "short"})).await;
    let body = json!({"currentPassword": wrong, "newPassword": new});
    app.do_as(&refreshed.access, Method::POST, CHANGE_PASSWORD, &body).await;
    assert_eq!(app.post(RESET_PASSWORD, &json!({"token": link, "newPassword": new})).await.status, 204);
    app.do_as(&admin.access, Method::POST, LOGOUT_ALL, &json!({})).await;
    let owner = app.login(&app.register().await).await.access;
    canaries.extend(upload(app, &owner).await);
    // Jobs and events that cannot be handled.
    for function in
        ["email-worker", "files-finalize", "events-user-registered", "events-relay", "users-grant-role"]
    {
        let body = format!("{{\"email\": \"{}\", \"password\": \"{wrong}\"}}", account.email);
        let record = json!({"messageId": "m", "receiptHandle": "h", "body": body, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:EmailsQueue",
            "attributes": {"ApproximateReceiveCount": "1"}});
        let _ = app.invoke(function, &json!({"Records": [record]}).to_string()).await;
        let _ = app.invoke(function, &body).await;
    }
    for token in ["canary-of-a-link", "canary-of-a-refresh-token", "canary-of-an-access-token"] {
        canaries.push(("a made-up token", token.to_owned()));
    }
    for (what, token) in [
        ("an access token", &tokens.access),
        ("a refresh token", &tokens.refresh),
        ("a refreshed access token", &refreshed.access),
        ("a refreshed token", &refreshed.refresh),
        ("a link", &link),
    ] {
        // Its last part is what makes it worth something.
        canaries.push((what, token.rsplit('.').next().unwrap().to_owned()));
    }
    canaries
}

/// A file that comes as it should, with what lets whoever has it read or write it.
async fn upload(app: &TestApp, token: &str) -> Vec<(&'static str, String)> {
    let name = "canary-of-a-filename.pdf";
    let bytes = pdf(100);
    let created =
        app.do_as(token, Method::POST, FILES, &json!({"filename": name, "size": bytes.len()})).await.json();
    let upload = Upload::of(&created);
    let client = reqwest::Client::new();
    let refused =
        client.put(&upload.url).headers(upload.headers.clone()).body("too short").send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let put = client.put(&upload.url).headers(upload.headers).body(bytes).send().await.unwrap();
    assert_eq!(put.status(), 200);
    let look = async || {
        let file = app.get_as(token, &path(&created)).await.json();
        (file["status"] == "ACTIVE").then_some(())
    };
    eventually("an active file", PATIENCE, look).await;
    let download = app.get_as(token, &format!("{}/download", path(&created))).await.json();
    let download = download["downloadUrl"].as_str().unwrap();
    assert_eq!(client.get(download).send().await.unwrap().status(), 200);
    let signature = |url: &str| url.split_once("X-Amz-Signature=").unwrap().1.to_owned();
    vec![
        ("a filename", name.to_owned()),
        ("an upload's signature", signature(&upload.url)),
        ("a download's signature", signature(download)),
    ]
}
