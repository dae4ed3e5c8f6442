//! Template, functions, binaries and sample events say the same.
#![allow(missing_docs, reason = "tests name what they promise")]

mod binaries;
mod environment;
mod events;
mod kinds;
mod names;
mod openapi;
mod project;
mod tidy;
