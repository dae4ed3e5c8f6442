//! What the emulated services promise, asked through the real AWS SDK.
#![allow(missing_docs, clippy::pedantic, reason = "tests name what they promise")]

mod cloud;
mod events;
mod iam;
mod runtime_api;
mod s3;
mod sqs;
