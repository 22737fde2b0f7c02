//! The whole of garth from outside: real clients against the real thing, one file a subject.
#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod contract;
mod edge;
mod full_disk;
mod live;
mod npm;
mod powercut;
mod pull;
mod readme;
mod tidy;
mod upstream;
