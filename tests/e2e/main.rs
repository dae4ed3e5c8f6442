//! The bundle's promises, asked over HTTP.
//!
//! Each test starts a bundle of its own in this process and talks to its API. `ARCANA_API_URL` names a
//! deployed stack to talk to instead, and `AWS_ENDPOINT_URL` another engine under a bundle of the test's
//! own; a test that looks where only a laptop can (the mailbox, the bus, the clock) then says that it
//! is skipped.
#![allow(missing_docs, reason = "tests name what they promise")]

mod app;
mod attacks;
mod audit;
mod auth;
mod bodies;
mod catalogue;
mod cleanup;
mod consumers;
mod cost;
mod dead_letters;
mod directory;
mod documents;
mod drive;
mod events;
mod faults;
mod files;
mod finalize;
mod forgery;
mod gate;
mod grpc;
mod idempotency;
mod invocations;
mod killer;
mod kills;
mod local_bundle;
mod ops;
mod outages;
mod passwords;
mod prices;
mod privacy;
mod products;
mod races;
mod registrations;
mod repeats;
mod rotation;
mod search;
mod sessions;
mod stock;
mod throttled;
mod uploads;
mod users;
mod visibility;
mod world;
