//! `cleanup-expired-tokens`: what has expired goes, and nothing else.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::app::{PATIENCE, TestApp, eventually};
use crate::faults::{self, Faults};

async fn count(app: &TestApp, table: &str) -> usize {
    app.aws().dynamodb().scan().table_name(table).send().await.unwrap().items().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_sessions_and_links_are_removed_and_no_others() {
    // A cloud whose own sweep of expired items goes by another clock.
    let Some((app, _)) = faults::start(Faults::default(), &["cleanup-expired-tokens"]).await else { return };
    let clean = async || {
        let event = "{\"scheduledTime\": \"2026-11-25T10:00:00Z\"}";
        app.invoke("cleanup-expired-tokens", event).await.unwrap();
    };
    let account = app.register().await;
    for _ in 0..40 {
        app.login(&account).await;
    }
    let links = async || (count(&app, "OneTimeTokensTable").await == 1).then_some(());
    eventually("the link of the welcome mail", PATIENCE, links).await;
    clean().await;
    assert_eq!((count(&app, "SessionsTable").await, count(&app, "OneTimeTokensTable").await), (40, 1));
    // All in one partition: more than are removed at once.
    let dynamodb = app.aws().dynamodb();
    let sessions = dynamodb.scan().table_name("SessionsTable").send().await.unwrap();
    for session in sessions.items() {
        let update =
            dynamodb.update_item().table_name("SessionsTable").update_expression("SET #shard = :three");
        let update = update
            .expression_attribute_names("#shard", "shard")
            .expression_attribute_values(":three", AttributeValue::N("3".to_owned()));
        let update = update.key("userId", session["userId"].clone()).key("id", session["id"].clone());
        update.send().await.unwrap();
    }
    // A week and a day: a session ends seven days after it was used last, a link after one.
    app.advance_clock(2 * 24 * 3600).await;
    let kept = app.login(&account).await;
    app.advance_clock(6 * 24 * 3600).await;
    clean().await;
    assert_eq!((count(&app, "SessionsTable").await, count(&app, "OneTimeTokensTable").await), (1, 0));
    app.refresh(&kept.refresh).await;
}
