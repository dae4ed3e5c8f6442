//! What every Arcana function needs.
//!
//! Read it in this order:
//!
//! 1. the vocabulary, types that are parsed once at the edge: [`text`], [`email`], [`password`],
//!    [`id`], [`time`], [`money`];
//! 2. the entities and where they are stored: [`users`], [`sessions`], [`credentials`],
//!    [`one_time`] tokens, the [`directory`], [`products`], [`files`], [`receipts`], the [`audit`]; what limits their use: [`attempts`], [`limits`]; how they are counted
//!    and listed: [`counters`], [`listing`], [`page`]; and [`expired`];
//! 3. what crosses component borders: [`event`] (the bus), [`job`] (the queues), [`token`]
//!    (what a client holds), [`keys`] (what signs it);
//! 4. the function runtime: [`function`] (the five entry kinds), [`init`] (configuration and
//!    clients, read once), [`request`], [`response`], [`mod@input`], [`caller`] and [`error`]; [`outgoing`] HTTP;
//!    what HTTP asks of every endpoint: [`precondition`], [`idempotency`]; what an endpoint says of itself:
//!    [`describe`].
//!
//! A binary is three lines: it calls [`run`] with its [`Function`].

pub mod admission;
pub mod attempts;
pub mod audit;
pub mod aws;
pub mod batch;
pub mod caller;
pub mod clock;
pub mod conditional;
pub mod counters;
pub mod credentials;
pub mod cursor;
pub mod describe;
pub mod directory;
pub mod email;
pub mod error;
pub mod event;
pub mod expired;
pub mod files;
pub mod function;
pub mod id;
pub mod idempotency;
pub mod init;
pub mod input;
pub mod job;
pub mod keys;
pub mod limits;
pub mod listing;
pub mod log;
pub mod money;
pub mod one_time;
pub mod outgoing;
pub mod page;
pub mod password;
pub mod precondition;
pub mod products;
pub mod profile;
pub mod receipts;
pub mod request;
pub mod response;
mod run;
pub mod sessions;
pub mod sha256;
pub mod stream;
pub mod text;
pub mod time;
pub mod token;
pub mod transaction;
pub mod users;

pub use error::{Error, Result};
pub use function::Function;
pub use init::Init;
pub use request::Request;
pub use response::Response;
pub use run::{Exit, run};
