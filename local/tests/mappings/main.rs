//! What invokes functions unasked, tried on a cloud of the test's own with a function that does as it is
//! told.
#![allow(missing_docs, clippy::pedantic, reason = "tests name what they promise")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use local::mapping::stream::SCHEMA;
use local_aws::{Clock, Cloud, State};
use shared::aws::{Aws, Environment};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

mod probe;
mod queue;
mod schedule;
mod stream;

/// How long something may take whose time is no promise: a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` finds something.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A mapping that runs until it is dropped.
struct Running(JoinHandle<()>);

impl Running {
    /// Stops it and waits until it has.
    async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct World {
    cloud: Arc<Cloud>,
    aws: Aws,
}

impl World {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cloud = Cloud::start(listener, &State::Memory, Clock::default()).await.unwrap();
        cloud.store().migrate(SCHEMA).unwrap();
        let aws = Aws::new(Environment {
            region: local_aws::REGION.to_owned(),
            access_key_id: local_aws::ACCESS_KEY_ID.to_owned(),
            secret_access_key: local_aws::SECRET_ACCESS_KEY.to_owned(),
            session_token: None,
            endpoint: Some(cloud.endpoint()),
        });
        Self { cloud: Arc::new(cloud), aws }
    }
}
