//! What this SQS promises, asked through the real SDK.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Region;
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use local_aws::sqs::{Depth, MessageState, NewMessage, QueueConfig, Redrive, Sqs};
use local_aws::{AwsError, Clock, Protocol, Store};
use serde_json::{Value, json};

const SECOND: i64 = 1_000;
/// No promise takes longer than this to keep.
const SOON: Duration = Duration::from_secs(5);

struct Cloud {
    sqs: Sqs,
    store: Store,
    clock: Clock,
    client: Client,
}

impl Cloud {
    async fn new() -> Self {
        Self::over(Store::memory().unwrap()).await
    }

    async fn over(store: Store) -> Self {
        let clock = Clock::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let sqs = Sqs::new(store.clone(), clock.clone(), endpoint.clone()).unwrap();
        let router = Router::new().fallback(answer).with_state(sqs.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version_latest()
            .endpoint_url(endpoint)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self { sqs, store, clock, client: Client::from_conf(config) }
    }

    /// A queue declared with AWS's defaults but for `change`; answers its URL.
    fn queue(&self, name: &str, change: impl FnOnce(&mut QueueConfig)) -> String {
        let mut config = QueueConfig::new(name);
        change(&mut config);
        self.sqs.declare(&config).unwrap();
        self.sqs.url(name)
    }

    async fn send(&self, url: &str, body: &str) -> String {
        let sent = self.client.send_message().queue_url(url).message_body(body).send().await.unwrap();
        sent.message_id.unwrap()
    }

    async fn send_to_group(&self, url: &str, group: &str, body: &str) -> String {
        let request = self.client.send_message().queue_url(url).message_body(body).message_group_id(group);
        request.send().await.unwrap().message_id.unwrap()
    }

    async fn receive(&self, url: &str) -> Vec<Message> {
        let request = self.client.receive_message().queue_url(url).max_number_of_messages(10);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        request.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
    }

    async fn bodies(&self, url: &str) -> Vec<String> {
        self.receive(url).await.into_iter().map(|message| message.body.unwrap()).collect()
    }

    async fn delete(&self, url: &str, message: &Message) {
        let handle = message.receipt_handle().unwrap();
        self.client.delete_message().queue_url(url).receipt_handle(handle).send().await.unwrap();
    }

    /// Two queues, the first giving up to the second after three receives.
    fn orders_with_dead_letters(&self) -> (String, String) {
        let dead = self.queue("orders-dlq", |_| {});
        let orders = self.queue("orders", |config| {
            let dead_letter_queue_arn = Sqs::arn("orders-dlq");
            config.redrive = Some(Redrive { dead_letter_queue_arn, max_receive_count: 3 });
        });
        (orders, dead)
    }

    /// Receives the queue's messages until they are given up.
    async fn wear_out(&self, url: &str) {
        for _ in 0..3 {
            assert!(!self.receive(url).await.is_empty());
            self.clock.advance_ms(31 * SECOND);
        }
        assert!(self.receive(url).await.is_empty());
    }
}

async fn answer(State(sqs): State<Sqs>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let action = target.strip_prefix("AmazonSQS.").unwrap_or_default();
    let reply = match serde_json::from_slice(&body) {
        Ok(input) => sqs.handle(action, input).await,
        Err(error) => Err(AwsError::client("SerializationException", error.to_string())),
    };
    Protocol::Json10.respond(reply)
}

fn attribute(message: &Message, name: MessageSystemAttributeName) -> Option<&str> {
    message.attributes.as_ref()?.get(&name).map(String::as_str)
}

/// A database file that is gone with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("emul-sqs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn store(&self) -> Store {
        Store::open(&self.0.join("state.db")).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    let string = MessageAttributeValue::builder().data_type("String").string_value("blue").build().unwrap();
    let binary =
        MessageAttributeValue::builder().data_type("Binary.png").binary_value(Blob::new([1, 2])).build();
    let request = cloud.client.send_message().queue_url(&url).message_body("hello world");
    let request = request.message_attributes("colour", string).message_attributes("picture", binary.unwrap());
    let sent = request.send().await.unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("5eb63bbbe01eeed093cb22bb8f5acdc3"));

    let received = cloud.receive(&url).await.remove(0);
    assert_eq!(received.message_id, sent.message_id);
    assert_eq!(received.body(), Some("hello world"));
    assert_eq!(received.md5_of_body(), Some("5eb63bbbe01eeed093cb22bb8f5acdc3"));
    assert!(sent.md5_of_message_attributes().is_some());
    assert_eq!(received.md5_of_message_attributes(), sent.md5_of_message_attributes());
    let attributes = received.message_attributes.as_ref().unwrap();
    assert_eq!(attributes["colour"].string_value(), Some("blue"));
    assert_eq!(attributes["picture"].binary_value(), Some(&Blob::new([1, 2])));
    assert_eq!(attribute(&received, MessageSystemAttributeName::ApproximateReceiveCount), Some("1"));
    assert!(attribute(&received, MessageSystemAttributeName::SentTimestamp).is_some());
    assert_eq!(attribute(&received, MessageSystemAttributeName::SequenceNumber), None);
}

#[tokio::test]
async fn only_the_attributes_asked_for_are_answered() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    let value = MessageAttributeValue::builder().data_type("String").string_value("v").build().unwrap();
    let request = cloud.client.send_message().queue_url(&url).message_body("m");
    let request = request.message_attributes("app.a", value.clone()).message_attributes("other", value);
    request.send().await.unwrap();
    let request = cloud.client.receive_message().queue_url(&url).message_attribute_names("app.*");
    let request = request.message_system_attribute_names(MessageSystemAttributeName::SenderId);
    let message = request.send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(message.message_attributes.unwrap().into_keys().collect::<Vec<_>>(), ["app.a"]);
    assert_eq!(
        message.attributes.unwrap().into_keys().collect::<Vec<_>>(),
        [MessageSystemAttributeName::SenderId]
    );
}

#[tokio::test]
async fn a_message_received_three_times_goes_to_the_dead_letter_queue() {
    let cloud = Cloud::new().await;
    let (orders, dead) = cloud.orders_with_dead_letters();
    let id = cloud.send(&orders, "poison").await;
    cloud.wear_out(&orders).await;

    let message = cloud.receive(&dead).await.remove(0);
    assert_eq!(message.message_id(), Some(id.as_str()));
    assert_eq!(message.body(), Some("poison"));
    let source = attribute(&message, MessageSystemAttributeName::DeadLetterQueueSourceArn);
    assert_eq!(source, Some(Sqs::arn("orders").as_str()));
    assert_eq!(cloud.sqs.depth("orders").unwrap(), Depth::default());
}

#[tokio::test]
async fn a_receiver_of_the_dead_letter_queue_is_woken_by_a_dead_letter() {
    let cloud = Cloud::new().await;
    let (orders, _) = cloud.orders_with_dead_letters();
    cloud.send(&orders, "poison").await;
    let sqs = cloud.sqs.clone();
    let waiting = tokio::spawn(async move { sqs.receive("orders-dlq", 1, Duration::from_hours(1)).await });
    cloud.wear_out(&orders).await;
    let received = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(received[0].body, "poison");
}

#[tokio::test]
async fn a_message_is_kept_while_its_dead_letter_queue_is_missing() {
    let cloud = Cloud::new().await;
    let (orders, dead) = cloud.orders_with_dead_letters();
    cloud.client.delete_queue().queue_url(dead).send().await.unwrap();
    cloud.send(&orders, "poison").await;
    for _ in 0..5 {
        assert_eq!(cloud.bodies(&orders).await, ["poison"]);
        cloud.clock.advance_ms(31 * SECOND);
    }
}

#[tokio::test]
async fn dead_letters_can_be_moved_back_to_where_they_came_from() {
    let cloud = Cloud::new().await;
    let (orders, dead) = cloud.orders_with_dead_letters();
    for body in ["a", "b"] {
        cloud.send(&orders, body).await;
    }
    cloud.wear_out(&orders).await;
    let start = cloud.client.start_message_move_task().source_arn(Sqs::arn("orders-dlq"));
    let handle = start.send().await.unwrap().task_handle.unwrap();

    let messages = cloud.receive(&orders).await;
    assert_eq!(messages.len(), 2);
    let count = attribute(&messages[0], MessageSystemAttributeName::ApproximateReceiveCount);
    assert_eq!(count, Some("1"), "a redriven message has all its receives again");
    assert!(cloud.receive(&dead).await.is_empty());

    let list = cloud.client.list_message_move_tasks().source_arn(Sqs::arn("orders-dlq"));
    let tasks = list.send().await.unwrap().results.unwrap();
    assert_eq!(tasks[0].status(), Some("COMPLETED"));
    assert_eq!(tasks[0].approximate_number_of_messages_moved(), 2);

    let cancel = |handle| cloud.client.cancel_message_move_task().task_handle(handle).send();
    assert!(cancel(handle).await.unwrap_err().into_service_error().is_unsupported_operation());
    let unknown = cancel("none".to_owned()).await.unwrap_err().into_service_error();
    assert!(unknown.is_resource_not_found_exception());
}

#[tokio::test]
async fn dead_letters_can_be_moved_to_another_queue_but_only_out_of_a_dead_letter_queue() {
    let cloud = Cloud::new().await;
    let (_, dead) = cloud.orders_with_dead_letters();
    let repaired = cloud.queue("repaired", |_| {});
    cloud.send(&dead, "put here by hand").await;

    let start = |source: &str| cloud.client.start_message_move_task().source_arn(Sqs::arn(source));
    start("orders-dlq").send().await.unwrap();
    let list = cloud.client.list_message_move_tasks().source_arn(Sqs::arn("orders-dlq"));
    let task = list.send().await.unwrap().results.unwrap().remove(0);
    assert_eq!(
        (task.status(), task.failure_reason()),
        (Some("FAILED"), Some("CouldNotDetermineMessageSource"))
    );

    start("orders-dlq").destination_arn(Sqs::arn("repaired")).send().await.unwrap();
    assert_eq!(cloud.bodies(&repaired).await, ["put here by hand"]);

    let error = start("repaired").send().await.unwrap_err().into_service_error();
    assert_eq!(error.meta().code(), Some("InvalidParameterValue"));
    assert!(start("none").send().await.unwrap_err().into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn a_long_poll_is_woken_by_a_send() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    let began = Instant::now();
    let request = cloud.client.receive_message().queue_url(&url).wait_time_seconds(20).send();
    let waiting = tokio::spawn(request);
    tokio::time::sleep(Duration::from_millis(50)).await;
    cloud.send(&url, "wake up").await;
    let received = waiting.await.unwrap().unwrap().messages.unwrap();
    assert_eq!(received[0].body(), Some("wake up"));
    assert!(began.elapsed() < SOON);
}

#[tokio::test]
async fn a_long_poll_ends_empty_when_its_time_is_over() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |config| config.receive_wait_s = 20);
    let waiting = tokio::spawn(cloud.client.receive_message().queue_url(&url).send());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished(), "the queue's own wait applies");
    cloud.clock.advance_ms(21 * SECOND);
    let received = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(received.messages, None);
}

#[tokio::test]
async fn a_long_poll_sees_a_delayed_message_when_its_time_comes() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    let request = cloud.client.send_message().queue_url(&url).message_body("later").delay_seconds(600);
    request.send().await.unwrap();
    assert_eq!(cloud.sqs.depth("q").unwrap(), Depth { delayed: 1, ..Depth::default() });
    let sqs = cloud.sqs.clone();
    let waiting = tokio::spawn(async move { sqs.receive("q", 10, Duration::from_hours(1)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    cloud.clock.advance_ms(600 * SECOND);
    let received = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(received[0].body, "later");
}

#[tokio::test]
async fn an_unacknowledged_message_comes_back_after_its_visibility() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |config| config.visibility_timeout_s = 60);
    cloud.send(&url, "again").await;
    let first = cloud.receive(&url).await.remove(0);
    cloud.clock.advance_ms(59 * SECOND);
    assert!(cloud.receive(&url).await.is_empty());
    cloud.clock.advance_ms(SECOND);
    let second = cloud.receive(&url).await.remove(0);
    assert_ne!(first.receipt_handle, second.receipt_handle);
    assert_eq!(attribute(&second, MessageSystemAttributeName::ApproximateReceiveCount), Some("2"));
    let first_time = MessageSystemAttributeName::ApproximateFirstReceiveTimestamp;
    assert_eq!(attribute(&first, first_time.clone()), attribute(&second, first_time));
    cloud.delete(&url, &second).await;
    cloud.clock.advance_ms(60 * SECOND);
    assert!(cloud.receive(&url).await.is_empty());
}

#[tokio::test]
async fn a_receive_may_have_a_visibility_of_its_own() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    cloud.send(&url, "m").await;
    let request = cloud.client.receive_message().queue_url(&url).visibility_timeout(5);
    request.send().await.unwrap().messages.unwrap();
    cloud.clock.advance_ms(5 * SECOND);
    assert_eq!(cloud.bodies(&url).await, ["m"]);
}

#[tokio::test]
async fn a_visibility_can_be_changed_only_in_flight() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    cloud.send(&url, "m").await;
    let message = cloud.receive(&url).await.remove(0);
    let change = |seconds| {
        let handle = message.receipt_handle().unwrap();
        cloud
            .client
            .change_message_visibility()
            .queue_url(&url)
            .receipt_handle(handle)
            .visibility_timeout(seconds)
            .send()
    };
    change(300).await.unwrap();
    cloud.clock.advance_ms(299 * SECOND);
    assert!(cloud.receive(&url).await.is_empty());
    change(0).await.unwrap();
    assert_eq!(cloud.sqs.depth("q").unwrap().visible, 1);
    assert!(change(30).await.unwrap_err().into_service_error().is_message_not_inflight());
    let error = change(43_201).await.unwrap_err().into_service_error();
    assert_eq!(error.meta().code(), Some("InvalidParameterValue"));
}

#[tokio::test]
async fn an_old_receipt_handle_still_deletes_on_a_standard_queue() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    cloud.send(&url, "m").await;
    let first = cloud.receive(&url).await.remove(0);
    cloud.clock.advance_ms(31 * SECOND);
    cloud.receive(&url).await;
    cloud.delete(&url, &first).await;
    assert_eq!(cloud.sqs.depth("q").unwrap(), Depth::default());
    cloud.delete(&url, &first).await;
}

#[tokio::test]
async fn a_receipt_handle_of_nothing_or_of_another_queue_is_invalid() {
    let cloud = Cloud::new().await;
    let (url, other) = (cloud.queue("q", |_| {}), cloud.queue("q2", |_| {}));
    cloud.send(&url, "m").await;
    let handle = cloud.receive(&url).await.remove(0).receipt_handle.unwrap();
    for (queue, handle) in [(&url, "nonsense"), (&other, handle.as_str())] {
        let request = cloud.client.delete_message().queue_url(queue).receipt_handle(handle);
        assert!(request.send().await.unwrap_err().into_service_error().is_receipt_handle_is_invalid());
    }
}

#[tokio::test]
async fn a_fifo_group_waits_for_its_message_in_flight_and_others_go_on() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q.fifo", |config| config.content_based_deduplication = true);
    for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")] {
        cloud.send_to_group(&url, group, body).await;
    }
    let receive_one = || async {
        let received = cloud.client.receive_message().queue_url(&url).send().await.unwrap();
        received.messages.unwrap_or_default().into_iter().next()
    };
    let a1 = receive_one().await.unwrap();
    assert_eq!(a1.body(), Some("a1"));
    assert_eq!(cloud.bodies(&url).await, ["b1"]);
    assert!(receive_one().await.is_none());
    cloud.delete(&url, &a1).await;
    assert_eq!(cloud.bodies(&url).await, ["a2", "a3"]);
    cloud.clock.advance_ms(31 * SECOND);
    assert_eq!(cloud.bodies(&url).await, ["a2", "b1", "a3"], "in the order sent, again");
}

#[tokio::test]
async fn a_waiting_fifo_receiver_goes_on_when_the_group_is_free() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q.fifo", |config| config.content_based_deduplication = true);
    cloud.send_to_group(&url, "g", "first").await;
    let first = cloud.receive(&url).await.remove(0);
    cloud.send_to_group(&url, "g", "second").await;
    let request = cloud.client.receive_message().queue_url(&url).wait_time_seconds(20).send();
    let waiting = tokio::spawn(request);
    tokio::time::sleep(Duration::from_millis(50)).await;
    cloud.delete(&url, &first).await;
    let received = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(received.messages.unwrap()[0].body(), Some("second"));
}

#[tokio::test]
async fn a_duplicate_within_five_minutes_is_dropped() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q.fifo", |config| config.content_based_deduplication = true);
    let first = cloud.send_to_group(&url, "g", "same").await;
    let message = cloud.receive(&url).await.remove(0);
    assert!(attribute(&message, MessageSystemAttributeName::SequenceNumber).is_some());
    cloud.delete(&url, &message).await;
    cloud.clock.advance_ms(299 * SECOND);
    assert_eq!(cloud.send_to_group(&url, "g", "same").await, first);
    assert!(cloud.receive(&url).await.is_empty());
    cloud.clock.advance_ms(SECOND);
    assert_ne!(cloud.send_to_group(&url, "g", "same").await, first);
    assert_eq!(cloud.bodies(&url).await, ["same"]);

    let with_id = |body| {
        let request = cloud.client.send_message().queue_url(&url).message_body(body).message_group_id("g");
        request.message_deduplication_id("one").send()
    };
    let (one, other) = (with_id("x").await.unwrap(), with_id("y").await.unwrap());
    assert_eq!(one.message_id, other.message_id);
    assert_eq!(one.sequence_number, other.sequence_number);
}

#[tokio::test]
async fn a_fifo_receipt_handle_is_invalid_after_its_visibility() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q.fifo", |config| config.content_based_deduplication = true);
    cloud.send_to_group(&url, "g", "m").await;
    let handle = cloud.receive(&url).await.remove(0).receipt_handle.unwrap();
    cloud.clock.advance_ms(31 * SECOND);
    let error =
        cloud.client.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap_err();
    assert_eq!(error.into_service_error().meta().code(), Some("InvalidParameterValue"));
    assert_eq!(cloud.sqs.depth("q.fifo").unwrap().visible, 1);
}

#[tokio::test]
async fn each_kind_of_queue_refuses_what_only_the_other_takes() {
    let cloud = Cloud::new().await;
    let (fifo, standard) = (cloud.queue("q.fifo", |_| {}), cloud.queue("q", |_| {}));
    let to = |url: &str| cloud.client.send_message().queue_url(url).message_body("m");
    for (request, code) in [
        (to(&fifo), "MissingParameter"),
        (to(&fifo).message_group_id("g"), "InvalidParameterValue"),
        (
            to(&fifo).message_group_id("g").message_deduplication_id("d").delay_seconds(1),
            "InvalidParameterValue",
        ),
        (to(&standard).message_deduplication_id("d"), "InvalidParameterValue"),
        (to(&standard).delay_seconds(901), "InvalidParameterValue"),
    ] {
        let error = request.send().await.unwrap_err().into_service_error();
        assert_eq!(error.meta().code(), Some(code), "{error:?}");
    }
    to(&standard).message_group_id("tenant").send().await.unwrap();
}

#[tokio::test]
async fn expired_messages_are_dropped() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |config| config.retention_s = 60);
    cloud.send(&url, "old").await;
    cloud.clock.advance_ms(60 * SECOND);
    assert_eq!(cloud.sqs.depth("q").unwrap(), Depth::default());
    assert!(cloud.receive(&url).await.is_empty());
}

#[tokio::test]
async fn a_reopened_store_still_has_its_messages() {
    let scratch = Scratch::new("reopened");
    let cloud = Cloud::over(scratch.store()).await;
    let url = cloud.queue("q", |_| {});
    cloud.send(&url, "held").await;
    let held = cloud.receive(&url).await.remove(0);
    cloud.send(&url, "kept").await;

    // As after kill -9: nobody said goodbye to the first one.
    let reopened = Cloud::over(scratch.store()).await;
    let url = reopened.sqs.url("q");
    assert_eq!(reopened.bodies(&url).await, ["kept"]);
    reopened.delete(&url, &held).await;
    assert_eq!(reopened.sqs.depth("q").unwrap(), Depth { in_flight: 1, ..Depth::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_receivers_never_share_a_message() {
    const MESSAGES: usize = 300;
    let cloud = Cloud::new().await;
    cloud.queue("q", |_| {});
    let receivers: Vec<_> = (0..8)
        .map(|_| {
            let sqs = cloud.sqs.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                loop {
                    let messages = sqs.receive("q", 7, Duration::from_millis(500)).await.unwrap();
                    if messages.is_empty() {
                        return ids;
                    }
                    ids.extend(messages.into_iter().map(|message| message.id));
                }
            })
        })
        .collect();
    for number in 0..MESSAGES {
        cloud.sqs.send("q", NewMessage::new(number.to_string())).unwrap();
    }
    let mut all = Vec::new();
    for receiver in receivers {
        all.extend(tokio::time::timeout(SOON, receiver).await.unwrap().unwrap());
    }
    assert_eq!(all.len(), MESSAGES);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), MESSAGES);
}

#[tokio::test]
async fn a_message_sent_in_a_transaction_that_fails_was_never_sent() {
    let cloud = Cloud::new().await;
    cloud.queue("q", |_| {});
    let failed: Result<(), AwsError> = cloud.store.transaction(|tx| {
        cloud.sqs.send_in(tx, "q", NewMessage::new("no"))?;
        Err(AwsError::client("Other", "the event was refused"))
    });
    assert!(failed.is_err());
    cloud.store.transaction(|tx| cloud.sqs.send_in(tx, "q", NewMessage::new("yes"))).unwrap();
    cloud.sqs.wake();
    let peeked = cloud.sqs.peek("q").unwrap();
    assert_eq!(peeked.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["yes"]);
    assert_eq!(peeked[0].state, MessageState::Visible);
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
}

#[tokio::test]
async fn a_batch_fails_by_entry_and_the_rest_goes_on() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    let request = cloud.client.send_message_batch().queue_url(&url);
    let sent = request.entries(entry("good", "a")).entries(entry("bad", "\u{1}")).send().await.unwrap();
    assert_eq!(sent.successful()[0].id(), "good");
    assert_eq!(sent.successful()[0].md5_of_message_body(), "0cc175b9c0f1b6a831c399e269772661");
    assert_eq!((sent.failed()[0].id(), sent.failed()[0].code()), ("bad", "InvalidMessageContents"));
    assert!(sent.failed()[0].sender_fault());

    let handle = cloud.receive(&url).await.remove(0).receipt_handle.unwrap();
    let change = |id: &str, handle: &str| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id).receipt_handle(handle);
        entry.visibility_timeout(60).build().unwrap()
    };
    let request = cloud.client.change_message_visibility_batch().queue_url(&url);
    let changed = request.entries(change("good", &handle)).entries(change("bad", "x")).send().await.unwrap();
    assert_eq!((changed.successful().len(), changed.failed().len()), (1, 1));

    let delete = |id: &str, handle: &str| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle).build().unwrap()
    };
    let request = cloud.client.delete_message_batch().queue_url(&url);
    let deleted = request.entries(delete("good", &handle)).entries(delete("bad", "x")).send().await.unwrap();
    assert_eq!(deleted.successful()[0].id(), "good");
    assert_eq!(deleted.failed()[0].code(), "ReceiptHandleIsInvalid");
    assert_eq!(cloud.sqs.depth("q").unwrap(), Depth::default());
}

#[tokio::test]
async fn a_batch_beyond_the_limits_is_refused_with_aws_error() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |config| config.max_message_bytes = 1_048_576);
    let send = async |entries: Vec<SendMessageBatchRequestEntry>| {
        let request = cloud.client.send_message_batch().queue_url(&url).set_entries(Some(entries));
        request.send().await.unwrap_err().into_service_error()
    };
    let half = "x".repeat(524_288);
    assert!(send(vec![]).await.is_empty_batch_request());
    assert!(
        send((0..11).map(|n| entry(&n.to_string(), "m")).collect())
            .await
            .is_too_many_entries_in_batch_request()
    );
    assert!(send(vec![entry("a", "m"), entry("a", "m")]).await.is_batch_entry_ids_not_distinct());
    assert!(send(vec![entry("a b", "m")]).await.is_invalid_batch_entry_id());
    let long = send(vec![entry("a", &half), entry("b", &half), entry("c", "m")]).await;
    assert!(matches!(long, SendMessageBatchError::BatchRequestTooLong(_)));
    assert_eq!(cloud.sqs.depth("q").unwrap(), Depth::default());
}

#[tokio::test]
async fn a_message_beyond_the_queues_size_is_refused() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |config| config.max_message_bytes = 1_024);
    cloud.send(&url, &"x".repeat(1_024)).await;
    let request = cloud.client.send_message().queue_url(&url).message_body("x".repeat(1_025));
    let error = request.send().await.unwrap_err().into_service_error();
    assert_eq!(error.meta().code(), Some("InvalidParameterValue"));
    let request = cloud.client.send_message().queue_url(&url).message_body("\u{0}");
    assert!(request.send().await.unwrap_err().into_service_error().is_invalid_message_contents());
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told_by_its_typed_error() {
    let cloud = Cloud::new().await;
    let url = cloud.sqs.url("none");
    let error = cloud.client.receive_message().queue_url(&url).send().await.unwrap_err().into_service_error();
    assert!(error.is_queue_does_not_exist());
    assert_eq!(error.meta().code(), Some("AWS.SimpleQueueService.NonExistentQueue"));
    let error = cloud.client.send_message().queue_url(&url).message_body("m").send().await.unwrap_err();
    assert!(error.into_service_error().is_queue_does_not_exist());
    let error = cloud.client.get_queue_url().queue_name("none").send().await.unwrap_err();
    assert!(error.into_service_error().is_queue_does_not_exist());
    let error = cloud.client.purge_queue().queue_url("http://elsewhere").send().await.unwrap_err();
    assert!(error.into_service_error().is_invalid_address());
}

#[tokio::test]
async fn a_queue_lives_from_its_creation_to_its_deletion() {
    let cloud = Cloud::new().await;
    let client = &cloud.client;
    let create = |timeout: &str| {
        let request = client.create_queue().queue_name("orders").tags("team", "shop");
        request.attributes(QueueAttributeName::VisibilityTimeout, timeout).send()
    };
    let url = create("45").await.unwrap().queue_url.unwrap();
    assert_eq!(create("45").await.unwrap().queue_url.as_ref(), Some(&url), "creating again is no error");
    assert!(create("46").await.unwrap_err().into_service_error().is_queue_name_exists());
    assert!(create("43201").await.is_err());
    assert_eq!(
        client.get_queue_url().queue_name("orders").send().await.unwrap().queue_url.as_ref(),
        Some(&url)
    );

    client.create_queue().queue_name("dead").send().await.unwrap();
    let policy =
        |name: &str| json!({"deadLetterTargetArn": Sqs::arn(name), "maxReceiveCount": "4"}).to_string();
    let set = |policy: String| {
        client
            .set_queue_attributes()
            .queue_url(&url)
            .attributes(QueueAttributeName::RedrivePolicy, policy)
            .send()
    };
    set(policy("dead")).await.unwrap();
    assert!(set(policy("nowhere")).await.is_err());
    let get = |name| client.get_queue_attributes().queue_url(&url).attribute_names(name).send();
    let attributes = get(QueueAttributeName::All).await.unwrap().attributes.unwrap();
    let redrive: Value = serde_json::from_str(&attributes[&QueueAttributeName::RedrivePolicy]).unwrap();
    assert_eq!(redrive, json!({"deadLetterTargetArn": Sqs::arn("dead"), "maxReceiveCount": 4}));
    assert_eq!(attributes[&QueueAttributeName::QueueArn], "arn:aws:sqs:us-east-1:000000000000:orders");
    assert_eq!(attributes[&QueueAttributeName::VisibilityTimeout], "45");
    cloud.send(&url, "m").await;
    let named = get(QueueAttributeName::ApproximateNumberOfMessages).await.unwrap().attributes.unwrap();
    assert_eq!(named, HashMap::from([(QueueAttributeName::ApproximateNumberOfMessages, "1".to_owned())]));
    assert!(
        get(QueueAttributeName::from("Nonsense"))
            .await
            .unwrap_err()
            .into_service_error()
            .is_invalid_attribute_name()
    );

    let sources = client.list_dead_letter_source_queues().queue_url(cloud.sqs.url("dead"));
    assert_eq!(sources.send().await.unwrap().queue_urls(), std::slice::from_ref(&url));
    let tags = client.list_queue_tags().queue_url(&url).send().await.unwrap().tags.unwrap();
    assert_eq!(tags, HashMap::from([("team".to_owned(), "shop".to_owned())]));

    client.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(cloud.sqs.depth("orders").unwrap(), Depth::default());
    client.delete_queue().queue_url(&url).send().await.unwrap();
    let left = client.list_queues().send().await.unwrap();
    assert_eq!(left.queue_urls(), [cloud.sqs.url("dead")]);
}

#[tokio::test]
async fn queues_are_listed_by_prefix_and_page() {
    let cloud = Cloud::new().await;
    for name in ["a1", "a2", "a3", "b1"] {
        cloud.queue(name, |_| {});
    }
    let list = || cloud.client.list_queues().queue_name_prefix("a").max_results(2);
    let first = list().send().await.unwrap();
    assert_eq!(first.queue_urls(), [cloud.sqs.url("a1"), cloud.sqs.url("a2")]);
    let second = list().set_next_token(first.next_token).send().await.unwrap();
    assert_eq!(second.queue_urls(), [cloud.sqs.url("a3")]);
    assert_eq!(second.next_token, None);
}

#[tokio::test]
async fn declaring_a_queue_again_changes_it_and_keeps_its_messages() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    cloud.send(&url, "kept").await;
    cloud.queue("q", |config| config.visibility_timeout_s = 5);
    assert_eq!(cloud.bodies(&url).await, ["kept"]);
    cloud.clock.advance_ms(5 * SECOND);
    assert_eq!(cloud.bodies(&url).await, ["kept"]);
    let mut wrong = QueueConfig::new("q");
    wrong.fifo = true;
    assert!(cloud.sqs.declare(&wrong).is_err());
}

#[tokio::test]
async fn nonsense_is_answered_with_an_error() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("q", |_| {});
    for (action, input, code) in [
        ("Dance", json!({}), "UnknownOperationException"),
        ("SendMessage", json!([]), "com.amazon.coral.service#SerializationException"),
        (
            "SendMessage",
            json!({"MessageBody": "m"}),
            "com.amazon.coral.service#MissingRequiredParameterException",
        ),
        (
            "SendMessage",
            json!({"QueueUrl": url}),
            "com.amazon.coral.service#MissingRequiredParameterException",
        ),
        (
            "SendMessage",
            json!({"QueueUrl": url, "MessageBody": 1}),
            "com.amazon.coral.service#SerializationException",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": url, "MaxNumberOfMessages": 11}),
            "com.amazon.coral.service#InvalidParameterValueException",
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": url, "WaitTimeSeconds": 21}),
            "com.amazon.coral.service#InvalidParameterValueException",
        ),
        (
            "CreateQueue",
            json!({"QueueName": "not/ok"}),
            "com.amazon.coral.service#InvalidParameterValueException",
        ),
        (
            "CreateQueue",
            json!({"QueueName": "q.fifo"}),
            "com.amazon.coral.service#InvalidParameterValueException",
        ),
    ] {
        let error = cloud.sqs.handle(action, input).await.unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, code), "{action}");
    }
}

/// Not a benchmark: only that nothing reads the whole queue for each message.
#[tokio::test]
async fn a_backlog_is_worked_off_at_thousands_of_messages_a_second() {
    let scratch = Scratch::new("backlog");
    let cloud = Cloud::over(scratch.store()).await;
    for name in ["q", "q.fifo"] {
        cloud.queue(name, |config| config.content_based_deduplication = config.fifo);
        let began = Instant::now();
        let group_id = |n: u32| name.ends_with(".fifo").then(|| (n % 100).to_string());
        for n in 0..3_000 {
            let message = NewMessage { group_id: group_id(n), ..NewMessage::new(n.to_string()) };
            cloud.sqs.send(name, message).unwrap();
        }
        let sent = began.elapsed();
        let mut received = 0;
        while received < 3_000 {
            for message in cloud.sqs.receive(name, 10, Duration::ZERO).await.unwrap() {
                cloud.sqs.delete(name, &message.receipt_handle).unwrap();
                received += 1;
            }
        }
        println!("{name}: sent 3000 in {sent:?}, received and deleted in {:?}", began.elapsed() - sent);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn a_restart_takes_a_lost_receive_off_the_count() {
    let cloud = Cloud::new().await;
    let url = cloud.queue("jobs", |_| {});
    cloud.sqs.send("jobs", NewMessage::new("job")).unwrap();
    for _ in 0..5 {
        let received = cloud
            .client
            .receive_message()
            .queue_url(&url)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let messages = received.send().await.unwrap().messages.unwrap();
        let count = &messages[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
        assert_eq!(count, "1");
        // The receiver is killed and its emulator starts again.
        cloud.sqs.release_in_flight().unwrap();
    }
}
