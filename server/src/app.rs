//! Puts the parts together: the only file that names concrete engines.
//!
//! [`App`] is a garden that runs, over engines that it is handed, so that a test starts the same
//! thing over engines that fail. The process around it (configuration, logs, signals) is the
//! command `garth serve`.

mod access;
mod background;
pub mod descriptors;
mod parts;
mod settings;
mod upkeep;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};

use crate::advisories::Fetching;
use crate::api::status::Vitals;
use crate::api::{self, Api};
use crate::audit;
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::scrub::{Scrub, ScrubSettings};
use crate::blobs::{BlobEngine, BlobsOptions};
use crate::clock::Clock;
use crate::closures::Closures;
use crate::config::{Config, StoreConfig};
use crate::edge::{self, EdgeError, EdgeHandle};
use crate::events::{Events, Noticing};
use crate::gate::Gate;
use crate::jobs::Jobs;
use crate::jobs::census::Counting;
use crate::metadata::Metadata;
use crate::metadata::sled::{Sled, SledOptions};
use crate::observability::{Health, Lifecycle, Metrics, health};
use crate::recorded::Recording;
use crate::registries::unpublishing::Unpublishing;
use crate::registries::{self, Garden};
use crate::requests;
use crate::rules::revisions::Keeping;
use crate::webhooks::{Sending, Webhooks};
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
        Engines { metadata, blobs, staging }: Engines,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let lifecycle = Lifecycle::default();
        let health = Health::new(lifecycle.clone());
        let jobs = Jobs::new(clock.clone());
        let blobs = parts::open_blobs(&config.data, blobs, staging, &metrics).await?;
        let (log, metadata, logging) = parts::open_log(config, metadata, &jobs, &health).await?;
        let (rules, advisories) = parts::open_rules(config, &metadata, &blobs, &clock).await?;
        let gate = Gate::new(rules.clone(), config.mode, clock.clone());
        let store = parts::pull_store(&metadata, &blobs, &clock, &metrics);
        let (access, token_file) = access::open(config, &metadata, &clock, &metrics).await?;
        let signing = parts::open_signing(config.data.clone()).await?;
        let recorder = parts::open_recorder(config, &metadata, &clock, &metrics);
        let memory = parts::memory_of(&metadata, config);
        let requests = parts::open_requests(config, &memory, &rules, &clock, &metrics).await;
        let (asked, asking, noting) = (requests.clone(), access.clone(), recorder.clone());
        let limits = settings::garden(config);
        let garden = Garden::new(gate, asked, store, asking, signing, noting, limits);
        parts::count_views(&garden, &metrics);
        let upstreams = parts::open_upstreams(config, &clock)?;
        let registries = parts::open_registries(config, &upstreams, &garden)?;

        let upkeep = Upkeep::start(upkeep::Watched {
            metadata: Arc::clone(&metadata),
            blobs: blobs.clone(),
            rules: rules.clone(),
            upstreams: upstreams.into_iter().flatten().collect(),
            metrics: metrics.clone(),
        });
        upkeep.register(&health);
        parts::check_advisories(&health, &advisories);
        let has_rules = rules.status().count > 0;
        let of_ecosystems = parts::of_ecosystems(&registries);
        let closures =
            Closures::new(garden.gate.clone(), of_ecosystems.clone(), settings::closures(config));
        let remotes = parts::open_remotes(config, &clock)?;
        advisories.tell_age(!remotes.is_empty(), metrics.clone());
        let fetching = advisories.fetch_regularly(remotes, config.advisories.every, &jobs);
        let unpublishing = parts::finish_unpublishing(&registries, &jobs);
        let recording = recorder.start(background::recorded_use(&jobs));
        let revisions = parts::open_revisions(config, &metadata, &rules, &clock);
        let keeping = revisions.start();
        requests.meet(registries.iter().map(|(_, registry)| Arc::downgrade(registry)).collect());
        let asking = requests.keep();
        let once = parts::open_once(&metadata, &clock).await?;
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
        let webhooks = parts::open_webhooks(config, &metadata, &api, &metrics).await?;
        let sending = webhooks.start();
        let noticing = parts::notice(config, &metadata, &api);
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
        if tokio::time::timeout(LANDING, self.keeping.finish()).await.is_err() {
            tracing::warn!("stopped before the last rules in force were kept for later");
        }
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

fn routes(
    health: Health,
    metrics: Metrics,
    registries: Vec<parts::Served>,
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

    use tempfile::TempDir;

    use super::*;
    use crate::config::LoadOptions;
    use crate::metadata::records::{self, Prefix, RevisionRecord};
    use crate::metadata::refusing::Refusing;

    fn config_in(data: &TempDir) -> Config {
        Config::load(&LoadOptions {
            data: Some(data.path().to_owned()),
            listen: Some("127.0.0.1:0".to_owned()),
            ..LoadOptions::default()
        })
        .unwrap()
    }

    /// Only where nobody keeps it open. A moment may pass: a program that another test starts
    /// inherits what is open until it runs.
    fn open_store(data: &TempDir) -> Sled {
        let options = SledOptions { patience: Duration::from_secs(1), ..SledOptions::default() };
        Sled::open(&Sled::directory_in(data.path()), options).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn stopped_garden_has_let_its_store_go() {
        let data = tempfile::tempdir().unwrap();
        let config = config_in(&data);
        let engines = open_engines(&config).await.unwrap();
        let app = App::start(&config, engines, Clock::system()).await.unwrap();
        app.stop(Duration::ZERO).await;
        open_store(&data).close().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn stopped_garden_has_written_which_rules_were_in_force() {
        let data = tempfile::tempdir().unwrap();
        let config = config_in(&data);
        let store = Refusing::new(open_store(&data));
        let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
        let revisions = Prefix::<RevisionRecord>::all();
        store.refuse_commits(move |batch| {
            let has_one =
                batch.changes.iter().any(|change| change.key.starts_with(revisions.as_bytes()));
            has_one && failed.send(()).is_ok()
        });
        let blobs = DiskBlobs::open(data.path(), DiskOptions::default()).unwrap();
        let engines = Engines {
            metadata: Arc::<Refusing>::clone(&store),
            blobs: Arc::new(blobs),
            staging: BlobsOptions::default(),
        };
        let app = App::start(&config, engines, Clock::system()).await.unwrap();
        // It is tried again, but later.
        failures.recv().await.unwrap();
        store.refuse_commits(|_| false);
        app.stop(Duration::ZERO).await;
        let store = open_store(&data);
        let kept = records::scan(&store, &Prefix::<RevisionRecord>::all(), None, 2).await;
        assert_eq!(kept.unwrap().len(), 1);
        store.close().await;
    }
}
