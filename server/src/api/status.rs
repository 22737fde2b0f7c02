//! `/status` and `/registries`: how this garden is, and in front of what it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpRequest, web};
use jiff::Timestamp;
use policies::decision::Revision;
use policies::package::Ecosystem;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Api;
use super::problem::Problem;
use super::table::{ADMINISTER, Endpoint, READ, get};
use crate::blobs::Blobs;
use crate::blobs::scrub::ScrubProgress;
use crate::config::Mode;
use crate::jobs::Jobs;
use crate::jobs::census::Census;
use crate::metadata::Metadata;
use crate::observability::redact::redacted;
use crate::observability::{CheckState, Health, Metrics, Readiness};
use crate::registries::Registry;
use crate::upstream::{BreakerState, Upstream};

/// What is looked at; mounted as `web::Data`.
#[derive(Clone, Debug)]
pub struct Vitals {
    pub started: Timestamp,
    pub health: Health,
    pub metadata: Arc<dyn Metadata>,
    pub blobs: Blobs,
    pub scrub: watch::Receiver<ScrubProgress>,
    pub jobs: Jobs,
    pub census: Census,
    pub metrics: Metrics,
    /// What is set, without secrets.
    pub settings: BTreeMap<String, String>,
}

pub fn endpoints() -> Vec<Endpoint> {
    let set = "What is set, and not left to its default";
    vec![
        get("show_status", "/status", READ, "How this garden is", status)
            .answers::<StatusView>(200, "Its health, its size, and what is in force."),
        get("show_settings", "/settings", ADMINISTER, set, settings)
            .note("Secrets and user information in URLs are not shown.")
            .answers::<SettingsView>(200, "Settings by their names in garth.toml."),
        get("list_registries", "/registries", READ, "Registries, by name", list)
            .answers::<RegistryList>(200, "All of them."),
        get("show_registry", "/registries/{registry}", READ, "One registry", show)
            .part::<String>("registry", "Its name, which its addresses begin with.")
            .answers::<RegistryView>(200, "The registry, and how its upstream is.")
            .problem("no-such-registry"),
    ]
}

/// How a garden is.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Status)]
pub struct StatusView {
    /// Of the program.
    pub version: String,
    /// When it was started.
    pub started: Timestamp,
    /// By its own clock.
    pub now: Timestamp,
    pub state: Readiness,
    /// It only observes: what is denied is served all the same, and recorded.
    pub observing: bool,
    /// Of rules and advisories.
    pub revision: Revision,
    /// How many rules are in force.
    pub rules: usize,
    /// How many advisories are in force.
    pub advisories: usize,
    /// What is wrong with the rules at the moment.
    pub faults: Vec<String>,
    /// What `/readyz` looks at.
    pub checks: Vec<CheckView>,
    pub size: SizeView,
    pub scrub: ScrubView,
}

/// One thing that is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = HealthCheck)]
pub struct CheckView {
    /// Such as `store` or `upstream npm`.
    pub name: String,
    /// `ok`, `degraded` or `failed`.
    pub state: String,
    /// What is wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StoredSize)]
pub struct SizeView {
    /// Bytes of metadata; absent while nobody can tell.
    pub metadata: Option<u64>,
    /// Bytes of packages and documents; absent until they are counted after the start.
    pub blobs: Option<u64>,
}

/// How far the search for damage is. It goes round and round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Scrub)]
pub struct ScrubView {
    /// Rounds that came to their end since the start.
    pub rounds: u64,
    /// Blobs that were read whole.
    pub checked: u64,
    /// Those of them that were damaged.
    pub damaged: u64,
    /// Blobs or listings that could not be read.
    pub unreadable: u64,
}

/// Settings that are not left to their defaults.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Settings)]
pub struct SettingsView {
    /// By their names.
    pub settings: BTreeMap<String, String>,
}

/// All registries.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RegistryList {
    /// In the order in which they are asked.
    pub registries: Vec<RegistryView>,
}

/// A registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Registry)]
pub struct RegistryView {
    /// Its addresses begin with it.
    pub name: String,
    pub ecosystem: Ecosystem,
    /// Where clients find it, by `public_url` or else by the name that this garth was asked by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The address of the upstream, without user information; absent for a registry of own packages
    /// alone.
    pub upstream: Option<String>,
    /// Patterns of names that are published here and never asked of the upstream.
    pub own: Vec<String>,
    /// Own versions may be taken away again.
    pub unpublish: bool,
    /// How the upstream is; absent where there is none.
    pub health: Option<UpstreamView>,
}

/// How an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = UpstreamHealth)]
pub struct UpstreamView {
    pub breaker: BreakerView,
    /// The first of the failures in a row; absent where there is none.
    pub failing_since: Option<Timestamp>,
    /// What went wrong last, in words.
    pub last_error: Option<String>,
    /// Requests that left since the start, those that were tried again included.
    pub requests: u64,
    /// Those that were tried again.
    pub retries: u64,
    /// Those that failed.
    pub failures: u64,
    /// How often it asked for a pause.
    pub rate_limits: u64,
}

/// Whether an upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Breaker)]
pub enum BreakerView {
    /// It is.
    Closed,
    /// It failed too often; one request tries whether it is back.
    HalfOpen,
    /// It failed too often, and is left alone for a while. What is held is served.
    Open,
}

pub async fn status(api: web::Data<Api>, vitals: web::Data<Vitals>) -> web::Json<StatusView> {
    let (set, checks) = (api.rules.current(), vitals.health.checks());
    let state = vitals.health.readiness(&checks);
    let checks = checks.into_iter().map(|check| {
        let (state, detail) = match check.state {
            CheckState::Ok => ("ok", None),
            CheckState::Degraded(why) => ("degraded", Some(why)),
            CheckState::Failed(why) => ("failed", Some(why)),
        };
        let detail = detail.map(|why| redacted(&why).into_owned());
        CheckView { name: check.name.into_owned(), state: state.to_owned(), detail }
    });
    let ScrubProgress { rounds, checked, damaged, unreadable } = *vitals.scrub.borrow();
    web::Json(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: vitals.started,
        now: api.clock.now(),
        state,
        observing: api.mode == Mode::Observe,
        revision: set.revision().clone(),
        rules: set.rules().len(),
        advisories: set.advisories().len(),
        faults: api.rules.status().faults,
        checks: checks.collect(),
        size: SizeView {
            // A store that cannot tell is a check that failed, which says why.
            metadata: vitals.metadata.size().await.ok(),
            blobs: vitals.blobs.total_size(),
        },
        scrub: ScrubView { rounds, checked, damaged, unreadable },
    })
}

pub async fn settings(vitals: web::Data<Vitals>) -> web::Json<SettingsView> {
    web::Json(SettingsView { settings: vitals.settings.clone() })
}

pub async fn list(api: web::Data<Api>, request: HttpRequest) -> web::Json<RegistryList> {
    let registries = api.registries.iter();
    let views = registries.map(|(of, registry)| RegistryView::new(registry, *of, &request));
    web::Json(RegistryList { registries: views.collect() })
}

pub async fn show(
    api: web::Data<Api>,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<web::Json<RegistryView>, Problem> {
    let found = api.registries.iter().find(|(_, registry)| *registry.name == **name);
    let (ecosystem, registry) = found.ok_or_else(|| no_such_registry(&name))?;
    Ok(web::Json(RegistryView::new(registry, *ecosystem, &request)))
}

pub(super) fn no_such_registry(name: &str) -> Problem {
    let name: String = name.chars().take(80).collect();
    Problem::not_found("no-such-registry", format!("there is no registry {name:?}"))
}

impl RegistryView {
    fn new(registry: &Registry, ecosystem: Ecosystem, request: &HttpRequest) -> Self {
        Self {
            name: registry.name.to_string(),
            ecosystem,
            address: registry.base_url(request).ok().map(|base| format!("{base}/")),
            upstream: registry.source.address(),
            own: registry.own_patterns().to_vec(),
            unpublish: registry.may_unpublish,
            health: registry.source.upstream.as_ref().map(UpstreamView::of),
        }
    }
}

impl UpstreamView {
    fn of(upstream: &Upstream) -> Self {
        let health = upstream.health();
        Self {
            breaker: match health.state {
                BreakerState::Closed => BreakerView::Closed,
                BreakerState::HalfOpen => BreakerView::HalfOpen,
                BreakerState::Open => BreakerView::Open,
            },
            failing_since: health.since,
            last_error: health.last_error.map(|error| redacted(&error).into_owned()),
            requests: health.requests,
            retries: health.retries,
            failures: health.failures,
            rate_limits: health.rate_limits,
        }
    }
}
