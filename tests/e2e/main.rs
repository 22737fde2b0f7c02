//! The whole of garth from outside: real clients against the real thing, one file a subject.
#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]
#![allow(clippy::disallowed_methods, reason = "tests look at files, and at the time, themselves")]

mod api;
mod audit;
mod cargo;
mod contract;
mod docs;
mod edge;
mod events;
mod full_disk;
mod identity;
mod live;
mod matrix;
mod noticed;
mod npm;
mod powercut;
mod process;
mod provider;
mod pull;
mod readme;
mod setup;
mod tidy;
mod upstream;
mod webhooks;
