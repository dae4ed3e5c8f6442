use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::*;

/// A bus whose targets are lists in memory: "gone" does not exist, "flaky" fails while it is down.
struct World {
    bridge: EventBridge,
    clock: Clock,
    sent: Arc<Mutex<Vec<Delivery>>>,
    down: Arc<AtomicBool>,
}

impl World {
    fn new() -> Self {
        let (clock, sent, down) =
            (Clock::default(), Arc::<Mutex<Vec<Delivery>>>::default(), Arc::<AtomicBool>::default());
        let (to, is_down) = (Arc::clone(&sent), Arc::clone(&down));
        let deliver: Deliver = Box::new(move |tx, delivery| {
            tx.execute("CREATE TABLE IF NOT EXISTS partial (x)", [])?;
            tx.execute("INSERT INTO partial VALUES (1)", [])?;
            if delivery.target_arn == "gone" {
                return Err(AwsError::client("QueueDoesNotExist", "no such queue"));
            }
            if delivery.target_arn == "flaky" && is_down.load(Ordering::SeqCst) {
                return Err(AwsError { status: 503, ..AwsError::client("ServiceUnavailable", "down") });
            }
            to.lock().expect("a lock").push(delivery.clone());
            Ok(())
        });
        let bridge =
            EventBridge::new(Store::memory().expect("a store"), clock.clone(), deliver).expect("a service");
        Self { bridge, clock, sent, down }
    }

    fn rule(&self, name: &str, pattern: Value, targets: Vec<Target>) {
        let rule = Rule { name: name.into(), bus: DEFAULT_BUS.into(), pattern, enabled: true, targets };
        self.bridge.declare_rule(&rule).expect("a rule");
    }

    fn put(&self, detail_type: &str, time: Option<f64>) -> Value {
        let entry = Entry {
            time,
            source: Some("shop".into()),
            detail_type: Some(detail_type.into()),
            detail: Some(r#"{"n": 1}"#.into()),
            ..Entry::default()
        };
        self.bridge.put(&[entry]).expect("an answer")
    }

    fn sent(&self) -> Vec<Delivery> {
        std::mem::take(&mut *self.sent.lock().expect("a lock"))
    }

    fn rows(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.bridge.store.transaction(|tx| tx.query_row(&sql, [], |row| row.get(0))).expect("a count")
    }

    async fn ask(&self, action: &str, input: Value) -> Reply {
        self.bridge.handle(action, input).await
    }
}

fn every_shop_event() -> Value {
    json!({"source": ["shop"]})
}

#[test]
fn an_event_goes_to_every_matching_rule_and_leaves_a_trace() {
    let world = World::new();
    let detail = Target { input_path: Some("$.detail".into()), ..Target::new("2", "b") };
    world.rule("all", every_shop_event(), vec![Target::new("1", "a"), detail]);
    world.rule("other", json!({"source": ["bank"]}), vec![Target::new("1", "c")]);
    let answer = world.put("sold", Some(1_700_000_000.9));
    let sent = world.sent();
    assert_eq!(sent.iter().map(|sent| sent.target_arn.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(sent[1].body, r#"{"n":1}"#);
    let event: Value = serde_json::from_str(&sent[0].body).expect("JSON");
    assert_eq!(event["id"], answer["Entries"][0]["EventId"]);
    assert_eq!(event["time"], "2023-11-14T22:13:20Z");
    assert_eq!(world.bridge.recent(10).expect("events"), [event]);
}

#[test]
fn rules_can_be_declared_again_and_no_more() {
    let world = World::new();
    world.rule("a", every_shop_event(), vec![Target::new("1", "x"), Target::new("2", "y")]);
    world.rule("a", every_shop_event(), vec![Target::new("2", "z")]);
    world.rule("b", every_shop_event(), vec![Target::new("1", "w")]);
    world.bridge.retain_rules(&["a"]).expect("retained");
    world.put("sold", None);
    assert_eq!(world.sent().iter().map(|sent| sent.target_arn.as_str()).collect::<Vec<_>>(), ["z"]);
}

#[test]
fn an_undeliverable_event_goes_to_the_dead_letter_queue_with_the_reason() {
    let world = World::new();
    let target = Target { dead_letter_arn: Some("letters".into()), ..Target::new("1", "gone") };
    world.rule("all", every_shop_event(), vec![target]);
    assert_eq!(world.put("sold", None)["FailedEntryCount"], 0);
    let sent = world.sent();
    assert_eq!(sent[0].target_arn, "letters");
    let attribute =
        |name: &str| sent[0].attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(attribute("RULE_ARN"), Some("arn:aws:events:us-east-1:000000000000:rule/all"));
    assert_eq!(attribute("TARGET_ARN"), Some("gone"));
    assert_eq!(attribute("ERROR_CODE"), Some("NO_RESOURCE"));
    assert_eq!(attribute("ERROR_MESSAGE"), Some("QueueDoesNotExist: no such queue"));
    assert_eq!(world.rows("partial"), 1, "what the failed delivery wrote is undone");
    assert_eq!(world.rows("failed_deliveries"), 0);
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_until_it_works() {
    let world = World::new();
    world.rule("all", every_shop_event(), vec![Target::new("1", "flaky")]);
    world.down.store(true, Ordering::SeqCst);
    world.put("sold", None);
    assert_eq!(world.bridge.retry_due().await.expect("retried"), 0);
    world.clock.advance_ms(1500);
    assert_eq!(world.bridge.retry_due().await.expect("retried"), 1);
    world.down.store(false, Ordering::SeqCst);
    world.clock.advance_ms(1500);
    assert_eq!(world.bridge.retry_due().await.expect("retried"), 0, "the second wait is two seconds");
    world.clock.advance_ms(1500);
    assert_eq!(world.bridge.retry_due().await.expect("retried"), 1);
    assert_eq!(world.sent().len(), 1);
    assert_eq!(world.rows("failed_deliveries"), 0);
}

#[tokio::test]
async fn exhausted_retries_end_in_the_dead_letter_queue() {
    let world = World::new();
    let letters = Some("letters".to_owned());
    let twice = Target { dead_letter_arn: letters, maximum_retry_attempts: 2, ..Target::new("1", "flaky") };
    world.rule("all", every_shop_event(), vec![twice]);
    world.down.store(true, Ordering::SeqCst);
    world.put("sold", None);
    for _ in 0..5 {
        world.clock.advance_ms(60_000);
        world.bridge.retry_due().await.expect("retried");
    }
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].attributes.contains(&("EXHAUSTED_RETRY_CONDITION".into(), "MaximumRetryAttempts".into()))
    );
    assert!(sent[0].attributes.contains(&("RETRY_ATTEMPTS".into(), "2".into())));
}

#[tokio::test]
async fn a_target_without_a_dead_letter_queue_may_appear_later() {
    let world = World::new();
    world.rule("all", every_shop_event(), vec![Target::new("1", "gone")]);
    world.put("sold", None);
    assert_eq!(world.rows("failed_deliveries"), 1);
    world.clock.advance_ms(86_400_000);
    world.bridge.retry_due().await.expect("retried");
    assert_eq!(world.rows("failed_deliveries"), 0, "dropped after a day");
}

#[test]
fn entries_fail_alone_and_requests_as_a_whole() {
    let world = World::new();
    let entry = |source: &str, detail: &str| Entry {
        source: Some(source.into()),
        detail_type: Some("t".into()),
        detail: Some(detail.into()),
        ..Entry::default()
    };
    let untyped = Entry { detail_type: None, ..entry("s", "{}") };
    let late = Entry { time: Some(1e300), ..entry("s", "{}") };
    let entries = [
        entry("s", "{}"),
        entry("s", "[]"),
        entry("s", "{"),
        entry("", "{}"),
        entry("aws.x", "{}"),
        untyped,
        late,
    ];
    let answer = world.bridge.put(&entries).expect("an answer");
    let codes: Vec<_> = answer["Entries"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| entry["ErrorCode"].as_str())
        .collect();
    assert_eq!(
        codes,
        [
            None,
            Some("MalformedDetail"),
            Some("MalformedDetail"),
            Some("InvalidArgument"),
            Some("NotAuthorizedForSourceException"),
            Some("InvalidArgument"),
            Some("InvalidArgument"),
        ]
    );
    assert_eq!(answer["FailedEntryCount"], 6);
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(REQUEST_LIMIT_HALF));
    for refused in [vec![], vec![entry("s", "{}"); 11], vec![entry("s", &large); 2]] {
        assert_eq!(world.bridge.put(&refused).expect_err("refused").code, "ValidationException");
    }
}

const REQUEST_LIMIT_HALF: usize = 131_072;

#[test]
fn an_event_for_a_missing_bus_succeeds_and_goes_nowhere() {
    let world = World::new();
    world.rule("all", every_shop_event(), vec![Target::new("1", "a")]);
    let lost = Entry {
        source: Some("shop".into()),
        detail_type: Some("t".into()),
        detail: Some("{}".into()),
        event_bus_name: Some("nowhere".into()),
        ..Entry::default()
    };
    let by_arn = Entry { event_bus_name: Some(arn("event-bus", "default")), ..lost.clone() };
    assert_eq!(world.bridge.put(&[lost, by_arn]).expect("an answer")["FailedEntryCount"], 0);
    assert_eq!(world.sent().len(), 1);
}

#[tokio::test]
async fn an_archive_forgets_what_is_older_than_its_retention() {
    let world = World::new();
    let create = json!({
        "ArchiveName": "a", "EventSourceArn": arn("event-bus", "default"), "RetentionDays": 2,
        "EventPattern": r#"{"detail-type": ["kept"]}"#,
    });
    world.ask("CreateArchive", create.clone()).await.expect("an archive");
    assert_eq!(
        world.ask("CreateArchive", create).await.expect_err("a second").code,
        "ResourceAlreadyExistsException"
    );
    world.put("kept", None);
    world.put("other", None);
    let count = async || {
        world.ask("DescribeArchive", json!({"ArchiveName": "a"})).await.expect("described")["EventCount"]
            .clone()
    };
    assert_eq!(count().await, 1);
    world.clock.advance_ms(2 * 86_400_000);
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn a_replay_keeps_to_its_window_and_its_rules() {
    let world = World::new();
    world.rule("one", every_shop_event(), vec![Target::new("1", "one")]);
    world.rule("two", every_shop_event(), vec![Target::new("1", "two")]);
    let bus = arn("event-bus", "default");
    world.ask("CreateArchive", json!({"ArchiveName": "a", "EventSourceArn": bus})).await.expect("an archive");
    for time in [100.0, 200.0, 300.0] {
        world.put("sold", Some(time));
    }
    world.sent();
    let start = |name: &str, filter: Value| {
        json!({
            "ReplayName": name, "EventSourceArn": arn("archive", "a"), "EventStartTime": 150.0, "EventEndTime": 250.0,
            "Destination": {"Arn": bus, "FilterArns": filter},
        })
    };
    world.ask("StartReplay", start("r", json!([rule_arn("default", "two")]))).await.expect("a replay");
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].target_arn, "two");
    let event: Value = serde_json::from_str(&sent[0].body).expect("JSON");
    assert_eq!((&event["time"], &event["replay-name"]), (&json!("1970-01-01T00:03:20Z"), &json!("r")));
    assert_eq!(
        world.ask("DescribeReplay", json!({"ReplayName": "r"})).await.expect("described")["State"],
        "COMPLETED"
    );
    assert_eq!(
        world.ask("DescribeArchive", json!({"ArchiveName": "a"})).await.expect("described")["EventCount"],
        3
    );
    let again = world.ask("StartReplay", start("r", json!([]))).await.expect_err("a second");
    assert_eq!(again.code, "ResourceAlreadyExistsException");
}

#[tokio::test]
async fn patterns_are_checked_when_they_are_put() {
    let world = World::new();
    let put = json!({"Name": "r", "EventPattern": r#"{"source": "shop"}"#});
    let error = world.ask("PutRule", put).await.expect_err("refused");
    assert_eq!(error.code, "InvalidEventPatternException");
    assert_eq!(error.message, "Event pattern is not valid. Reason: \"source\" must be an object or an array");
}

#[test]
fn input_paths_lead_into_the_event() {
    let world = World::new();
    let at = |path: &str| Target { input_path: Some(path.into()), ..Target::new(path, path) };
    let paths = ["$", "$['detail-type']", "$.detail.n", "$.resources[0]", "$.detail.none"];
    world.rule("all", every_shop_event(), paths.map(at).to_vec());
    world.put("sold", None);
    let sent = world.sent();
    let body = |path: &str| sent.iter().find(|sent| sent.target_arn == path).map(|sent| sent.body.as_str());
    assert!(body("$").is_some_and(|body| body.contains("detail-type")));
    assert_eq!(body("$['detail-type']"), Some("\"sold\""));
    assert_eq!(body("$.detail.n"), Some("1"));
    assert_eq!(body("$.resources[0]"), Some("null"));
    assert_eq!(body("$.detail.none"), Some("null"));
    for wrong in ["detail", "$.", "$detail", "$..x", "$.list[*]", "$.list[0"] {
        let rule = Rule {
            name: "x".into(),
            bus: "default".into(),
            pattern: every_shop_event(),
            enabled: true,
            targets: vec![at(wrong)],
        };
        assert!(world.bridge.declare_rule(&rule).is_err(), "{wrong}");
    }
}
