//! Logs: JSON, one object a line, for CloudWatch.
//!
//! A line never holds a secret, a token, a password or an email address: what must not be logged has
//! no `Debug`.

use std::error::Error;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts to write logs to standard output.
///
/// `level` is Lambda's `AWS_LAMBDA_LOG_LEVEL` (the function's `LoggingConfig`). Nothing below info is ever
/// written: at debug level, libraries write request bodies, passwords included.
pub fn start(level: Option<&str>) {
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
    let _ = tracing_subscriber::registry().with(json.with_filter(level.min(LevelFilter::INFO))).try_init();
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
