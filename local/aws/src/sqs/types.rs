//! What callers hand in and get back.

use std::collections::BTreeMap;

use crate::AwsError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sqs::errors;

/// A queue's attributes. [`QueueConfig::new`] has AWS's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueConfig {
    /// Letters, digits, `-` and `_`; a FIFO queue's ends in `.fifo`.
    pub name: String,
    /// Ordered by group and deduplicated. Fixed at creation.
    pub fifo: bool,
    /// A FIFO message without a deduplication id gets one from its body.
    pub content_based_deduplication: bool,
    /// How long a received message stays hidden, 0 to 43200.
    pub visibility_timeout_s: u32,
    /// How long a new message stays hidden, 0 to 900.
    pub delay_s: u32,
    /// How long a message is kept, 60 to 1209600.
    pub retention_s: u32,
    /// How long `ReceiveMessage` waits if the request doesn't say, 0 to 20.
    pub receive_wait_s: u32,
    /// The longest body with its attributes, 1024 to 1048576.
    pub max_message_bytes: u32,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

/// When and where a message is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// The ARN of a queue of the same kind.
    pub dead_letter_queue_arn: String,
    /// After this many receives the next one moves the message instead, 1 to 1000.
    pub max_receive_count: u32,
}

impl QueueConfig {
    /// AWS's defaults; a name that ends in `.fifo` makes a FIFO queue.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            fifo: name.ends_with(".fifo"),
            name,
            content_based_deduplication: false,
            visibility_timeout_s: 30,
            delay_s: 0,
            retention_s: 345_600,
            receive_wait_s: 0,
            max_message_bytes: 262_144,
            redrive: None,
        }
    }

    /// Refuses what AWS would refuse, whatever way the queue is made.
    pub(crate) fn check(&self) -> Result<(), AwsError> {
        self.check_name()?;
        let within = |name, value: u32, min, max| {
            if (min..=max).contains(&value) { Ok(()) } else { Err(errors::attribute_value(name)) }
        };
        within("VisibilityTimeout", self.visibility_timeout_s, 0, 43_200)?;
        within("DelaySeconds", self.delay_s, 0, 900)?;
        within("MessageRetentionPeriod", self.retention_s, 60, 1_209_600)?;
        within("ReceiveMessageWaitTimeSeconds", self.receive_wait_s, 0, 20)?;
        within("MaximumMessageSize", self.max_message_bytes, 1_024, 1_048_576)?;
        if let Some(redrive) = &self.redrive {
            within("RedrivePolicy", redrive.max_receive_count, 1, 1_000)?;
            if crate::sqs::queues::name_of_arn(&redrive.dead_letter_queue_arn).is_none() {
                return Err(errors::attribute_value("RedrivePolicy"));
            }
        }
        if self.content_based_deduplication && !self.fifo {
            return Err(errors::attribute_name("ContentBasedDeduplication"));
        }
        Ok(())
    }

    fn check_name(&self) -> Result<(), AwsError> {
        let base = if self.fifo { self.name.strip_suffix(".fifo").unwrap_or_default() } else { &self.name };
        let plain = base.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if plain && !base.is_empty() && self.name.len() <= 80 {
            return Ok(());
        }
        Err(errors::parameter(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length, \
             with the suffix .fifo for a FIFO queue and only for one",
        ))
    }
}

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewMessage {
    /// What the message says.
    pub body: String,
    /// Overrides the queue's delay; not for FIFO queues.
    pub delay_s: Option<u32>,
    /// Required by FIFO queues.
    pub group_id: Option<String>,
    /// For FIFO queues: a second message of the same id within five minutes is dropped.
    pub deduplication_id: Option<String>,
    /// As in AWS's JSON: `{name: {DataType, StringValue | BinaryValue (base64)}}`.
    pub message_attributes: Map<String, Value>,
    /// `AWSTraceHeader`, the only system attribute that a sender may set.
    pub trace_header: Option<String>,
}

impl NewMessage {
    /// A message of only a body.
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
}

/// A received message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The id that sending answered.
    pub id: String,
    /// What this receive deletes the message with.
    pub receipt_handle: String,
    /// What the message says.
    pub body: String,
    /// In lower-case hexadecimal.
    pub md5_of_body: String,
    /// System attributes: `SentTimestamp`, `ApproximateReceiveCount`, `MessageGroupId` ...
    pub attributes: BTreeMap<String, String>,
    /// As they were sent.
    pub message_attributes: Map<String, Value>,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Can be received (in a FIFO queue: unless their group is blocked).
    pub visible: u64,
    /// Received, neither deleted nor visible again.
    pub in_flight: u64,
    /// Sent, not yet visible.
    pub delayed: u64,
}

/// Whether a message can be received, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MessageState {
    /// Can be received (in a FIFO queue: unless its group is blocked).
    Visible,
    /// Received, neither deleted nor visible again.
    InFlight,
    /// Sent, not yet visible.
    Delayed,
}

/// A message that somebody looks at without receiving it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Peeked {
    /// The id that sending answered.
    pub id: String,
    /// What the message says.
    pub body: String,
    /// System attributes, as in [`Message`].
    pub attributes: BTreeMap<String, String>,
    /// As they were sent.
    pub message_attributes: Map<String, Value>,
    /// Whether it can be received.
    pub state: MessageState,
    /// When it becomes or became visible.
    pub visible_ms: i64,
}
