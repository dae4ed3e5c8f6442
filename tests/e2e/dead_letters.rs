//! What could not be handled is looked at and put back; what was told is told once more, and done once.

use aws_sdk_sqs::types::MessageAttributeValue;
use local::dead_letters::{DeadLetters, Redriven};
use serde_json::{Value, json};

use crate::app::{AUDIT, PATIENCE, TestApp, eventually, new_address};
use crate::world::{letters_at, queue_url};

/// The dead-letter queues behind a bundle of the test's own.
fn letters(app: &TestApp) -> DeadLetters {
    letters_at(app.bundle.as_ref().expect("a bundle of the test's own").aws_url())
}

async fn count(letters: &DeadLetters, queue: &str) -> i64 {
    let queues = letters.list().await.unwrap();
    queues.into_iter().find(|(name, _)| name == queue).expect("the queue").1
}

async fn put(app: &TestApp, queue: &str, body: String, attribute: (&str, &str)) {
    let sqs = app.aws().sqs();
    let url = queue_url(&sqs, queue).await;
    let value =
        MessageAttributeValue::builder().data_type("String").string_value(attribute.1).build().unwrap();
    let send = sqs.send_message().queue_url(url).message_body(body).message_attributes(attribute.0, value);
    send.send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_looked_at_and_put_back_to_its_queue() {
    let Some(app) = TestApp::embedded().await else { return };
    let letters = letters(&app);
    let email = new_address();
    let id = uuid::Uuid::new_v4();
    let job = json!({"id": id, "job": "welcome", "correlationId": "c-1",
        "data": {"userId": uuid::Uuid::new_v4(), "email": email, "name": "Ada"}});
    // As the runtime puts it aside: SQS knows no queue that it came from.
    put(&app, "EmailsDlq", job.to_string(), ("reason", "no JSON, at line 1, column 1")).await;
    assert_eq!(count(&letters, "EmailsDlq").await, 1);
    for _ in 0..2 {
        let shown = letters.show("EmailsDlq").await.unwrap();
        assert_eq!(shown.len(), 1, "it stays there");
        assert!(
            shown[0].contains("reason: no JSON, at line 1") && shown[0].contains(&id.to_string()),
            "{shown:?}"
        );
    }
    assert_eq!(letters.redrive("EmailsDlq", app.port()).await.unwrap(), Redriven { back: 1, left: 0 });
    app.wait_for_mail(&email, PATIENCE).await;
    assert_eq!(count(&letters, "EmailsDlq").await, 0);
    assert_eq!(letters.redrive("EmailsDlq", app.port()).await.unwrap(), Redriven::default());
    assert!(letters.redrive("NoSuchDlq", app.port()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_no_rule_could_deliver_is_put_back_on_the_bus_and_done_once() {
    let Some(app) = TestApp::embedded().await else { return };
    let letters = letters(&app);
    let account = app.register().await;
    app.wait_for_mail(&account.email, PATIENCE).await;
    let event = app.wait_for_event(&account, "auth.user_registered").await;
    let rule = "arn:aws:events:us-east-1:000000000000:rule/arcana-local-events/UserRegisteredRule";
    put(&app, "UndeliveredEventsDlq", "no event".to_owned(), ("RULE_ARN", rule)).await;
    put(&app, "UndeliveredEventsDlq", event.to_string(), ("RULE_ARN", rule)).await;
    assert_eq!(
        letters.redrive("UndeliveredEventsDlq", app.port()).await.unwrap(),
        Redriven { back: 1, left: 1 }
    );
    let again = async || (app.events_about(&account).await.len() == 2).then_some(());
    eventually("the event once more", PATIENCE, again).await;
    app.settle().await;
    assert_eq!(app.mails_to(&account.email).await.len(), 1);
    let shown =
        async || Some(letters.show("UndeliveredEventsDlq").await.unwrap()).filter(|shown| !shown.is_empty());
    let left = eventually("what is no event", PATIENCE, shown).await;
    assert!(left.len() == 1 && left[0].contains("no event"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_makes_up_for_what_was_missed_and_repeats_nothing() {
    let Some(app) = TestApp::local().await else { return };
    let admin = app.login(&app.register_admin().await).await.access;
    let account = app.register().await;
    app.wait_for_mail(&account.email, PATIENCE).await;
    let query = format!("{AUDIT}?userId={}", account.id);
    let records = async || -> Vec<Value> {
        let page = app.get_as(&admin, &query).await.json();
        page["data"].as_array().unwrap().clone()
    };
    let look = async || Some(records().await).filter(|records| records.len() == 1);
    let kept = eventually("a record", PATIENCE, look).await;
    // One consumer has missed it all, the other has not.
    let dynamodb = app.aws().dynamodb();
    let all = dynamodb.scan().table_name("AuditTable").send().await.unwrap();
    for record in all.items() {
        let delete = dynamodb.delete_item().table_name("AuditTable").key("id", record["id"].clone());
        let delete = delete.key("shard", record["shard"].clone());
        delete.send().await.unwrap();
    }
    assert_eq!(records().await, [Value::Null; 0]);
    letters(&app).replay("2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z").await.unwrap();
    let again = eventually("the record", PATIENCE, look).await;
    assert_eq!(again[0]["id"], kept[0]["id"]);
    app.settle().await;
    assert_eq!((records().await.len(), app.mails_to(&account.email).await.len()), (1, 1));
}
