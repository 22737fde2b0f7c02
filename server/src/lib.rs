//! garth: the walled garden for an organisation's dependencies.
//!
//! Start at [`app`], which puts the parts together; a request's way is `registries` → `gate` →
//! `pull` → `upstream` and `blobs`.

pub mod access;
pub mod advisories;
pub mod api;
pub mod app;
pub mod audit;
pub mod blobs;
pub mod check;
pub mod cli;
pub mod clock;
pub mod closures;
pub mod config;
pub mod discovery;
pub mod disk;
pub mod edge;
pub mod events;
pub mod facts;
pub mod gate;
pub mod jobs;
pub mod metadata;
pub mod observability;
pub mod person;
pub mod pull;
pub mod random;
pub mod recorded;
pub mod registries;
pub mod requests;
pub mod rules;
mod secret_file;
pub mod seen;
pub mod signing;
pub mod upstream;
pub mod webhooks;
