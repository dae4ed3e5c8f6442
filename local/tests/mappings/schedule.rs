//! The time.

use std::time::Duration;

use jiff::Timestamp;
use local::mapping::schedule::{Failing, Mapping};
use local_aws::Clock;
use local_aws::sqs::{QueueConfig, Sqs};
use serde_json::{Value, json};

use crate::probe::{Act, Probe};
use crate::{World, eventually};

fn mapping(expression: &str, enabled: bool) -> Mapping {
    let input = r#"{"scheduledTime": "<aws.scheduler.scheduled-time>"}"#.to_owned();
    let failing = Failing::read(&json!({
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 90,
        "DestinationConfig": {"OnFailure": {"Type": "SQS", "Destination": Sqs::arn("failures")}},
    }));
    Mapping { id: "nightly".to_owned(), expression: expression.to_owned(), enabled, input, failing }
}

/// What is put aside of a function that always fails, after the clock has moved so far a first and a second time; and what it was
/// called with.
async fn put_aside(pause: i64, expected: usize) -> (Value, Vec<Value>) {
    let world = World::new().await;
    world.cloud.sqs().declare(&QueueConfig::new("failures")).unwrap();
    let clock = Clock::default();
    let probe = Probe::new(|_, _| Act::Fail);
    let body = async {
        // Five seconds into a minute: the next one is far from whatever is looked at.
        clock.advance_ms(65_000 - clock.now_ms() % 60_000);
        probe.called(1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(probe.calls().len(), 1, "a minute has not passed");
        clock.advance_ms(pause);
        probe.called(expected).await;
        eventually("record of it", async || world.cloud.sqs().peek("failures").unwrap().pop()).await
    };
    let run = mapping("rate(1 minute)", true).run(clock.clone(), world.aws.clone(), probe.invoker().await);
    let message = tokio::select! {
        biased;
        () = run => panic!("ended"),
        message = body => message,
    };
    (serde_json::from_str(&message.body).unwrap(), probe.calls())
}

#[tokio::test]
async fn a_run_that_fails_is_tried_again_after_a_minute_and_then_put_aside_beside_the_next() {
    let (record, calls) = put_aside(61_000, 3).await;
    let context = &record["requestContext"];
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&json!("RetriesExhausted"), &json!(2))
    );
    assert_eq!(record["requestPayload"], calls[0]);
    assert!(record["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{record}");
    assert!(context["functionArn"].as_str().unwrap().ends_with(":$LATEST"), "{record}");
    assert_eq!(calls.iter().filter(|call| **call == calls[0]).count(), 2);
    assert_ne!(calls[1], calls[2], "the next one has run too");
}

#[tokio::test]
async fn a_run_that_is_too_old_to_be_tried_again_is_put_aside() {
    let (record, calls) = put_aside(100_000, 2).await;
    let context = &record["requestContext"];
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&json!("EventAgeExceeded"), &json!(1))
    );
    assert_ne!(calls[0], calls[1]);
}

#[tokio::test]
async fn a_schedule_that_was_passed_over_several_times_runs_once_for_the_first() {
    let (world, clock) = (World::new().await, Clock::default());
    let probe = Probe::new(|_, _| Act::Answer(Value::Null));
    let start = Timestamp::from_millisecond(clock.now_ms()).unwrap();
    let body = async {
        clock.advance_ms(3 * 24 * 3_600_000);
        probe.called(1).await;
        // The next one is due within a day: had the clock's jump caused three, two more would be here.
        clock.advance_ms(24 * 3_600_000);
        probe.called(2).await;
    };
    tokio::select! {
        // The mapping looks at the clock before it is moved.
        biased;
        () = mapping("cron(0 12 * * ? *)", true).run(clock.clone(), world.aws.clone(), probe.invoker().await) => panic!("ended"),
        () = body => {}
    }
    let calls = probe.calls();
    let due = |call: usize| calls[call]["scheduledTime"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(due(0).to_string().ends_with("T12:00:00Z"));
    assert!(due(0) > start && due(0).duration_since(start).as_hours() < 24, "{} {start}", due(0));
    assert_eq!(due(1).duration_since(due(0)).as_hours(), 72);
}

#[tokio::test]
async fn a_schedule_that_is_never_due_neither_runs_nor_ends() {
    // The bundle takes the end of what invokes functions for a failure, and stops.
    let (world, mut ended) = (World::new().await, Vec::new());
    for (expression, enabled) in [("rate(1 minute)", false), ("at(2020-01-01T00:00:00)", true)] {
        let probe = Probe::new(|_, _| Act::Answer(Value::Null));
        let run =
            mapping(expression, enabled).run(Clock::default(), world.aws.clone(), probe.invoker().await);
        if tokio::time::timeout(Duration::from_millis(600), run).await.is_ok() {
            ended.push(expression);
        }
        assert!(probe.calls().is_empty());
    }
    assert!(ended.is_empty(), "{ended:?} have ended");
}
