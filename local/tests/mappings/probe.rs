//! The function that does as it is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use local::invoke::Invoker;
use serde_json::{Value, json};
use shared::function::Operation;
use shared::{Error, Function, Init};
use tokio::sync::Semaphore;

use crate::{PATIENCE, eventually};

/// What the probe does with an invocation.
pub(crate) enum Act {
    Answer(Value),
    Fail,
    /// Never ends.
    Hang,
}

type Script = Box<dyn Fn(usize, &Value) -> Act + Send + Sync>;

/// A function that does as its script says, and remembers.
pub(crate) struct Probe {
    script: Script,
    /// The events, in the order in which they came.
    calls: Mutex<Vec<Value>>,
    /// An invocation takes a permit for good.
    pub(crate) gate: Semaphore,
    running: AtomicUsize,
    pub(crate) peak: AtomicUsize,
}

/// The probes by their names: a function is started with nothing but variables.
static PROBES: LazyLock<Mutex<BTreeMap<String, Arc<Probe>>>> = LazyLock::new(Mutex::default);

const FUNCTION: Function = Function::event::<Started>("probe");

struct Started(String);

impl Operation for Started {
    type Input = Value;
    type Output = Value;

    fn init(init: &mut Init) -> Self {
        Self(init.text("PROBE"))
    }

    async fn run(&self, event: Value) -> shared::Result<Value> {
        let probe = Arc::clone(&PROBES.lock().unwrap()[&self.0]);
        probe.peak.fetch_max(probe.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let place = {
            let mut calls = probe.calls.lock().unwrap();
            calls.push(event.clone());
            calls.len() - 1
        };
        probe.gate.acquire().await.unwrap().forget();
        let act = (probe.script)(place, &event);
        if matches!(act, Act::Hang) {
            std::future::pending::<()>().await;
        }
        probe.running.fetch_sub(1, Ordering::SeqCst);
        match act {
            Act::Answer(answer) => Ok(answer),
            _ => Err(Error::internal("the probe fails")),
        }
    }
}

impl Probe {
    /// A probe that is asked what to do with each invocation: its number, from 0, and its event.
    pub(crate) fn new(script: impl Fn(usize, &Value) -> Act + Send + Sync + 'static) -> Arc<Self> {
        Self::with_permits(Semaphore::MAX_PERMITS, script)
    }

    pub(crate) fn with_permits(
        permits: usize,
        script: impl Fn(usize, &Value) -> Act + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            calls: Mutex::default(),
            gate: Semaphore::new(permits),
            running: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        })
    }

    pub(crate) async fn invoker(self: &Arc<Self>) -> Arc<Invoker> {
        let name = uuid::Uuid::new_v4().to_string();
        PROBES.lock().unwrap().insert(name.clone(), Arc::clone(self));
        started(&FUNCTION, &name).await
    }

    pub(crate) fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap().clone()
    }

    /// The invocations, each as what its records are known by.
    pub(crate) fn batches(&self) -> Vec<Vec<String>> {
        self.calls().iter().map(names).collect()
    }

    /// Waits until there were `count` invocations.
    pub(crate) async fn called(&self, count: usize) {
        eventually("invocation", async || (self.calls.lock().unwrap().len() >= count).then_some(())).await;
    }
}

/// What an event's records are known by: a message's body, an item's id.
pub(crate) fn names(event: &Value) -> Vec<String> {
    let records = event["Records"].as_array().unwrap();
    let name = |record: &Value| {
        record["body"].as_str().or(record["dynamodb"]["Keys"]["id"]["S"].as_str()).unwrap().to_owned()
    };
    records.iter().map(name).collect()
}

/// The answer that reports the records of these names as failed.
pub(crate) fn report(event: &Value, failed: &[&str]) -> Act {
    let records = event["Records"].as_array().unwrap().iter().zip(names(event));
    let failed = records.filter(|(_, name)| failed.contains(&name.as_str()));
    let id = |record: &Value| {
        record["messageId"].as_str().or(record["dynamodb"]["SequenceNumber"].as_str()).map(ToOwned::to_owned)
    };
    let failures: Vec<Value> = failed.map(|(record, _)| json!({"itemIdentifier": id(record)})).collect();
    Act::Answer(json!({"batchItemFailures": failures}))
}

/// Starts a function in this process.
pub(crate) async fn started(function: &Function, probe: &str) -> Arc<Invoker> {
    let variables = [
        ("PROBE", probe),
        ("AWS_REGION", local_aws::REGION),
        ("AWS_ACCESS_KEY_ID", local_aws::ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", local_aws::SECRET_ACCESS_KEY),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let instance = function.start(variables, shared::clock::Clock::default()).await.unwrap();
    Arc::new(Invoker::here(function.name, PATIENCE, instance))
}
