//! The execution environment of AWS Lambda, emulated: real binaries (`bootstrap`
//! of a custom runtime) run through the Lambda Runtime API, one process per
//! concurrent invocation.
//!
//! [`RuntimeApi`] is the endpoint that processes ask for events, [`Binary`] says
//! what to run, and a [`Pool`] runs it: it starts a process when no warm one is
//! idle, hands it one event at a time, and ends it when it misbehaves.
//!
//! # No process outlives its pool
//!
//! Whoever holds a process owns it: a pool its idle ones, an invocation its busy
//! one. To drop it is to `SIGKILL` it. Should the emulator itself be killed, no
//! `Drop` runs; then two things remain. A runtime that asks for its next event
//! sees the connection close and exits. And where util-linux' `setpriv` is
//! installed, processes are started through it with a parent-death signal of
//! `SIGKILL`, which ends the busy ones too. (Setting that signal from Rust needs
//! `pre_exec`, which is unsafe.) Processes that a function starts in its turn are
//! not tracked.

mod api;
mod binary;
mod error;
mod log;
mod pool;
mod process;
mod session;
mod spawner;

pub use api::RuntimeApi;
pub use binary::{Binary, Log};
pub use error::InvokeError;
pub use pool::{Invocation, Pool};
