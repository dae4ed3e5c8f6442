//! From a committed change to the mail that follows from it.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::Message;
use local::Options;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{
    LOGIN, NAME, PASSWORD, PATIENCE, REGISTER, TestApp, eventually, is_time, members, new_account,
    new_address, new_correlation_id,
};
use crate::world::queue_url;

/// The event with which SQS invokes a function: one record for each body.
fn batch(bodies: &[&str]) -> String {
    let record = |(place, body): (usize, &&str)| {
        json!({
            "messageId": format!("message-{place}"),
            "receiptHandle": format!("handle-{place}"),
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": "1790000000000", "SenderId": "test",
                "ApproximateFirstReceiveTimestamp": "1790000000001",
            },
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:EmailsQueue",
            "awsRegion": "us-east-1",
        })
    };
    let records: Vec<Value> = bodies.iter().enumerate().map(record).collect();
    json!({"Records": records}).to_string()
}

/// A welcome job of its own.
fn welcome(email: &str) -> String {
    json!({
        "id": uuid::Uuid::new_v4().to_string(),
        "job": "welcome",
        "data": {"userId": uuid::Uuid::new_v4().to_string(), "email": email, "name": NAME},
        "correlationId": new_correlation_id(),
    })
    .to_string()
}

/// The next message of a queue, with all its attributes. It is not deleted.
async fn receive(app: &TestApp, queue: &str) -> Message {
    let sqs = app.aws().sqs();
    let url = queue_url(&sqs, queue).await;
    let receive = sqs.receive_message().queue_url(url).message_attribute_names("All");
    let look = async || receive.clone().send().await.unwrap().messages?.into_iter().next();
    eventually("message", PATIENCE, look).await
}

async fn send(app: &TestApp, queue: &str, body: &str) {
    let sqs = app.aws().sqs();
    let url = queue_url(&sqs, queue).await;
    sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_welcome_mail_is_there_within_two_seconds() {
    let Some(app) = TestApp::local().await else { return };
    app.settle().await;
    let account = app.register().await;
    let registered = Instant::now();
    app.wait_for_mail(&account.email, Duration::from_secs(2)).await;
    println!("the welcome mail took {:?}", registered.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_welcome_mail_greets_the_user() {
    let Some(app) = TestApp::local().await else { return };
    let email = new_address();
    let body = json!({"name": "Ada <b>& Co</b>", "email": email.to_uppercase(), "password": PASSWORD});
    assert_eq!(app.post(REGISTER, &body).await.status, 201);
    let mail = app.wait_for_mail(&email, PATIENCE).await;
    assert_eq!((&mail["to"], &mail["subject"]), (&json!(email), &json!("Welcome to Arcana!")));
    assert!(mail["text"].as_str().unwrap().contains("Ada <b>& Co</b>"), "{mail}");
    let html = mail["html"].as_str().unwrap();
    assert!(html.contains("Ada ") && html.contains("</html>") && !html.contains("<b>"), "{html}");
    assert!(!mail.to_string().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_says_what_was_sent_to_whom_and_when() {
    let Some(app) = TestApp::embedded().await else { return };
    let account = app.register().await;
    let mail = app.wait_for_mail(&account.email, PATIENCE).await;
    assert_eq!(members(&mail), ["html", "id", "sentAt", "subject", "text", "to"]);
    assert!(is_time(mail["sentAt"].as_str().unwrap()), "{mail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_raises_one_event_with_its_correlation_id() {
    let Some(app) = TestApp::local().await else { return };
    // The longest that is taken.
    let correlation_id = "Aa0-".repeat(16);
    let account = app.register_as(&correlation_id).await;
    let event = app.wait_for_event(&account, "auth.user_registered").await;
    assert_eq!((&event["source"], &event["detail-type"]), (&json!("arcana"), &json!("auth.user_registered")));
    let envelope = &event["detail"];
    let (id, timestamp) = (envelope["id"].as_str().unwrap(), envelope["timestamp"].as_str().unwrap());
    assert!(id.parse::<uuid::Uuid>().is_ok() && is_time(timestamp), "{envelope}");
    assert_eq!(
        *envelope,
        json!({
            "id": id,
            "type": "auth.user_registered",
            "data": {"userId": account.id, "email": account.email, "name": NAME},
            "timestamp": timestamp,
            "source": "arcana",
            "version": 1,
            "correlationId": correlation_id,
        })
    );
    app.settle().await;
    assert_eq!(app.events_of(&correlation_id).await, [event]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_correlation_id_is_replaced() {
    let Some(app) = TestApp::local().await else { return };
    for malformed in ["two words", "under_score", &"x".repeat(65), "a,b", ""] {
        let account = app.register_as(malformed).await;
        let event = app.wait_for_event(&account, "auth.user_registered").await;
        let id = event["detail"]["correlationId"].as_str().unwrap();
        assert_ne!(id, malformed);
        assert!((1..=64).contains(&id.len()), "{id}");
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_raises_an_event_and_so_does_a_failed_one_to_a_known_account() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let login = async |correlation_id: &str, password: &str| {
        let body = json!({"email": account.email, "password": password});
        let request = app.request(Method::POST, LOGIN).header("x-correlation-id", correlation_id);
        app.send(request.json(&body)).await.status.as_u16()
    };
    let (failed, successful) = (new_correlation_id(), new_correlation_id());
    assert_eq!(login(&failed, "Wrong-password-1").await, 401);
    assert_eq!(login(&successful, PASSWORD).await, 200);
    let event = app.wait_for_event(&account, "auth.login_success").await;
    let envelope = &event["detail"];
    assert_eq!(members(envelope), ["correlationId", "data", "id", "source", "timestamp", "type", "version"]);
    assert_eq!(envelope["data"], json!({"userId": account.id}));
    assert_eq!((&envelope["correlationId"], &envelope["source"]), (&json!(successful), &json!("arcana")));
    assert_eq!(event["detail-type"], envelope["type"]);
    let event = app.wait_for_event(&account, "auth.login_failed").await;
    assert_eq!(event["detail"]["data"], json!({"userId": account.id}), "and no address");
    assert_eq!(event["detail"]["correlationId"], failed.as_str());
    // The attempts are one stream: what an unknown account might have raised would stand before this.
    let unknown = new_correlation_id();
    let body = json!({"email": new_address(), "password": "Wrong-password-1"});
    let request = app.request(Method::POST, LOGIN).header("x-correlation-id", &unknown);
    assert_eq!(app.send(request.json(&body)).await.status, 401);
    let last = new_correlation_id();
    assert_eq!(login(&last, "Wrong-password-1").await, 401);
    eventually("the last event", PATIENCE, async || app.events_of(&last).await.into_iter().next()).await;
    assert_eq!(app.events_of(&unknown).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_registration_raises_no_event() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let refused = new_correlation_id();
    for (body, status) in [(new_account(&account.email), 409), (new_account("nobody"), 422)] {
        let request = app.request(Method::POST, REGISTER).header("x-correlation-id", &refused);
        assert_eq!(app.send(request.json(&body)).await.status, status);
    }
    app.settle().await;
    assert_eq!(app.events_of(&refused).await.len(), 0);
    assert_eq!(app.mails_to(&account.email).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_job_carries_the_correlation_id() {
    let held = vec!["email-worker".to_owned()];
    let Some(app) = TestApp::with(Options { held, ..Options::default() }).await else { return };
    let correlation_id = new_correlation_id();
    let account = app.register_as(&correlation_id).await;
    let job: Value = serde_json::from_str(receive(&app, "EmailsQueue").await.body().unwrap()).unwrap();
    assert_eq!(
        job,
        json!({
            "id": job["id"].as_str().unwrap(),
            "job": "welcome",
            "data": {"userId": account.id, "email": account.email, "name": NAME},
            "correlationId": correlation_id,
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_sends_no_second_mail() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    let event = app.wait_for_event(&account, "auth.user_registered").await.to_string();
    app.wait_for_mail(&account.email, PATIENCE).await;
    for _ in 0..3 {
        let answer = app.invoke("events-user-registered", &batch(&[&event])).await;
        assert_eq!(answer, Ok(json!({"batchItemFailures": []})));
    }
    app.settle().await;
    assert_eq!(app.mails_to(&account.email).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_again_sends_one_mail() {
    let Some(app) = TestApp::local().await else { return };
    let email = new_address();
    let event = batch(&[&welcome(&email)]);
    for _ in 0..5 {
        assert_eq!(app.invoke("email-worker", &event).await, Ok(json!({"batchItemFailures": []})));
    }
    assert_eq!(app.mails_to(&email).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_five_times_at_once_sends_one_mail() {
    let Some(app) = TestApp::local().await else { return };
    let email = new_address();
    let job = welcome(&email);
    let event = batch(&[&job, &job]);
    let answers = futures_util::future::join_all((0..5).map(|_| app.invoke("email-worker", &event))).await;
    // Whoever finds the work under way has the message come again.
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(app.mails_to(&email).await.len(), 1);
    assert_eq!(app.invoke("email-worker", &batch(&[&job])).await, Ok(json!({"batchItemFailures": []})));
    assert_eq!(app.mails_to(&email).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_does_not_hold_up_its_batch() {
    let Some(app) = TestApp::local().await else { return };
    let (one, two) = (new_address(), new_address());
    let unknown = welcome(&new_address()).replace("\"welcome\"", "\"unknown\"");
    let event = batch(&[&welcome(&one), "no JSON", &unknown, &welcome(&two)]);
    // They are where they belong already: nothing is to come again.
    assert_eq!(app.invoke("email-worker", &event).await, Ok(json!({"batchItemFailures": []})));
    for email in [one, two] {
        assert_eq!(app.mails_to(&email).await.len(), 1);
    }
    let aside = [receive(&app, "EmailsDlq").await, receive(&app, "EmailsDlq").await];
    let mut bodies = aside.each_ref().map(|message| message.body().unwrap());
    bodies.sort_unstable();
    assert_eq!(bodies, ["no JSON", &unknown]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_job_is_in_the_dead_letter_queue_at_once_and_says_why() {
    let Some(app) = TestApp::local().await else { return };
    for (body, reason) in [
        (json!({"id": uuid::Uuid::new_v4().to_string(), "job": "unknown"}).to_string(), "not of the form"),
        (json!({"job": "welcome"}).to_string(), "not of the form"),
        ("{".to_owned(), "no JSON"),
    ] {
        send(&app, "EmailsQueue", &body).await;
        let message = receive(&app, "EmailsDlq").await;
        assert_eq!(message.body(), Some(&*body));
        // What its tries have brought here has no reason.
        let said = message.message_attributes().unwrap()["reason"].string_value().unwrap();
        assert!(said.starts_with(reason) && !said.contains("unknown"), "{said}");
    }
    // What comes after it is not held up.
    app.settle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_takes_no_event_of_another_type() {
    let Some(app) = TestApp::local().await else { return };
    let account = app.register().await;
    app.wait_for_mail(&account.email, PATIENCE).await;
    let token = app.login(&account).await.access;
    let event = app.wait_for_event(&account, "auth.user_registered").await.to_string();
    for consumer in
        ["UserDeleted", "PasswordChanged", "TokenReuse", "VerificationRequested", "PasswordResetRequested"]
    {
        send(&app, &format!("{consumer}Queue"), &event).await;
        let aside = receive(&app, &format!("{consumer}Dlq")).await;
        let reason = aside.message_attributes().unwrap()["reason"].string_value().unwrap();
        assert_eq!(reason, "a rule sent auth.user_registered here");
    }
    app.settle().await;
    assert_eq!(app.me(&token).await.status, 200, "nothing of the account was removed");
    assert_eq!(app.mails_to(&account.email).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_cannot_be_sent_is_tried_again_after_1_and_2_seconds() {
    // An address that SES refuses, and the template's pattern does not.
    let Some(app) = TestApp::with_parameter("MailFrom", "no,body@example.com").await else { return };
    let account = app.register().await;
    let registered = Instant::now();
    let message = receive(&app, "EmailsDlq").await;
    assert!(message.body().unwrap().contains(&account.email));
    // Three attempts are over after 3 s. The rest is for a slow machine.
    assert!(registered.elapsed() < Duration::from_secs(20), "{:?}", registered.elapsed());
}
