//! An external directory is told of each account, however often it fails.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use local::Options;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::app::{
    Account, LOGOUT_ALL, ME, PASSWORD, PATIENCE, TestApp, USERS, VERIFY_EMAIL, eventually, new_correlation_id,
};
use crate::world::queue_url;

/// A directory, as somebody else would write it.
#[derive(Default)]
pub(crate) struct Directory {
    /// What it was told, in this order.
    told: Mutex<Vec<Told>>,
    /// How it answers from now on.
    mood: Mutex<Mood>,
    open: Notify,
}

struct Told {
    path: String,
    headers: HeaderMap,
    body: String,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Mood {
    #[default]
    Content,
    Failing,
    Missing,
    Redirecting,
    /// Says nothing until it is told to.
    Waiting,
}

impl Directory {
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let directory = Arc::new(Self::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/accounts", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&directory));
        tokio::spawn(axum::serve(listener, router).into_future());
        (directory, url)
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// What it was told of an account, in this order.
    pub(crate) fn told(&self, id: &str) -> Vec<Value> {
        let path = format!("/accounts/{id}");
        let told = self.told.lock().unwrap();
        told.iter()
            .filter(|told| told.path == path)
            .map(|told| serde_json::from_str(&told.body).unwrap())
            .collect()
    }
}

async fn answer(
    State(directory): State<Arc<Directory>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mood = *directory.mood.lock().unwrap();
    let told = Told { path: uri.path().to_owned(), headers, body };
    directory.told.lock().unwrap().push(told);
    match mood {
        Mood::Content => StatusCode::NO_CONTENT.into_response(),
        Mood::Failing => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"oh no")).into_response(),
        Mood::Missing => StatusCode::NOT_FOUND.into_response(),
        Mood::Redirecting => {
            let elsewhere = format!("{}/elsewhere", uri.path());
            (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, elsewhere)]).into_response()
        }
        Mood::Waiting => {
            directory.open.notified().await;
            StatusCode::OK.into_response()
        }
    }
}

/// A bundle with a directory. Its schedule runs when the test says so.
async fn start() -> Option<(TestApp, Arc<Directory>, String)> {
    let (directory, url) = Directory::start().await;
    let parameters = [("UserSyncUrl".to_owned(), url)].into();
    let held = vec!["sync-pending-users".to_owned()];
    let app = TestApp::with(Options { parameters, held, ..Options::default() }).await?;
    let admin = app.login(&app.register_admin().await).await.access;
    Some((app, directory, admin))
}

async fn run_schedule(app: &TestApp) {
    let event = json!({"scheduledTime": "2026-01-01T00:00:00Z"}).to_string();
    assert!(app.invoke("sync-pending-users", &event).await.is_ok());
}

async fn status(app: &TestApp, admin: &str, account: &Account) -> String {
    let user = app.get_as(admin, &format!("{USERS}/{}", account.id)).await.json();
    user["syncStatus"].as_str().unwrap().to_owned()
}

async fn becomes(app: &TestApp, admin: &str, account: &Account, expected: &str) {
    let look = async || (status(app, admin, account).await == expected).then_some(());
    eventually(expected, PATIENCE, look).await;
}

/// The item of an account.
async fn item(app: &TestApp, id: &str) -> HashMap<String, aws_sdk_dynamodb::types::AttributeValue> {
    let id = aws_sdk_dynamodb::types::AttributeValue::S(id.to_owned());
    let get = app.aws().dynamodb().get_item().table_name("UsersTable").key("id", id).consistent_read(true);
    get.send().await.unwrap().item.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_told_once_signed_and_whole() {
    let Some((app, directory, admin)) = start().await else { return };
    let correlation_id = new_correlation_id();
    let account = app.register_as(&correlation_id).await;
    assert_eq!(status(&app, &admin, &account).await, "PENDING");
    run_schedule(&app).await;
    becomes(&app, &admin, &account, "SYNCED").await;
    let told = directory.told(&account.id);
    let at = told[0]["createdAt"].clone();
    assert_eq!(
        told,
        [json!({"id": account.id, "name": "Ada Lovelace", "email": account.email, "emailVerified": false,
            "roles": ["user"], "status": "ACTIVE", "version": 1, "createdAt": at, "updatedAt": at})]
    );
    // What is told is told: nothing more comes of the next runs.
    for _ in 0..3 {
        run_schedule(&app).await;
    }
    app.settle().await;
    assert_eq!(directory.told(&account.id).len(), 1);

    let secrets = app.aws().secrets();
    let secret = secrets.get_secret_value().secret_id("UserSyncSecret").send().await.unwrap();
    let secret: Value = serde_json::from_str(secret.secret_string().unwrap()).unwrap();
    let key = STANDARD.decode(secret["key"].as_str().unwrap()).unwrap();
    let told = directory.told.lock().unwrap();
    let told = told.iter().find(|told| told.path.ends_with(&account.id)).unwrap();
    let header = |name: &str| told.headers[name].to_str().unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), told.body).as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), signature);
    assert_eq!(header("x-correlation-id"), correlation_id);
    assert_eq!(header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_that_the_directory_should_know_is_told() {
    let Some((app, directory, admin)) = start().await else { return };
    let account = app.register().await;
    let token = async || app.login(&account).await.access;
    let path = format!("{USERS}/{}", account.id);
    let told = async |place: usize| {
        assert_eq!(status(&app, &admin, &account).await, "PENDING", "{place}");
        run_schedule(&app).await;
        becomes(&app, &admin, &account, "SYNCED").await;
        let told = directory.told(&account.id);
        assert_eq!(told.len(), place + 1);
        told[place].clone()
    };
    told(0).await;
    let answer = app.do_as(&token().await, Method::PATCH, ME, &json!({"name": "Ada King"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(told(1).await["name"], "Ada King");
    let link = app.token_in_mail(&account.email, "Welcome to Arcana!", 1).await;
    assert_eq!(app.post(VERIFY_EMAIL, &json!({"token": link})).await.status, 204);
    assert_eq!(told(2).await["emailVerified"], true);
    let roles = json!({"roles": ["user", "admin"]});
    let answer = app.do_as(&admin, Method::PUT, &format!("{path}/roles"), &roles).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["syncStatus"]), (200, &json!("PENDING")));
    assert_eq!(told(3).await["roles"], json!(["user", "admin"]));
    for (place, status) in [(4, "SUSPENDED"), (5, "ACTIVE")] {
        let answer =
            app.do_as(&admin, Method::PUT, &format!("{path}/status"), &json!({"status": status})).await;
        assert_eq!(answer.status, 200);
        assert_eq!(told(place).await["status"], status);
    }
    // What ends sessions is nothing to it.
    assert_eq!(app.send(app.as_user(&token().await, Method::POST, LOGOUT_ALL)).await.status, 204);
    assert_eq!(status(&app, &admin, &account).await, "SYNCED");
    let answer = app.do_as(&token().await, Method::DELETE, ME, &json!({"password": PASSWORD})).await;
    assert_eq!(answer.status, 204);
    assert!(!item(&app, &account.id).await.contains_key("ttl"), "it stays until it is told");
    run_schedule(&app).await;
    let look = async || item(&app, &account.id).await.get("ttl").cloned();
    eventually("the end of what was told", PATIENCE, look).await;
    let last = directory.told(&account.id).pop().unwrap();
    let mut members: Vec<&String> = last.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["createdAt", "deletedAt", "id", "updatedAt", "version"], "of whose it was, nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_fails_is_tried_again_later_each_time_until_it_does_not() {
    let Some((app, directory, admin)) = start().await else { return };
    let account = app.register().await;
    directory.is(Mood::Failing);
    for attempt in 1..=3 {
        if attempt == 2 {
            directory.is(Mood::Redirecting);
        }
        run_schedule(&app).await;
        let tried = async || (directory.told(&account.id).len() == attempt).then_some(());
        eventually("a try", PATIENCE, tried).await;
        let expected = attempt.to_string();
        let noted = async || item(&app, &account.id).await.get("syncAttempts")?.as_n().ok().cloned();
        let noted = async || noted().await.filter(|attempts| *attempts == expected);
        eventually("a count", PATIENCE, noted).await;
        assert_eq!(status(&app, &admin, &account).await, "FAILED");
        // Not before its time, and after it.
        let wait = 300 << (attempt - 1);
        app.advance_clock(wait - 60).await;
        run_schedule(&app).await;
        app.settle().await;
        assert_eq!(directory.told(&account.id).len(), attempt);
        app.advance_clock(61).await;
    }
    assert!(!directory.told.lock().unwrap().iter().any(|told| told.path.ends_with("elsewhere")));
    directory.is(Mood::Content);
    run_schedule(&app).await;
    becomes(&app, &admin, &account, "SYNCED").await;
    assert!(!item(&app, &account.id).await.contains_key("syncAttempts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_changes_while_the_directory_is_told_is_told_again() {
    let Some((app, directory, admin)) = start().await else { return };
    let account = app.register().await;
    let token = app.login(&account).await.access;
    directory.is(Mood::Waiting);
    run_schedule(&app).await;
    eventually("a request", PATIENCE, async || (directory.told(&account.id).len() == 1).then_some(())).await;
    let answer = app.do_as(&token, Method::PATCH, ME, &json!({"name": "Ada King"})).await;
    assert_eq!(answer.status, 200);
    // Nobody else tells it meanwhile.
    run_schedule(&app).await;
    directory.is(Mood::Content);
    directory.open.notify_one();
    app.settle().await;
    assert_eq!(directory.told(&account.id).len(), 1);
    assert_eq!(status(&app, &admin, &account).await, "PENDING", "what was told is not what is");
    app.advance_clock(61).await;
    run_schedule(&app).await;
    becomes(&app, &admin, &account, "SYNCED").await;
    let told = directory.told(&account.id);
    assert_eq!((told.len(), &told[1]["name"]), (2, &json!("Ada King")));
    assert!(told[1]["version"].as_u64() > told[0]["version"].as_u64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_says_nothing_is_given_up_after_ten_seconds() {
    let Some((app, directory, admin)) = start().await else { return };
    let account = app.register().await;
    directory.is(Mood::Waiting);
    let started = std::time::Instant::now();
    run_schedule(&app).await;
    becomes(&app, &admin, &account, "FAILED").await;
    assert!((9..30).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_again_or_is_lost_is_told_once() {
    let Some((app, directory, admin)) = start().await else { return };
    let accounts = [app.register().await, app.register().await, app.register().await];
    // Schedules beside each other, as after a late one.
    let runs =
        (0..5).map(|_| app.invoke("sync-pending-users", r#"{"scheduledTime": "2026-01-01T00:00:00Z"}"#));
    assert!(futures_util::future::join_all(runs).await.iter().all(Result::is_ok));
    for account in &accounts {
        becomes(&app, &admin, account, "SYNCED").await;
    }
    app.settle().await;
    for account in &accounts {
        assert_eq!(directory.told(&account.id).len(), 1);
    }
    // A job that is lost on its way is made anew, and comes too late then.
    let account = app.register().await;
    let sqs = app.aws().sqs();
    let url = queue_url(&sqs, "UserSyncQueue").await;
    let due = item(&app, &account.id).await["syncDue"].as_s().unwrap().clone();
    let job = json!({"id": uuid::Uuid::new_v4(), "job": "user-sync", "correlationId": "c-1",
        "data": {"userId": account.id, "due": due}});
    for _ in 0..5 {
        sqs.send_message().queue_url(&url).message_body(job.to_string()).send().await.unwrap();
    }
    becomes(&app, &admin, &account, "SYNCED").await;
    app.settle().await;
    assert_eq!(directory.told(&account.id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_told_until_the_directory_takes_it() {
    let Some((app, directory, admin)) = start().await else { return };
    let account = app.register().await;
    run_schedule(&app).await;
    becomes(&app, &admin, &account, "SYNCED").await;
    directory.is(Mood::Missing);
    let token = app.login(&account).await.access;
    assert_eq!(app.do_as(&token, Method::DELETE, ME, &json!({"password": PASSWORD})).await.status, 204);
    run_schedule(&app).await;
    let failed = async || item(&app, &account.id).await.contains_key("syncAttempts").then_some(());
    eventually("a failure", PATIENCE, failed).await;
    // Whoever says that it knows nothing of it may only be out of order.
    assert!(!item(&app, &account.id).await.contains_key("ttl"));
    directory.is(Mood::Content);
    app.advance_clock(301).await;
    run_schedule(&app).await;
    let look = async || item(&app, &account.id).await.get("ttl").cloned();
    eventually("the end of what was told", PATIENCE, look).await;
    assert!(directory.told(&account.id).last().unwrap()["deletedAt"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_after_a_failure_does_not_wait_for_the_next_try() {
    let Some((app, directory, admin)) = start().await else { return };
    let account = app.register().await;
    directory.is(Mood::Failing);
    run_schedule(&app).await;
    becomes(&app, &admin, &account, "FAILED").await;
    directory.is(Mood::Content);
    let token = app.login(&account).await.access;
    assert_eq!(app.do_as(&token, Method::PATCH, ME, &json!({"name": "Ada King"})).await.status, 200);
    run_schedule(&app).await;
    becomes(&app, &admin, &account, "SYNCED").await;
    assert_eq!(directory.told(&account.id).last().unwrap()["name"], "Ada King");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_correlation_id_is_none_is_set_aside_and_harms_no_account() {
    let Some((app, directory, admin)) = start().await else { return };
    let account = app.register().await;
    let due = item(&app, &account.id).await["syncDue"].as_s().unwrap().clone();
    let job = json!({"id": uuid::Uuid::new_v4(), "job": "user-sync", "correlationId": "a\r\nEvil: 1",
        "data": {"userId": account.id, "due": due}});
    let sqs = app.aws().sqs();
    sqs.send_message()
        .queue_url(queue_url(&sqs, "UserSyncQueue").await)
        .message_body(job.to_string())
        .send()
        .await
        .unwrap();
    let dead = queue_url(&sqs, "UserSyncDlq").await;
    let aside = async || {
        let receive = sqs.receive_message().queue_url(&dead).wait_time_seconds(1);
        receive.send().await.unwrap().messages.and_then(|mut messages| messages.pop())
    };
    eventually("a message set aside", PATIENCE, aside).await;
    run_schedule(&app).await;
    becomes(&app, &admin, &account, "SYNCED").await;
    assert_eq!(directory.told(&account.id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_account_is_told_anew_by_one_command() {
    let Some((app, directory, admin)) = start().await else { return };
    let accounts = futures_util::future::join_all((0..60).map(|_| app.register())).await;
    run_schedule(&app).await;
    for account in &accounts {
        becomes(&app, &admin, account, "SYNCED").await;
    }
    let done = app.invoke("sync-all-users", "{}").await.unwrap();
    // The admin is one that it has not been told of since it was made one.
    assert!((60..=61).contains(&done["accounts"].as_u64().unwrap()) && done["next"].is_null(), "{done}");
    assert_eq!(status(&app, &admin, &accounts[0]).await, "PENDING");
    run_schedule(&app).await;
    for account in &accounts {
        becomes(&app, &admin, account, "SYNCED").await;
        assert_eq!(directory.told(&account.id).len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_there_is_no_directory_any_more_one_command_says_so_of_all() {
    let state = tempfile::tempdir().unwrap();
    let state = local_aws::State::Directory(state.path().to_owned());
    let (directory, url) = Directory::start().await;
    directory.is(Mood::Failing);
    let parameters = [("UserSyncUrl".to_owned(), url)].into();
    let held = vec!["sync-pending-users".to_owned()];
    let options = Options { state: state.clone(), parameters, held, ..Options::default() };
    let Some(app) = TestApp::embedded_with(options).await else { return };
    let (admin, kept, failed, gone) =
        (app.register_admin().await, app.register().await, app.register().await, app.register().await);
    let token = app.login(&gone).await.access;
    assert_eq!(app.do_as(&token, Method::DELETE, ME, &json!({"password": PASSWORD})).await.status, 204);
    run_schedule(&app).await;
    let token = app.login(&admin).await.access;
    becomes(&app, &token, &failed, "FAILED").await;
    app.stop().await;

    let app = TestApp::embedded_with(Options { state, ..Options::default() }).await.unwrap();
    let token = app.login(&admin).await.access;
    assert_eq!(app.invoke("sync-all-users", "{}").await.unwrap(), json!({"accounts": 4, "next": null}));
    for account in [&kept, &failed] {
        assert_eq!(status(&app, &token, account).await, "SYNCED");
    }
    assert!(item(&app, &gone.id).await.contains_key("ttl"), "whoever is gone goes");
    assert_eq!(app.invoke("sync-all-users", "{}").await.unwrap(), json!({"accounts": 0, "next": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_directory_accounts_are_synced_and_nothing_runs() {
    let Some(app) = TestApp::local().await else { return };
    let admin = app.login(&app.register_admin().await).await.access;
    let account = app.register().await;
    assert_eq!(status(&app, &admin, &account).await, "SYNCED");
    app.advance_clock(900).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let receipts = app.aws().dynamodb().scan().table_name("ReceiptsTable").send().await.unwrap();
    let ran = |item: &HashMap<String, _>| {
        let id: &aws_sdk_dynamodb::types::AttributeValue = &item["id"];
        id.as_s().unwrap().starts_with("sync-pending-users#")
    };
    assert!(!receipts.items().iter().any(ran), "the schedule is off");
}
