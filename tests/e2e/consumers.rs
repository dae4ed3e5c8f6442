//! What each consumer of a queue does with a message that it cannot handle, or not now.

use std::collections::BTreeSet;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use crate::app::{PATIENCE, TestApp, eventually};
use crate::faults::{self, Faults, Service};
use crate::world::{LONG, depths};

/// A consumer and its queue.
struct Consumer {
    function: String,
    queue: String,
}

/// The consumers: each may put off a message of its queue.
fn consumers(app: &TestApp) -> Vec<Consumer> {
    let granted = app.bundle.as_ref().expect("a bundle of the test's own").granted();
    let may = granted.iter().filter(|right| right.action == "sqs:ChangeMessageVisibility");
    let name = |arn: &str| arn.rsplit(':').next().unwrap().to_owned();
    let of = may.map(|right| Consumer { function: right.role.clone(), queue: name(&right.resource) });
    let all: Vec<_> = of.collect();
    assert!(all.len() > 8, "{} consumers", all.len());
    all
}

async fn url(sqs: &Client, queue: &str) -> String {
    sqs.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap()
}

async fn send(sqs: &Client, queue: &str, body: &str) {
    sqs.send_message().queue_url(url(sqs, queue).await).message_body(body).send().await.unwrap();
}

/// Where a queue's messages go that nobody could handle.
async fn dead_letters(sqs: &Client, queue: &str) -> String {
    let attributes = sqs.get_queue_attributes().queue_url(url(sqs, queue).await);
    let attributes = attributes.attribute_names(QueueAttributeName::RedrivePolicy).send().await.unwrap();
    let policy = &attributes.attributes.unwrap()[&QueueAttributeName::RedrivePolicy];
    let policy: Value = serde_json::from_str(policy).unwrap();
    policy["deadLetterTargetArn"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_consumer_can_read_is_set_aside_as_it_is_with_the_reason() {
    let Some(app) = TestApp::local().await else { return };
    let sqs = app.aws().sqs();
    let consumers = consumers(&app);
    for Consumer { queue, .. } in &consumers {
        send(&sqs, queue, "no JSON").await;
    }
    for Consumer { function, queue } in consumers {
        let url = url(&sqs, &dead_letters(&sqs, &queue).await).await;
        let receive = async || {
            let receive = sqs.receive_message().queue_url(&url).message_attribute_names("All");
            receive.send().await.unwrap().messages?.into_iter().next()
        };
        let message = eventually(&function, PATIENCE, receive).await;
        assert_eq!(message.body(), Some("no JSON"), "{function}");
        let reason = &message.message_attributes.as_ref().unwrap()["reason"];
        assert_eq!(reason.string_value(), Some("no JSON, at line 1, column 2"), "{function}");
    }
}

/// Were it not put off, a message would come again only after its queue's visibility timeout, which is longer than this waits.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_consumer_can_do_now_is_tried_three_times_within_a_minute_or_two() {
    let Some((app, done)) = faults::start(Faults::default(), &[]).await else { return };
    let stands_on_dynamodb: BTreeSet<String> = {
        let granted = app.bundle.as_ref().unwrap().granted();
        granted
            .iter()
            .filter(|right| right.action.starts_with("dynamodb:"))
            .map(|right| right.role.clone())
            .collect()
    };
    let mut consumers = consumers(&app);
    consumers.retain(|consumer| stands_on_dynamodb.contains(&consumer.function));
    assert!(consumers.len() > 4, "{} consumers", consumers.len());
    done.is_away(Service::DynamoDb);
    let aws = local::aws_at(&done.cloud.endpoint());
    let sqs = aws.sqs();
    let mut dead = Vec::new();
    for Consumer { function, queue } in &consumers {
        let sample = format!("{}/../events/{function}.json", env!("CARGO_MANIFEST_DIR"));
        let sample: Value = serde_json::from_str(&std::fs::read_to_string(sample).unwrap()).unwrap();
        send(&sqs, queue, sample["Records"][0]["body"].as_str().unwrap()).await;
        dead.push(dead_letters(&sqs, queue).await);
    }
    for (letters, Consumer { function, .. }) in dead.iter().zip(&consumers) {
        eventually(function, LONG, async || (depths(&aws).await[letters] == 1).then_some(())).await;
    }
    app.stop().await;
}
