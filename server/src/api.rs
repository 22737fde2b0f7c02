//! The admin API: JSON under `/api/v1`, and under `/api` for the newest version.
//!
//! Which endpoints there are, what each takes and answers, and which right it asks for stands once, in
//! the [`table`]; the routes and the [`openapi`] document are made of it. A token is asked for before
//! anything else. Handlers are thin: they read, call [`Rules`] or [`policies`], and answer JSON or a
//! [`problem`].

pub mod advisories;
pub mod closures;
pub mod codes;
pub mod decisions;
pub mod docs;
pub mod events;
pub mod exchange;
pub mod forget;
pub mod form;
pub mod jobs;
pub mod log;
pub mod login;
pub mod openapi;
pub mod packages;
pub mod people;
pub mod problem;
pub mod providers;
pub mod recorded;
pub mod requests;
pub mod roles;
pub mod rules;
pub mod statistics;
pub mod status;
pub mod table;
pub mod teams;
pub mod tokens;
pub mod trials;
pub mod waivers;
pub mod webhooks;

use std::sync::Arc;

use actix_web::web;

use crate::access::{Access, Person};
use crate::advisories::Advisories;
use crate::audit::{Log, Often};
use crate::clock::Clock;
use crate::closures::Closures;
use crate::config::{Anonymous, Mode};
use crate::recorded::Recorder;
use crate::registries::Registry;
use crate::requests::Requests;
use crate::rules::Rules;
use crate::rules::revisions::Revisions;
use crate::seen::Memory;
use form::once::Once;
use policies::package::Ecosystem;
use url::Url;

/// The largest body that is read.
pub const MAX_BODY: usize = 2 * 1024 * 1024;

/// What the handlers work with; mounted as `web::Data`.
#[derive(Clone, Debug)]
pub struct Api {
    pub rules: Rules,
    pub once: Once,
    pub advisories: Advisories,
    pub requests: Requests,
    pub access: Access,
    /// Counts for the audit log what comes often.
    pub often: Often,
    pub memory: Memory,
    pub recorder: Recorder,
    pub revisions: Revisions,
    pub log: Log,
    pub registries: Arc<[(Ecosystem, Arc<Registry>)]>,
    pub closures: Closures,
    pub clock: Clock,
    pub mode: Mode,
    pub public_url: Option<Url>,
    pub anonymous: Anonymous,
}

/// Where the API is: of one version, and of the newest.
pub const BASES: [&str; 2] = ["/api/v1", "/api"];

/// Who asks, as the check before each handler found it.
pub type By = web::ReqData<Arc<Person>>;

/// Mounts the API. `web::Data<Api>` must be there.
pub fn routes(cfg: &mut web::ServiceConfig) {
    for base in BASES {
        cfg.service(table::mount(base));
    }
}

#[cfg(test)]
mod tests;
