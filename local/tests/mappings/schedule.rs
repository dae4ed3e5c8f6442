//! The time.

use std::time::Duration;

use jiff::Timestamp;
use local::mapping::schedule::Mapping;
use local_aws::Clock;
use serde_json::Value;

use crate::probe::{Act, Probe};

fn mapping(expression: &str, enabled: bool) -> Mapping {
    let input = r#"{"scheduledTime": "<aws.scheduler.scheduled-time>"}"#.to_owned();
    Mapping { id: "nightly".to_owned(), expression: expression.to_owned(), enabled, input }
}

#[tokio::test]
async fn a_schedule_that_was_passed_over_several_times_runs_once_for_the_first() {
    let clock = Clock::default();
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
        () = mapping("cron(0 12 * * ? *)", true).run(clock.clone(), probe.invoker().await) => panic!("ended"),
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
    let mut ended = Vec::new();
    for (expression, enabled) in [("rate(1 minute)", false), ("at(2020-01-01T00:00:00)", true)] {
        let probe = Probe::new(|_, _| Act::Answer(Value::Null));
        let run = mapping(expression, enabled).run(Clock::default(), probe.invoker().await);
        if tokio::time::timeout(Duration::from_millis(600), run).await.is_ok() {
            ended.push(expression);
        }
        assert!(probe.calls().is_empty());
    }
    assert!(ended.is_empty(), "{ended:?} have ended");
}
