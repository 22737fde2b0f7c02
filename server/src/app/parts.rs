//! The parts of a garden, each opened as the configuration has it, over engines that are open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use policies::package::{Digest, Ecosystem};
use tokio::runtime::Handle;

use super::{StartError, background, settings, start_error};
use crate::advisories::{Advisories, Remote};
use crate::api::Api;
use crate::api::form::once::{Marking, Once};
use crate::audit::{self, Log};
use crate::blobs::{BlobEngine, Blobs, BlobsOptions};
use crate::clock::Clock;
use crate::config::{Config, Format};
use crate::events::{Noticer, Noticing};
use crate::jobs::Jobs;
use crate::metadata::Metadata;
use crate::observability::{AlarmKind, Health, Metrics};
use crate::pull::store::PullStore;
use crate::pull::summaries::Summaries;
use crate::recorded::Recorder;
use crate::registries::unpublishing::Unpublishing;
use crate::registries::{self, Garden, Registry};
use crate::requests::{self, Requests};
use crate::rules::revisions::Revisions;
use crate::rules::{Rules, RulesConfig};
use crate::seen::Memory;
use crate::signing::SigningKey;
use crate::upstream::Upstream;
use crate::webhooks::secret::MasterKey;
use crate::webhooks::{self, Webhooks};

/// A registry with the format that it is served in.
pub type Served = (Format, Arc<Registry>);

/// In force, and watched.
pub async fn open_rules(
    config: &Config,
    metadata: &Arc<dyn Metadata>,
    blobs: &Blobs,
    clock: &Clock,
) -> Result<(Rules, Advisories), StartError> {
    let files = RulesConfig { dir: config.policies.clone() };
    let rules = Rules::open(files, Arc::clone(metadata), clock.clone())
        .await
        .map_err(|fault| StartError::Failed(fault.to_string()))?;
    let (metadata, blobs) = (Arc::clone(metadata), blobs.clone());
    let stale = config.advisories.stale;
    let (in_force, clock, data) = (rules.clone(), clock.clone(), config.data.clone());
    let advisories = Advisories::open(metadata, blobs, in_force, clock, data, stale).await;
    rules.watch();
    rules.tell_endings();
    advisories.watch();
    Ok((rules, advisories))
}

/// With the store as everybody has it from here on, and what differs from the last start noted.
pub async fn open_log(
    config: &Config,
    engine: Arc<dyn Metadata>,
    jobs: &Jobs,
    health: &Health,
) -> Result<(Log, Arc<dyn Metadata>, audit::Keeping), StartError> {
    let failed = |fault: &dyn std::fmt::Display| StartError::Failed(fault.to_string());
    let opening = audit::Opening {
        data: config.data.clone(),
        origin: config.audit.origin.clone(),
        accept: config.accept_log.clone(),
    };
    let clock = jobs.clock();
    let key = audit::open_key(&opening, engine.as_ref(), clock).await;
    let key = key.map_err(|fault| failed(&fault))?;
    let (log, metadata, mut logging) = Log::open(engine, clock.clone(), key);
    let anchors = audit::Anchors::new(
        &config.audit,
        &config.data,
        clock,
        background::checkpoints(jobs, &config.audit),
    );
    let anchors = anchors.map_err(|fault| failed(&fault))?;
    let (anchored, checked) = (anchors.state(), log.clone());
    health.register("audit-log", move || checked.check());
    health.register("audit-checkpoints", move || anchored.check());
    logging.anchor(&log, anchors);
    let noted = audit::note_settings(metadata.as_ref(), &config.given, clock).await;
    noted.map_err(|fault| start_error("writing the settings into the audit log", &fault))?;
    Ok((log, Marking::over(metadata), logging))
}

pub async fn open_webhooks(
    config: &Config,
    metadata: &Arc<dyn Metadata>,
    api: &Api,
    metrics: &Metrics,
) -> Result<Webhooks, StartError> {
    let data = config.data.clone();
    let key = tokio::task::spawn_blocking(move || MasterKey::open(&data))
        .await
        .map_err(|fault| start_error("opening the key of webhooks", &fault))?
        .map_err(|fault| StartError::Failed(fault.to_string()))?;
    Ok(Webhooks::new(webhooks::Parts {
        metadata: Arc::clone(metadata),
        log: api.log.clone(),
        key,
        outgoing: settings::outgoing(config)?,
        clock: api.clock.clone(),
        metrics: metrics.clone(),
        give_up: config.webhooks.give_up,
    }))
}

pub async fn open_signing(data: PathBuf) -> Result<SigningKey, StartError> {
    tokio::task::spawn_blocking(move || SigningKey::open(&data))
        .await
        .map_err(|fault| start_error("opening the signing key", &fault))?
        .map_err(|fault| StartError::Failed(fault.to_string()))
}

pub async fn open_blobs(
    data: &Path,
    engine: Arc<dyn BlobEngine>,
    options: BlobsOptions,
    metrics: &Metrics,
) -> Result<Blobs, StartError> {
    let metrics = metrics.clone();
    let alarm = move |digest: &Digest, cause: &str| {
        metrics.alarm(AlarmKind::BlobDamaged);
        tracing::error!(alarm = AlarmKind::BlobDamaged.as_str(), %digest, cause, "a blob is damaged; it is in quarantine and is fetched again where it can be");
    };
    let stage = data.join("stage");
    let opening = move || Blobs::open(engine, stage, Arc::new(alarm), options);
    tokio::task::spawn_blocking(opening)
        .await
        .map_err(|fault| start_error("opening the blobs", &fault))?
        .map_err(|fault| start_error("opening the blobs", &fault))
}

pub fn open_revisions(
    config: &Config,
    metadata: &Arc<dyn Metadata>,
    rules: &Rules,
    clock: &Clock,
) -> Revisions {
    let keep = config.recorded.keep;
    Revisions::new(Arc::clone(metadata), rules.clone(), clock.clone(), keep)
}

pub fn open_recorder(
    config: &Config,
    metadata: &Arc<dyn Metadata>,
    clock: &Clock,
    metrics: &Metrics,
) -> Recorder {
    let settings = settings::recorded(config);
    Recorder::new(Arc::clone(metadata), clock.clone(), metrics.clone(), settings)
}

pub async fn open_once(metadata: &Arc<dyn Metadata>, clock: &Clock) -> Result<Once, StartError> {
    let once = Once::open(Arc::clone(metadata), clock.clone()).await;
    once.map_err(|fault| start_error("reading what was answered", &fault))
}

pub async fn open_requests(
    config: &Config,
    memory: &Memory,
    rules: &Rules,
    clock: &Clock,
    metrics: &Metrics,
) -> Requests {
    Requests::open(requests::Parts {
        config: config.requests.clone(),
        metadata: Arc::clone(&memory.metadata),
        memory: memory.clone(),
        rules: rules.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    })
    .await
}

pub fn check_advisories(health: &Health, advisories: &Advisories) {
    let known = advisories.clone();
    health.register("advisories", move || known.check());
}

pub fn pull_store(
    metadata: &Arc<dyn Metadata>,
    blobs: &Blobs,
    clock: &Clock,
    metrics: &Metrics,
) -> PullStore {
    PullStore {
        metadata: Arc::clone(metadata),
        blobs: blobs.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        summaries: Summaries::default(),
        runtime: Handle::current(),
    }
}

pub fn of_ecosystems(registries: &[Served]) -> Arc<[(Ecosystem, Arc<Registry>)]> {
    let of_one = |(format, registry): &Served| Some((format.ecosystem()?, Arc::clone(registry)));
    registries.iter().filter_map(of_one).collect()
}

pub fn finish_unpublishing(registries: &[Served], jobs: &Jobs) -> Unpublishing {
    let of_npm = registries.iter().filter(|(format, _)| *format == Format::Npm);
    let of_npm = of_npm.map(|(_, registry)| Arc::clone(registry)).collect();
    Unpublishing::start(of_npm, background::unpublishing(jobs))
}

pub fn notice(config: &Config, metadata: &Arc<dyn Metadata>, api: &Api) -> Noticing {
    let noticer = Noticer {
        metadata: Arc::clone(metadata),
        registries: Arc::clone(&api.memory.registries),
        log: api.log.clone(),
        rules: api.rules.clone(),
        requests: api.requests.clone(),
        recorder: api.recorder.clone(),
        clock: api.clock.clone(),
        in_use: config.recorded.keep,
    };
    noticer.start()
}

pub fn count_views(garden: &Arc<Garden>, metrics: &Metrics) {
    let garden = Arc::downgrade(garden);
    metrics.before_each_page(move |metrics| {
        if let Some(garden) = garden.upgrade() {
            metrics.set_views(garden.views.count());
        }
    });
}

pub fn memory_of(metadata: &Arc<dyn Metadata>, config: &Config) -> Memory {
    let named = config.registries.iter().filter_map(|registry| {
        Some((registry.name.as_str().into(), registries::ecosystem_of(registry.format)?))
    });
    Memory { metadata: Arc::clone(metadata), registries: named.collect() }
}

/// In the order of the configured registries.
pub fn open_upstreams(config: &Config, clock: &Clock) -> Result<Vec<Option<Upstream>>, StartError> {
    config
        .registries
        .iter()
        .map(|registry| {
            settings::upstream(config, registry)?
                .map(|settings| Upstream::new(settings, clock.clone()))
                .transpose()
                .map_err(|fault| StartError::Failed(fault.to_string()))
        })
        .collect()
}

pub fn open_remotes(config: &Config, clock: &Clock) -> Result<Vec<Remote>, StartError> {
    let urls = config.advisories.urls.iter();
    urls.map(|url| Remote::new(url, clock.clone()).map_err(StartError::Failed)).collect()
}

pub fn open_registries(
    config: &Config,
    upstreams: &[Option<Upstream>],
    garden: &Arc<Garden>,
) -> Result<Vec<Served>, StartError> {
    let mut registries = Vec::new();
    for (configured, upstream) in config.registries.iter().zip(upstreams) {
        let Some(ecosystem) = registries::ecosystem_of(configured.format) else { continue };
        let registry = Registry::new(
            configured,
            &config.registries,
            ecosystem,
            upstream.clone(),
            Arc::clone(garden),
        )
        .map_err(StartError::Failed)?;
        registries.push((configured.format, Arc::new(registry)));
    }
    Ok(registries)
}
