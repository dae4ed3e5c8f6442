//! What each consumer of a queue does with a message that it cannot handle, or not now.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use local::bundle::default_template;
use local::template::Template;
use serde_json::Value;
use shared::function::Kind;

use crate::app::{PATIENCE, TestApp, eventually};
use crate::faults::{self, Faults, Service};
use crate::world::queue_url;

/// As long as nothing comes again of itself: shorter than the queues' visibility timeout of 168 s.
const SOON: Duration = Duration::from_secs(150);

/// A consumer and its queue.
struct Consumer {
    function: String,
    queue: String,
}

/// Every function that the template has a queue invoke.
fn consumers() -> Vec<Consumer> {
    let template = Template::read(&default_template(), &[].into()).unwrap();
    let consumers = template.resources().filter_map(|(_, resource)| {
        let events = resource["Properties"]["Events"].as_object()?;
        let queue = events.values().find(|event| event["Type"] == "SQS")?;
        Some(Consumer {
            function: resource["Metadata"]["BuildProperties"]["Binary"].as_str()?.to_owned(),
            queue: queue["Properties"]["Queue"]["Fn::GetAtt"][0].as_str()?.to_owned(),
        })
    });
    let consumers: Vec<_> = consumers.collect();
    let all = local::functions().filter(|function| function.kind == Kind::Queue).count();
    assert_eq!(consumers.len(), all);
    consumers
}

async fn send(sqs: &Client, queue: &str, body: &str) {
    sqs.send_message().queue_url(queue_url(sqs, queue).await).message_body(body).send().await.unwrap();
}

/// Where a queue's messages go that nobody could handle.
async fn dead_letters(sqs: &Client, queue: &str) -> String {
    let attributes = sqs.get_queue_attributes().queue_url(queue_url(sqs, queue).await);
    let attributes = attributes.attribute_names(QueueAttributeName::RedrivePolicy).send().await.unwrap();
    let policy = &attributes.attributes.unwrap()[&QueueAttributeName::RedrivePolicy];
    let policy: Value = serde_json::from_str(policy).unwrap();
    policy["deadLetterTargetArn"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

/// The one message of a dead-letter queue.
async fn letter(sqs: &Client, queue: &str) -> Option<Message> {
    let receive = sqs.receive_message().queue_url(queue_url(sqs, queue).await).message_attribute_names("All");
    receive.send().await.unwrap().messages?.into_iter().next()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_consumer_can_read_is_set_aside_as_it_is_with_the_reason() {
    let Some(app) = TestApp::embedded().await else { return };
    let sqs = app.aws().sqs();
    let consumers = consumers();
    for Consumer { queue, .. } in &consumers {
        send(&sqs, queue, "no JSON").await;
    }
    for Consumer { function, queue } in consumers {
        let dead = dead_letters(&sqs, &queue).await;
        let message = eventually(&function, PATIENCE, async || letter(&sqs, &dead).await).await;
        assert_eq!(message.body(), Some("no JSON"), "{function}");
        let reason = &message.message_attributes.as_ref().unwrap()["reason"];
        assert_eq!(reason.string_value(), Some("no JSON, at line 1, column 2"), "{function}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_consumer_can_do_now_is_tried_again_soon_and_given_up_as_it_is() {
    let Some((app, done)) = faults::start(Faults::default(), &[]).await else { return };
    let granted = app.bundle.as_ref().unwrap().granted();
    let stands_on_dynamodb = |consumer: &Consumer| {
        granted.iter().any(|right| right.role == consumer.function && right.action.starts_with("dynamodb:"))
    };
    let mut consumers = consumers();
    consumers.retain(stands_on_dynamodb);
    assert!(!consumers.is_empty());
    done.is_away(Service::DynamoDb);
    let sqs = local::aws_at(&done.cloud.endpoint()).sqs();
    let mut sent = Vec::new();
    for Consumer { function, queue } in &consumers {
        let sample = format!("{}/../events/{function}.json", env!("CARGO_MANIFEST_DIR"));
        let sample: Value = serde_json::from_str(&std::fs::read_to_string(sample).unwrap()).unwrap();
        let body = sample["Records"][0]["body"].as_str().unwrap().to_owned();
        send(&sqs, queue, &body).await;
        sent.push((function, dead_letters(&sqs, queue).await, body));
    }
    let started = Instant::now();
    for (function, dead, body) in sent {
        let left = SOON.saturating_sub(started.elapsed());
        let message = eventually(function, left, async || letter(&sqs, &dead).await).await;
        assert_eq!(message.body(), Some(&*body), "{function}");
        // It came there by its tries, and was not set aside.
        assert!(message.message_attributes.is_none_or(|all| !all.contains_key("reason")), "{function}");
    }
    app.stop().await;
}
