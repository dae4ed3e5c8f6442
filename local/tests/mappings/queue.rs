//! A queue's messages.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use local::mapping::queue::Mapping;
use local_aws::sqs::{Depth, NewMessage, QueueConfig, Sqs};
use serde_json::json;
use tokio::spawn;

use crate::probe::{Act, Probe, report};
use crate::{Running, World, eventually};

impl World {
    /// A queue that holds these messages, which come again after a second.
    fn queue(&self, messages: &[&str]) {
        let queue = QueueConfig { visibility_timeout_s: 1, ..QueueConfig::new("jobs") };
        self.cloud.sqs().declare(&queue).unwrap();
        for message in messages {
            self.cloud.sqs().send("jobs", NewMessage::new(*message)).unwrap();
        }
    }

    async fn read_queue(&self, probe: &Arc<Probe>, change: impl FnOnce(&mut Mapping)) -> Running {
        let mut mapping =
            Mapping { queue_arn: Sqs::arn("jobs"), batch_size: 10, concurrency: 1, reports_failures: true };
        change(&mut mapping);
        Running(spawn(mapping.run(self.aws.clone(), probe.invoker().await)))
    }

    async fn queue_is(&self, depth: Depth) {
        eventually("such depth", async || (self.cloud.sqs().depth("jobs").unwrap() == depth).then_some(()))
            .await;
    }

    /// A batch that `first` fails comes again as a whole.
    async fn comes_again(first: impl Fn() -> Act + Send + Sync + 'static) {
        let world = Self::new().await;
        world.queue(&["1", "2", "3"]);
        let probe = Probe::new(move |place, event| if place == 0 { first() } else { report(event, &[]) });
        let _mapping = world.read_queue(&probe, |_| {}).await;
        probe.called(2).await;
        world.queue_is(Depth::default()).await;
        let batches = probe.batches();
        assert_eq!(sorted(&batches[0]), ["1", "2", "3"]);
        assert_eq!(sorted(&batches[1..].concat()), ["1", "2", "3"], "{batches:?}");
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}

#[tokio::test]
async fn a_failed_message_comes_again_and_the_others_are_deleted() {
    let world = World::new().await;
    world.queue(&["1", "2", "3"]);
    let probe = Probe::new(|place, event| report(event, if place == 0 { &["2"] } else { &[] }));
    let _mapping = world.read_queue(&probe, |_| {}).await;
    probe.called(2).await;
    world.queue_is(Depth::default()).await;
    let batches = probe.batches();
    assert_eq!(sorted(&batches[0]), ["1", "2", "3"]);
    assert_eq!(batches[1..], [["2"]]);
    let again = &probe.calls()[1]["Records"][0];
    assert_eq!(again["attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(again["eventSourceARN"], Sqs::arn("jobs"));
}

#[tokio::test]
async fn a_function_error_leaves_the_whole_batch() {
    World::comes_again(|| Act::Fail).await;
}

#[tokio::test]
async fn a_report_of_an_unknown_message_is_a_failure_of_the_whole_batch() {
    World::comes_again(|| Act::Answer(json!({"batchItemFailures": [{"itemIdentifier": "unknown"}]}))).await;
}

#[tokio::test]
async fn a_report_without_an_id_is_a_failure_of_the_whole_batch() {
    World::comes_again(|| Act::Answer(json!({"batchItemFailures": [{"itemIdentifier": ""}]}))).await;
    World::comes_again(|| Act::Answer(json!({"batchItemFailures": [{"itemIdentifier": null}]}))).await;
    World::comes_again(|| Act::Answer(json!({"batchItemFailures": [{"id": "1"}]}))).await;
}

#[tokio::test]
async fn an_answer_that_is_no_report_is_a_failure_of_the_whole_batch() {
    World::comes_again(|| Act::Answer(json!({"batchItemFailures": "none"}))).await;
}

#[tokio::test]
async fn an_empty_answer_is_a_success() {
    for answer in
        [json!(null), json!({}), json!({"batchItemFailures": null}), json!({"batchItemFailures": []})]
    {
        let world = World::new().await;
        world.queue(&["1", "2"]);
        let probe = Probe::new(move |_, _| Act::Answer(answer.clone()));
        let _mapping = world.read_queue(&probe, |_| {}).await;
        world.queue_is(Depth::default()).await;
        assert_eq!(probe.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_mapping_without_reports_deletes_what_was_answered_at_all() {
    let world = World::new().await;
    world.queue(&["1", "2"]);
    let probe = Probe::new(|_, event| report(event, &["1", "2"]));
    let _mapping = world.read_queue(&probe, |mapping| mapping.reports_failures = false).await;
    world.queue_is(Depth::default()).await;
    assert_eq!(probe.calls().len(), 1);
}

#[tokio::test]
async fn a_queue_is_read_by_no_more_at_once_than_its_limit() {
    let world = World::new().await;
    let queue = QueueConfig { visibility_timeout_s: 600, ..QueueConfig::new("jobs") };
    world.cloud.sqs().declare(&queue).unwrap();
    for message in 0..6 {
        world.cloud.sqs().send("jobs", NewMessage::new(message.to_string())).unwrap();
    }
    let probe = Probe::with_permits(0, |_, event| report(event, &[]));
    let _mapping = world
        .read_queue(&probe, |mapping| {
            mapping.concurrency = 2;
            mapping.batch_size = 1;
        })
        .await;
    probe.called(2).await;
    // What is not handled is not taken either: it would be hidden from others, and grow old.
    world.queue_is(Depth { visible: 4, in_flight: 2, delayed: 0 }).await;
    probe.gate.add_permits(6);
    world.queue_is(Depth::default()).await;
    assert_eq!(sorted(&probe.batches().concat()), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(probe.peak.load(Ordering::SeqCst), 2);
}
