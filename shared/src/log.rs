//! Logs: JSON, one object a line, for CloudWatch, which makes metrics of some.
//!
//! A line never holds a secret, a token, a password or an email address: what must not be logged has
//! no `Debug`.
//!
//! A line with a field `metrics` has metrics among its other fields; CloudWatch is told in its embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::time::Timestamp;

/// `Latency` and `Faults` of a request.
pub const OF_REQUEST: &str = "Latency:Milliseconds Faults:Count";
/// `Events`, how many, by the type that `Event` is.
pub const OF_EVENT: &str = "Event Events:Count";
/// `MailsSent`, how many.
pub const OF_MAIL: &str = "MailsSent:Count";

/// Starts to write logs to standard output.
///
/// `level` is Lambda's `AWS_LAMBDA_LOG_LEVEL` (the function's `LoggingConfig`). Nothing below info is ever
/// written: at debug level, libraries write request bodies, passwords included. `namespace` is that of the metrics.
pub fn start(level: Option<&str>, namespace: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    // In one piece: two invocations of a process never share it, but its threads could. Nobody is there to hear of a
    // failure.
    let write = |line: &str| drop(std::io::stdout().lock().write_all(line.as_bytes()));
    let lines = Lines { namespace: namespace.map(ToOwned::to_owned), write };
    let lines = lines.with_filter(level.min(LevelFilter::INFO));
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// An error and all its causes on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Writes each event as a line.
struct Lines<W> {
    namespace: Option<String>,
    write: W,
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let line = line.finish(event, self.namespace.as_deref(), Timestamp::system());
        (self.write)(&format!("{line}\n"));
    }
}

/// The fields of an event.
#[derive(Default)]
struct Line(Map<String, Value>);

impl Line {
    fn finish(mut self, event: &Event<'_>, namespace: Option<&str>, now: Timestamp) -> Value {
        let metadata = event.metadata();
        self.0.insert("timestamp".to_owned(), json!(now));
        self.0.insert("level".to_owned(), json!(metadata.level().as_str()));
        self.0.insert("target".to_owned(), json!(metadata.target()));
        let metrics = self.0.remove("metrics");
        if let (Some(Value::String(metrics)), Some(namespace)) = (metrics, namespace) {
            self.0.insert("_aws".to_owned(), of_metrics(&metrics, namespace, now));
        }
        Value::Object(self.0)
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

/// What tells CloudWatch which fields are metrics: `metrics` has their names and units (`Latency:Milliseconds`), and the names of
/// their dimensions.
fn of_metrics(metrics: &str, namespace: &str, now: Timestamp) -> Value {
    let (metrics, dimensions): (Vec<&str>, Vec<&str>) =
        metrics.split_whitespace().partition(|word| word.contains(':'));
    let metric = |word: &str| word.split_once(':').map(|(name, unit)| json!({"Name": name, "Unit": unit}));
    let metrics: Vec<Value> = metrics.into_iter().filter_map(metric).collect();
    json!({
        "Timestamp": now.ms(),
        "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [dimensions], "Metrics": metrics}],
    })
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is written of what `work` logs.
    fn written(namespace: Option<&str>, work: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(String::new()));
        let to = Arc::clone(&written);
        let write = move |line: &str| to.lock().unwrap().push_str(line);
        let lines = Lines { namespace: namespace.map(ToOwned::to_owned), write };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        let written = written.lock().unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_its_fields_as_they_are_and_those_that_are_metrics_are_said_to_be() {
        let log = || {
            tracing::info!(metrics = OF_REQUEST, Latency = 12, Faults = 0, route = "GET /x", "a\nrequest");
            tracing::warn!(held = true, "no \"metrics\"");
        };
        let lines = written(Some("arcana-dev"), log);
        let [request, warning] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&request["Latency"], &request["Faults"]), (&json!(12), &json!(0)));
        assert_eq!((&request["message"], &request["level"]), (&json!("a\nrequest"), &json!("INFO")));
        assert_eq!(request.get("metrics"), None);
        let metrics = &request["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Namespace"], "arcana-dev");
        for metric in metrics["Metrics"].as_array().unwrap() {
            assert!(request[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
        assert!(request["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!((&warning["held"], warning.get("_aws")), (&json!(true), None));
        // Nowhere to count them, as on a laptop.
        assert_eq!(written(None, log)[0].get("_aws"), None);
    }

    #[test]
    fn a_line_tells_cloudwatch_which_of_its_fields_are_metrics() {
        let now = Timestamp::from_ms(1_700_000_000_000);
        let of = |metrics| of_metrics(metrics, "arcana-dev", now);
        assert_eq!(
            of(OF_REQUEST),
            json!({"Timestamp": 1_700_000_000_000_i64, "CloudWatchMetrics": [{
                "Namespace": "arcana-dev",
                "Dimensions": [[]],
                "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}, {"Name": "Faults", "Unit": "Count"}],
            }]})
        );
        assert_eq!(of(OF_EVENT)["CloudWatchMetrics"][0]["Dimensions"], json!([["Event"]]));
    }
}
