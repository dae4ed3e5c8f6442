//! A table's stream.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use local::invoke::Invoker;
use local::mapping::stream::{Mapping, Services};
use serde_json::{Value, json};
use shared::function::StreamReader;
use shared::stream::Change;
use shared::{Error, Function, Init};
use tokio::spawn;

use crate::probe::{Act, Probe, names, report, started};
use crate::{Running, World, eventually};

/// A mapping that reads a stream from its start.
fn mapping(stream_arn: &str) -> Mapping {
    Mapping {
        id: "reader".to_owned(),
        stream_arn: stream_arn.to_owned(),
        from_start: true,
        batch_size: 100,
        retries: None,
        bisects: false,
        reports_failures: true,
        on_failure: None,
    }
}

impl World {
    /// Makes a table with a stream; answers the stream's ARN.
    async fn table(&self) -> String {
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
        let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
        let images = StreamSpecification::builder().stream_enabled(true);
        let images = images.stream_view_type(StreamViewType::NewAndOldImages).build().unwrap();
        let create = self.aws.dynamodb().create_table().table_name("users").key_schema(key);
        let create = create.attribute_definitions(id.build().unwrap()).stream_specification(images);
        let created = create.billing_mode(BillingMode::PayPerRequest).send().await.unwrap();
        created.table_description.unwrap().latest_stream_arn.unwrap()
    }

    async fn put(&self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            let put = self.aws.dynamodb().put_item().table_name("users");
            let put = put.item("id", AttributeValue::S(id.to_string()));
            put.item("name", AttributeValue::S(format!("User {id}"))).send().await.unwrap();
        }
    }

    /// Reads a stream from its start.
    async fn read_stream(
        &self,
        stream_arn: &str,
        probe: &Arc<Probe>,
        change: impl FnOnce(&mut Mapping),
    ) -> Running {
        let mut mapping = mapping(stream_arn);
        change(&mut mapping);
        self.run(mapping, probe.invoker().await)
    }

    fn run(&self, mapping: Mapping, function: Arc<Invoker>) -> Running {
        let services = Services {
            streams: aws_sdk_dynamodbstreams::Client::new(self.aws.config()),
            s3: self.aws.s3(),
            store: self.cloud.store().clone(),
            cloud: Some(Arc::clone(&self.cloud)),
        };
        Running(spawn(mapping.run(services, function)))
    }

    /// The documents in the bucket of records that failed for good, once there are `count`.
    async fn failures(&self, count: usize) -> Vec<Value> {
        let s3 = self.aws.s3();
        let objects = eventually("failure", async || {
            let listed = s3.list_objects_v2().bucket("failures").send().await.unwrap();
            Some(listed.contents.unwrap_or_default()).filter(|objects| objects.len() >= count)
        });
        let mut documents = Vec::new();
        for object in objects.await {
            let body =
                s3.get_object().bucket("failures").key(object.key().unwrap()).send().await.unwrap().body;
            documents.push(serde_json::from_slice(&body.collect().await.unwrap().into_bytes()).unwrap());
        }
        documents
    }

    async fn failures_bucket(&self) -> Option<String> {
        self.aws.s3().create_bucket().bucket("failures").send().await.unwrap();
        Some("arn:aws:s3:::failures".to_owned())
    }
}

#[tokio::test]
async fn a_stream_is_read_in_order_from_its_start() {
    let world = World::new().await;
    let stream = world.table().await;
    world.put(0..5).await;
    let probe = Probe::new(|_, event| report(event, &[]));
    let _mapping = world.read_stream(&stream, &probe, |mapping| mapping.batch_size = 3).await;
    probe.called(2).await;
    world.put(5..7).await;
    eventually("end", async || (probe.batches().concat().len() >= 7).then_some(())).await;
    assert_eq!(probe.batches()[..2], [vec!["0", "1", "2"], vec!["3", "4"]]);
    assert_eq!(probe.batches().concat(), ["0", "1", "2", "3", "4", "5", "6"]);
    let record = &probe.calls()[0]["Records"][1];
    assert_eq!((&record["eventName"], &record["eventSourceARN"]), (&json!("INSERT"), &json!(stream)));
    assert_eq!(record["dynamodb"]["NewImage"], json!({"id": {"S": "1"}, "name": {"S": "User 1"}}));
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_after_a_restart() {
    let world = World::new().await;
    let stream = world.table().await;
    world.put(0..3).await;
    // It is stopped in the middle of the second record, which therefore comes again.
    let probe = Probe::new(|place, event| if place == 1 { Act::Hang } else { report(event, &[]) });
    let mapping = world.read_stream(&stream, &probe, |mapping| mapping.batch_size = 1).await;
    probe.called(2).await;
    mapping.stop().await;
    world.put(3..4).await;
    let _mapping = world.read_stream(&stream, &probe, |mapping| mapping.batch_size = 1).await;
    probe.called(5).await;
    assert_eq!(probe.batches(), [["0"], ["1"], ["1"], ["2"], ["3"]]);
}

#[tokio::test]
async fn a_reported_record_is_tried_again_without_what_came_before() {
    let world = World::new().await;
    let stream = world.table().await;
    world.put(0..5).await;
    // The lowest of those that are reported counts.
    let probe = Probe::new(|place, event| report(event, if place == 0 { &["4", "2"] } else { &[] }));
    let _mapping = world.read_stream(&stream, &probe, |mapping| mapping.bisects = true).await;
    probe.called(2).await;
    world.put(5..6).await;
    probe.called(3).await;
    assert_eq!(probe.batches(), [vec!["0", "1", "2", "3", "4"], vec!["2", "3", "4"], vec!["5"]]);
}

#[tokio::test]
async fn a_stopped_retry_goes_on_from_the_reported_record() {
    let world = World::new().await;
    let stream = world.table().await;
    world.put(0..3).await;
    let probe = Probe::new(|place, event| match place {
        0 => report(event, &["1"]),
        1 => Act::Hang,
        _ => report(event, &[]),
    });
    let mapping = world.read_stream(&stream, &probe, |_| {}).await;
    probe.called(2).await;
    mapping.stop().await;
    let _mapping = world.read_stream(&stream, &probe, |_| {}).await;
    probe.called(3).await;
    assert_eq!(probe.batches(), [vec!["0", "1", "2"], vec!["1", "2"], vec!["1", "2"]]);
}

#[tokio::test]
async fn a_stream_batch_fails_whole_by_an_unknown_record_or_an_answer_that_is_no_report() {
    for answer in [
        json!({"batchItemFailures": [{"itemIdentifier": "unknown"}]}),
        json!({"batchItemFailures": [{"itemIdentifier": ""}]}),
        json!({"batchItemFailures": 1}),
    ] {
        let world = World::new().await;
        let stream = world.table().await;
        world.put(0..2).await;
        let probe = Probe::new(move |place, event| match place {
            0 => Act::Answer(answer.clone()),
            _ => report(event, &[]),
        });
        let _mapping = world.read_stream(&stream, &probe, |_| {}).await;
        probe.called(2).await;
        assert_eq!(probe.batches(), [["0", "1"], ["0", "1"]]);
    }
}

#[tokio::test]
async fn a_poison_record_is_found_and_given_up_alone() {
    let world = World::new().await;
    let stream = world.table().await;
    world.put(0..8).await;
    let is_poisoned = |event: &Value| names(event).contains(&"5".to_owned());
    let probe = Probe::new(move |_, event| if is_poisoned(event) { Act::Fail } else { report(event, &[]) });
    let on_failure = world.failures_bucket().await;
    let _mapping = world
        .read_stream(&stream, &probe, |mapping| {
            mapping.bisects = true;
            mapping.retries = Some(2);
            mapping.on_failure = on_failure;
        })
        .await;
    let handled =
        || -> Vec<_> { probe.calls().iter().filter(|event| !is_poisoned(event)).flat_map(names).collect() };
    eventually("end", async || handled().contains(&"7".to_owned()).then_some(())).await;
    world.put(8..9).await;
    eventually("more", async || handled().contains(&"8".to_owned()).then_some(())).await;
    assert_eq!(handled(), ["0", "1", "2", "3", "4", "6", "7", "8"]);
    let alone = probe.batches().iter().filter(|batch| **batch == ["5"]).count();
    assert_eq!(alone, 3, "once and two retries: {:?}", probe.batches());

    let failures = world.failures(1).await;
    let [failure] = failures.as_slice() else { panic!("{failures:?}") };
    let payload: Value = serde_json::from_str(failure["payload"].as_str().unwrap()).unwrap();
    assert_eq!(names(&payload), ["5"]);
    assert_eq!(payload["Records"][0]["dynamodb"]["NewImage"]["name"]["S"], "User 5");
    let info = &failure["DDBStreamBatchInfo"];
    let number = &payload["Records"][0]["dynamodb"]["SequenceNumber"];
    assert_eq!((&info["startSequenceNumber"], &info["endSequenceNumber"]), (number, number));
    assert_eq!((&info["batchSize"], &info["streamArn"]), (&json!(1), &json!(stream)));
}

#[tokio::test]
async fn without_halving_a_batch_is_given_up_whole() {
    let world = World::new().await;
    let stream = world.table().await;
    world.put(0..2).await;
    let probe = Probe::new(|place, event| if place < 2 { Act::Fail } else { report(event, &[]) });
    let on_failure = world.failures_bucket().await;
    let _mapping = world
        .read_stream(&stream, &probe, |mapping| {
            mapping.retries = Some(1);
            mapping.on_failure = on_failure;
        })
        .await;
    let failures = world.failures(1).await;
    let payload: Value = serde_json::from_str(failures[0]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(names(&payload), ["0", "1"]);
    world.put(2..3).await;
    probe.called(3).await;
    assert_eq!(probe.batches(), [vec!["0", "1"], vec!["0", "1"], vec!["2"]]);
}

#[tokio::test]
async fn a_record_that_is_reported_for_good_takes_along_what_comes_after_it_as_at_lambda() {
    // "The batch is bisected at the returned sequence number, and Lambda retries only the remaining
    // records": they are not halved further, and given up together. Why the runtime does not report them so.
    let world = World::new().await;
    let stream = world.table().await;
    world.put(0..4).await;
    let probe = Probe::new(|_, event| report(event, &["1"]));
    let on_failure = world.failures_bucket().await;
    let _mapping = world.read_stream(&stream, &probe, |mapping| gives_up_soon(mapping, on_failure)).await;
    assert_eq!(given_up(&world.failures(1).await[0]), ["1", "2", "3"]);
    assert_eq!(probe.batches(), [vec!["0", "1", "2", "3"], vec!["1", "2", "3"]]);
}

/// A reader that works in order and stumbles over one record.
struct Stumbling;

static READ: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl StreamReader for Stumbling {
    fn init(_: &mut Init) -> Self {
        Self
    }

    async fn read<'a>(&self, changes: &'a [Change]) -> Result<(), (&'a Change, Error)> {
        for change in changes {
            let (_, new) = change.images::<Value>().map_err(|error| (change, error))?;
            let id = new.unwrap()["id"].as_str().unwrap().to_owned();
            if id == "1" {
                return Err((change, Error::internal("the probe stumbles")));
            }
            READ.lock().unwrap().push(id);
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_record_that_a_reader_stumbles_over_is_given_up_alone() {
    let world = World::new().await;
    let stream = world.table().await;
    world.put(0..4).await;
    let on_failure = world.failures_bucket().await;
    let function = started(&Function::stream::<Stumbling>("stumbling"), "none").await;
    let mut mapping = mapping(&stream);
    gives_up_soon(&mut mapping, on_failure);
    let _mapping = world.run(mapping, function);
    assert_eq!(given_up(&world.failures(1).await[0]), ["1"]);
    eventually("end", async || (READ.lock().unwrap().len() >= 3).then_some(())).await;
    assert_eq!(*READ.lock().unwrap(), ["0", "2", "3"]);
}

fn gives_up_soon(mapping: &mut Mapping, on_failure: Option<String>) {
    mapping.bisects = true;
    mapping.retries = Some(1);
    mapping.on_failure = on_failure;
}

/// What the records of a document of failure are known by.
fn given_up(failure: &Value) -> Vec<String> {
    names(&serde_json::from_str(failure["payload"].as_str().unwrap()).unwrap())
}
