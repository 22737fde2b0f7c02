//! What the tests stand on: the real binary, real clients, a scripted upstream.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "a test that can not go on fails"
)]

pub mod cargo;
pub mod client;
pub mod crates;
pub mod edge;
pub mod events;
pub mod front;
pub mod http;
pub mod issuer;
pub mod mount;
pub mod npm;
pub mod own_crates;
pub mod package_managers;
pub mod powercut;
pub mod prompts;
pub mod provider;
pub mod publish;
pub mod receiver;
pub mod server;
pub mod upstream;
