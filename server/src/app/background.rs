//! The jobs by their names, as `garth jobs` shows them, and what the API tells of this process.

use std::sync::Arc;

use tokio::sync::watch;

use crate::api::Api;
use crate::api::status::Vitals;
use crate::blobs::Blobs;
use crate::blobs::scrub::ScrubProgress;
use crate::config::{AuditConfig, Config};
use crate::jobs::census::Census;
use crate::jobs::{Job, Jobs};
use crate::observability::{Health, Metrics};

/// Shown only where there is an outside.
pub fn checkpoints(jobs: &Jobs, config: &AuditConfig) -> Job {
    let (name, about) = ("checkpoints", "Puts signed checkpoints of the audit log outside.");
    if config.files.is_empty() && config.urls.is_empty() {
        return Job::new(name, about, jobs.clock().clone());
    }
    jobs.job(name, about)
}

pub fn recorded_use(jobs: &Jobs) -> Job {
    jobs.job(
        "recorded-use",
        "Joins what was recorded of use, and drops what is too old or too much.",
    )
}

pub fn scrub(jobs: &Jobs) -> Job {
    jobs.job("scrub", "Reads every blob again, slowly, to find damage that nobody reads.")
}

pub fn statistics(jobs: &Jobs) -> Job {
    jobs.job("statistics", "Counts what is stored of each registry.")
}

pub fn unpublishing(jobs: &Jobs) -> Job {
    jobs.job("unpublishing", "Takes off the disk what was unpublished and has not all gone.")
}

/// What [`vitals`] is made of.
pub struct Running<'a> {
    pub config: &'a Config,
    pub api: &'a Api,
    pub blobs: Blobs,
    pub scrub: watch::Receiver<ScrubProgress>,
    pub health: &'a Health,
    pub metrics: &'a Metrics,
    pub jobs: Jobs,
}

pub fn vitals(running: Running<'_>) -> Vitals {
    let Running { config, api, blobs, scrub, health, metrics, jobs } = running;
    let metadata = Arc::clone(&api.memory.metadata);
    let mut names: Vec<Arc<str>> =
        api.memory.registries.iter().map(|(name, _)| Arc::clone(name)).collect();
    names.sort();
    Vitals {
        started: api.clock.now(),
        health: health.clone(),
        blobs,
        scrub,
        jobs,
        census: Census::new(Arc::clone(&metadata), names, api.clock.clone()),
        metadata,
        metrics: metrics.clone(),
        settings: config.given.clone(),
    }
}
