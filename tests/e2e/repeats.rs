//! Deliveries beyond the first: what SQS and Lambda's readers of streams may do, done to every message and record.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// How often each message and each record is delivered.
const DELIVERIES: usize = 5;
/// Deliveries beyond the first that one answer has at most.
const AT_ONCE: usize = 12;

/// What was delivered, and how often it is still to be.
#[derive(Default)]
pub(crate) struct Repeats {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of each queue and stream.
    left: BTreeMap<String, Vec<(Value, usize)>>,
    known: HashSet<String>,
    random: u64,
}

impl Repeats {
    /// Adds deliveries to what a queue or a stream answers; says whether it did. A stream must have one reader.
    pub(crate) fn add(&self, operation: &str, request: &[u8], answer: &mut Bytes) -> bool {
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let (source, member) = match operation {
            "ReceiveMessage" => (request["QueueUrl"].to_string(), "Messages"),
            "GetRecords" => (shard_of(&request), "Records"),
            _ => return false,
        };
        let mut parsed: Value = serde_json::from_slice(answer).unwrap();
        let fresh = parsed[member].as_array().cloned().unwrap_or_default();
        let ordered = operation == "GetRecords";
        let added = self.state.lock().unwrap().deliver(&source, &fresh, ordered);
        if added.is_empty() {
            return false;
        }
        // What is new comes last: a reader goes on behind it.
        parsed[member] = json!([added, fresh].concat());
        *answer = parsed.to_string().into();
        true
    }

    /// Whether nothing is left to be delivered once more.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().unwrap().left.values().all(Vec::is_empty)
    }
}

/// Which shard of which stream a reader is at: the embedded engine's iterators tell.
fn shard_of(request: &Value) -> String {
    let iterator = STANDARD.decode(request["ShardIterator"].as_str().unwrap()).unwrap();
    let iterator: Value = serde_json::from_slice(&iterator).unwrap();
    format!("{} {}", iterator["table_name"], iterator["shard_id"])
}

impl State {
    /// What is delivered once more beside what is fresh: messages in any order, records from an earlier one on, for of an item a
    /// stream never tells an older change last.
    fn deliver(&mut self, source: &str, fresh: &[Value], ordered: bool) -> Vec<Value> {
        let mut left = self.left.remove(source).unwrap_or_default();
        let mut added = Vec::new();
        if ordered {
            added.extend(left.iter().map(|(delivery, _)| delivery.clone()));
            for (_, times) in &mut left {
                *times -= 1;
            }
            left.retain(|(_, times)| *times > 0);
        }
        while !ordered && added.len() < AT_ONCE && !left.is_empty() {
            let place = self.below(left.len());
            let (delivery, times) = &mut left[place];
            added.push(delivery.clone());
            *times -= 1;
            if *times == 0 {
                left.swap_remove(place);
            }
        }
        for delivery in fresh {
            let name = delivery["MessageId"].as_str().or_else(|| delivery["eventID"].as_str());
            if self.known.insert(name.expect("a message or a record").to_owned()) {
                left.push((delivery.clone(), DELIVERIES - 1));
            }
        }
        self.left.insert(source.to_owned(), left);
        added
    }

    /// A number below `most`, the same each time (xorshift).
    fn below(&mut self, most: usize) -> usize {
        let mut random = self.random.max(0x9E37_79B9_7F4A_7C15);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random = random;
        usize::try_from(random % most as u64).unwrap()
    }
}
