//! The part of AWS that the bundle needs, small enough for a laptop.
//!
//! [`Cloud`] is all of it behind one HTTP endpoint, which real AWS SDKs talk to: DynamoDB and its
//! streams (dynoxide), S3 (s3s), SQS, EventBridge, Secrets Manager and an SES mailbox. [`iam`] knows who
//! calls and what they may do, [`lambda`] runs function binaries through the Lambda Runtime API, and
//! [`schedule`] knows when a schedule is due.
//!
//! It knows nothing of Arcana: what the bundle consists of is told to it through the AWS SDKs.

#![allow(clippy::doc_markdown, reason = "the docs are full of AWS's names of operations")]
#![allow(clippy::needless_pass_by_value, reason = "an operation's input is its own")]
#![allow(clippy::unused_async, reason = "every service is asked the same way")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "AWS's JSON has times as floats"
)]
#![allow(clippy::case_sensitive_file_extension_comparisons, reason = "the .fifo of a queue is no file's")]
#![allow(clippy::struct_field_names, reason = "AWS's names")]

pub mod bus;
mod clock;
mod cloud;
pub mod iam;
pub mod lambda;
pub mod loopback;
pub mod mail;
mod page;
pub mod pattern;
mod protocol;
mod s3;
pub mod schedule;
pub mod secrets;
pub mod sqs;
mod store;

pub use bus::{Deliver, Delivery, Entry, EventBridge, Rule, Target};
pub use clock::Clock;
pub use cloud::{Cloud, StartError, State};
pub use iam::Iam;
pub use mail::{Mail, Mailbox};
pub use pattern::Pattern;
pub use protocol::{AwsError, Protocol, Reply};
/// An error of a [`Store`].
pub use rusqlite::Error as StoreError;
pub use secrets::SecretsManager;
pub use store::Store;

/// The account id in every ARN of the emulated cloud.
pub const ACCOUNT: &str = "000000000000";
/// The region in every ARN of the emulated cloud.
pub const REGION: &str = "us-east-1";
/// The key pair of the emulated account's own user, who may do everything. It opens nothing but a laptop's loopback.
pub const ACCESS_KEY_ID: &str = "local";
/// See [`ACCESS_KEY_ID`].
pub const SECRET_ACCESS_KEY: &str = "local";
