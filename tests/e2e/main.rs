//! The bundle's promises, asked over HTTP.
//!
//! Each test starts a bundle of its own in this process and talks to its API. `ARCANA_API_URL` names a
//! deployed stack to talk to instead, and `AWS_ENDPOINT_URL` a ministack under a bundle of the test's own
//! (`tests/ministack.py`). What cannot be seen there says that it is skipped: of a deployed stack its mailbox, its
//! bus and its clock, of ministack rights, faults, and what outlives a bundle.
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
mod engine;
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
mod round_trips;
mod search;
mod sessions;
mod stock;
mod throttled;
mod uploads;
mod users;
mod visibility;
mod world;
