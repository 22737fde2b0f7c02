//! Puts the parts together: the only file that names concrete engines.
//!
//! [`App`] is a garden that runs, over engines that it is handed, so that a test starts the same
//! thing over engines that fail. The process around it (configuration, logs, signals) is the
//! command `garth serve`.

mod access;
mod background;
pub mod descriptors;
mod settings;
mod upkeep;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use policies::package::Digest;
use policies::package::Ecosystem;
use tokio::runtime::Handle;

use crate::advisories::{Advisories, Fetching, Remote};
use crate::api::form::once::{Marking, Once};
use crate::api::status::Vitals;
use crate::api::{self, Api};
use crate::audit::{self, Log};
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::scrub::{Scrub, ScrubSettings};
use crate::blobs::{BlobEngine, Blobs, BlobsOptions};
use crate::clock::Clock;
use crate::closures::Closures;
use crate::config::{Config, Format, StoreConfig};
use crate::edge::{self, EdgeError, EdgeHandle};
use crate::events::{Events, Noticer, Noticing};
use crate::gate::Gate;
use crate::jobs::Jobs;
use crate::jobs::census::Counting;
use crate::metadata::Metadata;
use crate::metadata::sled::{Sled, SledOptions};
use crate::observability::{AlarmKind, Health, Lifecycle, Metrics, health};
use crate::pull::store::PullStore;
use crate::pull::summaries::Summaries;
use crate::recorded::{Recorder, Recording};
use crate::registries::unpublishing::Unpublishing;
use crate::registries::{self, Garden, Registry};
use crate::requests::{self, Requests};
use crate::rules::revisions::{Keeping, Revisions};
use crate::rules::{Rules, RulesConfig};
use crate::seen::Memory;
use crate::signing::SigningKey;
use crate::upstream::Upstream;
use crate::webhooks::secret::MasterKey;
use crate::webhooks::{self, Sending, Webhooks};
use upkeep::Upkeep;

/// Longer than commits that wait take.
const CLOSING: Duration = Duration::from_secs(10);

/// Why the garden does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    /// Anything else, in words for the operator: what failed, and what to do.
    #[error("{0}")]
    Failed(String),
}

impl From<EdgeError> for StartError {
    fn from(fault: EdgeError) -> Self {
        match fault {
            EdgeError::Listen { address, cause } => Self::Listen { address, source: cause },
            EdgeError::Tls(fault) => Self::Failed(fault.to_string()),
        }
    }
}

/// Where things are kept.
#[derive(Clone, Debug)]
pub struct Engines {
    pub metadata: Arc<dyn Metadata>,
    pub blobs: Arc<dyn BlobEngine>,
    /// How what stands above the blob engine stages and checks.
    pub staging: BlobsOptions,
}

/// The engines that the configuration names.
pub async fn open_engines(config: &Config) -> Result<Engines, StartError> {
    let data = config.data.clone();
    let StoreConfig::Sled { cache_bytes } = config.store;
    let opening = move || -> Result<Engines, StartError> {
        let failed = |fault: &dyn std::fmt::Display| StartError::Failed(fault.to_string());
        let options = SledOptions { cache_bytes, ..SledOptions::default() };
        let metadata =
            Sled::open(&data.join("metadata"), options).map_err(|fault| failed(&fault))?;
        let blobs =
            DiskBlobs::open(&data, DiskOptions::default()).map_err(|fault| failed(&fault))?;
        let staging = BlobsOptions::default();
        Ok(Engines { metadata: Arc::new(metadata), blobs: Arc::new(blobs), staging })
    };
    let opened = tokio::task::spawn_blocking(opening).await;
    opened.map_err(|fault| start_error("opening the stores", &fault))?
}

fn start_error(doing: &str, fault: &dyn std::fmt::Display) -> StartError {
    StartError::Failed(format!("{doing} failed: {fault}"))
}

/// In force, and watched.
async fn open_rules(
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

/// After the last client has left, how long what is on its way from upstreams may take to be kept.
const LANDING: Duration = Duration::from_secs(2);

/// A garden that runs.
#[derive(Debug)]
pub struct App {
    edge: EdgeHandle,
    garden: Arc<Garden>,
    upkeep: Upkeep,
    scrub: Scrub,
    counting: Counting,
    fetching: Fetching,
    unpublishing: Unpublishing,
    recording: Recording,
    asking: requests::Keeping,
    keeping: Keeping,
    sending: Sending,
    noticing: Noticing,
    logging: audit::Keeping,
    metadata: Arc<dyn Metadata>,
    token_file: PathBuf,
    has_rules: bool,
}

impl App {
    /// Returns when the address is bound and every part is ready.
    pub async fn start(
        config: &Config,
        engines: Engines,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let lifecycle = Lifecycle::default();
        let health = Health::new(lifecycle.clone());
        let jobs = Jobs::new(clock.clone());
        let blobs = open_blobs(&config.data, engines.blobs, engines.staging, &metrics).await?;
        let (log, metadata, logging) = open_log(config, engines.metadata, &jobs, &health).await?;
        let (rules, advisories) = open_rules(config, &metadata, &blobs, &clock).await?;
        let gate = Gate::new(rules.clone(), config.mode, clock.clone());
        let store = pull_store(&metadata, &blobs, &clock, &metrics);
        let (access, token_file) = access::open(config, &metadata, &clock, &metrics).await?;
        let signing = open_signing(config.data.clone()).await?;
        let recorder = open_recorder(config, &metadata, &clock, &metrics);
        let memory = memory_of(&metadata, config);
        let requests = open_requests(config, &memory, &rules, &clock, &metrics).await;
        let (asked, asking, noting) = (requests.clone(), access.clone(), recorder.clone());
        let limits = settings::garden(config);
        let garden = Garden::new(gate, asked, store, asking, signing, noting, limits);
        count_views(&garden, &metrics);
        let upstreams = open_upstreams(config, &clock)?;
        let registries = open_registries(config, &upstreams, &garden)?;

        let upkeep = Upkeep::start(upkeep::Watched {
            metadata: Arc::clone(&metadata),
            blobs: blobs.clone(),
            rules: rules.clone(),
            upstreams: upstreams.into_iter().flatten().collect(),
            metrics: metrics.clone(),
        });
        upkeep.register(&health);
        check_advisories(&health, &advisories);
        let has_rules = rules.status().count > 0;
        let of_ecosystems = of_ecosystems(&registries);
        let closures =
            Closures::new(garden.gate.clone(), of_ecosystems.clone(), settings::closures(config));
        let remotes = open_remotes(config, &clock)?;
        advisories.tell_age(!remotes.is_empty(), metrics.clone());
        let fetching = advisories.fetch_regularly(remotes, config.advisories.every, &jobs);
        let unpublishing = finish_unpublishing(&registries, &jobs);
        let recording = recorder.start(background::recorded_use(&jobs));
        let revisions = open_revisions(config, &metadata, &rules, &clock);
        let keeping = revisions.start();
        requests.meet(registries.iter().map(|(_, registry)| Arc::downgrade(registry)).collect());
        let asking = requests.keep();
        let once = open_once(&metadata, &clock).await?;
        let api = Api {
            once,
            rules,
            advisories,
            requests,
            access,
            often: garden.often.clone(),
            memory,
            recorder,
            revisions,
            log,
            registries: of_ecosystems,
            closures,
            clock,
            mode: config.mode,
            public_url: config.public_url.clone(),
            anonymous: config.anonymous,
        };
        let events = Events::new(api.log.clone(), lifecycle.clone());
        let webhooks = open_webhooks(config, &metadata, &api, &metrics).await?;
        let sending = webhooks.start();
        let noticing = notice(config, &metadata, &api);
        let reading = background::scrub(&jobs);
        let scrub = Scrub::start(blobs.clone(), ScrubSettings::default(), reading);
        let vitals = background::vitals(background::Running {
            config,
            api: &api,
            blobs,
            scrub: scrub.progress(),
            health: &health,
            metrics: &metrics,
            jobs: jobs.clone(),
        });
        let counting = vitals.census.start(background::statistics(&jobs));
        let told = (events, webhooks, vitals);
        let routes = routes(health, metrics.clone(), registries, api, told);
        let edge = edge::serve(settings::edge(config, lifecycle), metrics, routes).await?;
        Ok(Self {
            edge,
            garden,
            upkeep,
            scrub,
            counting,
            fetching,
            unpublishing,
            recording,
            asking,
            keeping,
            sending,
            noticing,
            logging,
            metadata,
            token_file,
            has_rules,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.edge.addresses()[0]
    }

    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// There are rules already.
    pub fn has_rules(&self) -> bool {
        self.has_rules
    }

    /// Finishes transfers up to `grace`, then closes everything: the next garth finds the stores
    /// free.
    pub async fn stop(self, grace: Duration) {
        let stopped = self.edge.stop(grace).await;
        if tokio::time::timeout(LANDING, self.garden.artifacts.land()).await.is_err() {
            tracing::warn!("stopped before everything on its way from upstreams had arrived");
        }
        // What is left is compared when it is next served.
        let (npm, cargo) = (&self.garden.npm_documents, &self.garden.cargo_documents);
        let comparing = async { tokio::join!(npm.land(), cargo.land()) };
        let _ = tokio::time::timeout(LANDING, comparing).await;
        npm.give_up();
        cargo.give_up();
        self.garden.often.finish().await;
        drop(self.upkeep);
        drop(self.fetching);
        drop(self.unpublishing);
        if tokio::time::timeout(LANDING, self.asking.finish()).await.is_err() {
            tracing::warn!("stopped before the last refusals were written into requests");
        }
        drop(self.scrub);
        drop(self.counting);
        self.garden.access.register().close().await;
        drop(self.keeping);
        drop(self.noticing);
        if tokio::time::timeout(LANDING, self.sending.finish()).await.is_err() {
            tracing::warn!(
                "stopped before a receiver of events had answered; it is sent that again"
            );
        }
        if tokio::time::timeout(LANDING, self.logging.finish()).await.is_err() {
            tracing::warn!("stopped before the last entries of the audit log were signed");
        }
        if tokio::time::timeout(CLOSING, self.recording.stop()).await.is_err() {
            tracing::warn!("the last recorded use was not written in time");
        }
        if tokio::time::timeout(CLOSING, self.metadata.close()).await.is_err() {
            tracing::warn!(
                "the metadata store was not closed in time; what it acknowledged is safe"
            );
        }
        tracing::info!(cut = stopped.cut, "stopped");
    }
}

/// With the store as everybody has it from here on, and what differs from the last start noted.
async fn open_log(
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

async fn open_webhooks(
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

async fn open_signing(data: PathBuf) -> Result<SigningKey, StartError> {
    tokio::task::spawn_blocking(move || SigningKey::open(&data))
        .await
        .map_err(|fault| start_error("opening the signing key", &fault))?
        .map_err(|fault| StartError::Failed(fault.to_string()))
}

async fn open_blobs(
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

fn open_revisions(
    config: &Config,
    metadata: &Arc<dyn Metadata>,
    rules: &Rules,
    clock: &Clock,
) -> Revisions {
    let keep = config.recorded.keep;
    Revisions::new(Arc::clone(metadata), rules.clone(), clock.clone(), keep)
}

fn open_recorder(
    config: &Config,
    metadata: &Arc<dyn Metadata>,
    clock: &Clock,
    metrics: &Metrics,
) -> Recorder {
    let settings = settings::recorded(config);
    Recorder::new(Arc::clone(metadata), clock.clone(), metrics.clone(), settings)
}

async fn open_once(metadata: &Arc<dyn Metadata>, clock: &Clock) -> Result<Once, StartError> {
    let once = Once::open(Arc::clone(metadata), clock.clone()).await;
    once.map_err(|fault| start_error("reading what was answered", &fault))
}

async fn open_requests(
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

fn check_advisories(health: &Health, advisories: &Advisories) {
    let known = advisories.clone();
    health.register("advisories", move || known.check());
}

fn pull_store(
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

type Registries = [(Format, Arc<Registry>)];

fn of_ecosystems(registries: &Registries) -> Arc<[(Ecosystem, Arc<Registry>)]> {
    let of_one = |(format, registry): &(Format, Arc<Registry>)| {
        Some((format.ecosystem()?, Arc::clone(registry)))
    };
    registries.iter().filter_map(of_one).collect()
}

fn finish_unpublishing(registries: &Registries, jobs: &Jobs) -> Unpublishing {
    let of_npm = registries.iter().filter(|(format, _)| *format == Format::Npm);
    let of_npm = of_npm.map(|(_, registry)| Arc::clone(registry)).collect();
    Unpublishing::start(of_npm, background::unpublishing(jobs))
}

fn notice(config: &Config, metadata: &Arc<dyn Metadata>, api: &Api) -> Noticing {
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

fn count_views(garden: &Arc<Garden>, metrics: &Metrics) {
    let garden = Arc::downgrade(garden);
    metrics.before_each_page(move |metrics| {
        if let Some(garden) = garden.upgrade() {
            metrics.set_views(garden.views.count());
        }
    });
}

fn memory_of(metadata: &Arc<dyn Metadata>, config: &Config) -> Memory {
    let named = config.registries.iter().filter_map(|registry| {
        Some((registry.name.as_str().into(), registries::ecosystem_of(registry.format)?))
    });
    Memory { metadata: Arc::clone(metadata), registries: named.collect() }
}

/// In the order of the configured registries.
fn open_upstreams(config: &Config, clock: &Clock) -> Result<Vec<Option<Upstream>>, StartError> {
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

fn open_remotes(config: &Config, clock: &Clock) -> Result<Vec<Remote>, StartError> {
    let urls = config.advisories.urls.iter();
    urls.map(|url| Remote::new(url, clock.clone()).map_err(StartError::Failed)).collect()
}

fn open_registries(
    config: &Config,
    upstreams: &[Option<Upstream>],
    garden: &Arc<Garden>,
) -> Result<Vec<(Format, Arc<Registry>)>, StartError> {
    let mut registries = Vec::new();
    for (configured, upstream) in config.registries.iter().zip(upstreams) {
        let Some(ecosystem) = registries::ecosystem_of(configured.format) else { continue };
        let registry = Registry::new(configured, ecosystem, upstream.clone(), Arc::clone(garden))
            .map_err(StartError::Failed)?;
        registries.push((configured.format, Arc::new(registry)));
    }
    Ok(registries)
}

fn routes(
    health: Health,
    metrics: Metrics,
    registries: Vec<(Format, Arc<Registry>)>,
    api: Api,
    (events, webhooks, vitals): (Events, Webhooks, Vitals),
) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let health = health::routes(health, metrics);
    let (api, events) = (web::Data::new(api), web::Data::new(events));
    let (webhooks, vitals) = (web::Data::new(webhooks), web::Data::new(vitals));
    move |routes| {
        health(routes);
        routes.app_data(api.clone()).app_data(events.clone()).app_data(webhooks.clone());
        routes.app_data(vitals.clone());
        api::routes(routes);
        for (format, registry) in &registries {
            registries::mount(*format, registry, routes);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::LoadOptions;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn stopped_garden_has_let_its_store_go() {
        let data = tempfile::tempdir().unwrap();
        let config = Config::load(&LoadOptions {
            data: Some(data.path().to_owned()),
            listen: Some("127.0.0.1:0".to_owned()),
            ..LoadOptions::default()
        })
        .unwrap();
        let engines = open_engines(&config).await.unwrap();
        let app = App::start(&config, engines, Clock::system()).await.unwrap();
        app.stop(Duration::ZERO).await;
        let options = SledOptions { patience: Duration::ZERO, ..SledOptions::default() };
        let store = Sled::open(&Sled::directory_in(data.path()), options).unwrap();
        store.close().await;
    }
}
