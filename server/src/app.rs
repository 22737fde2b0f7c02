//! Puts the parts together: the only file that names concrete engines.
//!
//! [`serve`] is the process: logs, runtime, engines, signals. [`App`] is the garden itself, over
//! engines that it is handed, so that a test starts the same thing over engines that fail.

mod settings;
mod upkeep;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use policies::package::Digest;
use tokio::runtime::Handle;

use crate::api::token::AdminToken;
use crate::api::{self, Api};
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::scrub::{Scrub, ScrubSettings};
use crate::blobs::{BlobEngine, Blobs, BlobsOptions};
use crate::cli::banner::client_url;
use crate::cli::client::RunFile;
use crate::cli::serve::ServeError;
use crate::cli::{Banner, banner};
use crate::clock::Clock;
use crate::config::{Config, Format, StoreConfig};
use crate::discovery::Discovery;
use crate::edge::{self, EdgeError, EdgeHandle, stop_signal};
use crate::gate::Gate;
use crate::metadata::Metadata;
use crate::metadata::sled::{Sled, SledOptions};
use crate::observability::{AlarmKind, Health, Lifecycle, Metrics, health, logs};
use crate::pull::store::PullStore;
use crate::registries::{self, Garden, Registry};
use crate::rules::{Rules, RulesConfig};
use crate::upstream::Upstream;
use upkeep::Upkeep;

/// Runs the garden until it is told to stop. A `discovery` comes with a configuration whose
/// registries were found and not written down.
pub fn serve(config: Config, discovery: Option<Discovery>) -> Result<(), ServeError> {
    logs::init(config.log.format, &config.log.level)
        .map_err(|fault| ServeError::Start(fault.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|fault| ServeError::Start(format!("no threads can be started: {fault}")))?;
    runtime.block_on(run(config, discovery))
}

async fn run(config: Config, discovery: Option<Discovery>) -> Result<(), ServeError> {
    let engines = open_engines(&config).await?;
    let grace = config.limits.shutdown_grace;
    let app = App::start(&config, engines, Clock::system()).await?;
    print!("{}", app.banner(&config, discovery.as_ref()));
    let signal = stop_signal().await.map_err(|fault| start_error("waiting for signals", &fault))?;
    tracing::info!(?signal, "stopping; a second signal stops at once");
    tokio::select! {
        () = app.stop(grace) => {}
        _ = stop_signal() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// Where things are kept.
#[derive(Clone, Debug)]
pub struct Engines {
    pub metadata: Arc<dyn Metadata>,
    pub blobs: Arc<dyn BlobEngine>,
}

async fn open_engines(config: &Config) -> Result<Engines, ServeError> {
    let data = config.data.clone();
    let StoreConfig::Sled { cache_bytes } = config.store;
    let opening = move || -> Result<Engines, ServeError> {
        let failed = |fault: &dyn std::fmt::Display| ServeError::Start(fault.to_string());
        let options = SledOptions { cache_bytes, ..SledOptions::default() };
        let metadata =
            Sled::open(&data.join("metadata"), options).map_err(|fault| failed(&fault))?;
        let blobs =
            DiskBlobs::open(&data, DiskOptions::default()).map_err(|fault| failed(&fault))?;
        Ok(Engines { metadata: Arc::new(metadata), blobs: Arc::new(blobs) })
    };
    let opened = tokio::task::spawn_blocking(opening).await;
    opened.map_err(|fault| start_error("opening the stores", &fault))?
}

fn start_error(doing: &str, fault: &dyn std::fmt::Display) -> ServeError {
    ServeError::Start(format!("{doing} failed: {fault}"))
}

/// A garden that runs.
#[derive(Debug)]
pub struct App {
    edge: EdgeHandle,
    upkeep: Upkeep,
    /// Ends with the app.
    _scrub: Scrub,
    token_file: PathBuf,
    data: PathBuf,
    has_rules: bool,
}

impl App {
    /// Returns when the address is bound and every part is ready.
    pub async fn start(
        config: &Config,
        engines: Engines,
        clock: Clock,
    ) -> Result<Self, ServeError> {
        let metrics = Metrics::new();
        let lifecycle = Lifecycle::default();
        let blobs = open_blobs(&config.data, engines.blobs, &metrics).await?;
        let rules = RulesConfig { dir: config.policies.clone() };
        let rules = Rules::open(rules, Arc::clone(&engines.metadata), clock.clone())
            .await
            .map_err(|fault| ServeError::Start(fault.to_string()))?;
        rules.watch();
        let gate = Gate::new(rules.clone(), config.mode, clock.clone());
        let store = PullStore {
            metadata: Arc::clone(&engines.metadata),
            blobs: blobs.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            runtime: Handle::current(),
        };
        let (token, token_file) = open_token(config.data.clone()).await?;
        let garden = Garden::new(gate, store, settings::garden(config));
        let upstreams = open_upstreams(config, &clock)?;
        let registries = open_registries(config, &upstreams, &garden)?;

        let health = Health::new(lifecycle.clone());
        let upkeep = Upkeep::start(upkeep::Watched {
            metadata: engines.metadata,
            blobs: blobs.clone(),
            rules: rules.clone(),
            upstreams: upstreams.into_iter().flatten().collect(),
            metrics: metrics.clone(),
        });
        upkeep.register(&health);
        let has_rules = rules.status().count > 0;
        let api = Api { rules, token, clock, mode: config.mode };
        let routes = routes(health, metrics.clone(), registries, api);
        let settings = settings::edge(config, lifecycle);
        let edge = edge::serve(settings, metrics, routes).await.map_err(|fault| match fault {
            EdgeError::Listen { address, cause } => ServeError::Listen { address, source: cause },
            EdgeError::Tls(fault) => ServeError::Start(fault.to_string()),
        })?;
        let scrub = Scrub::start(blobs, ScrubSettings::default());
        let url = client_url(config, edge.addresses()[0]);
        note_run(url, token_file.clone(), config.data.clone()).await?;
        Ok(Self { edge, upkeep, _scrub: scrub, token_file, data: config.data.clone(), has_rules })
    }

    pub fn address(&self) -> SocketAddr {
        self.edge.addresses()[0]
    }

    pub fn banner(&self, config: &Config, discovery: Option<&Discovery>) -> String {
        banner(&Banner {
            config,
            listening: self.address(),
            discovery,
            token_file: &self.token_file,
            has_rules: self.has_rules,
        })
    }

    /// Finishes transfers up to `grace`, then closes everything.
    pub async fn stop(self, grace: Duration) {
        let stopped = self.edge.stop(grace).await;
        drop(self.upkeep);
        let data = self.data;
        let removed = tokio::task::spawn_blocking(move || RunFile::remove(&data)).await;
        if let Ok(Err(fault)) = removed {
            tracing::warn!(%fault, "the note for this machine's commands could not be removed");
        }
        tracing::info!(cut = stopped.cut, "stopped");
    }
}

async fn open_token(data: PathBuf) -> Result<(AdminToken, PathBuf), ServeError> {
    tokio::task::spawn_blocking(move || AdminToken::open(&data))
        .await
        .map_err(|fault| start_error("opening the admin token", &fault))?
        .map_err(|fault| ServeError::Start(fault.to_string()))
}

/// For the commands on this machine.
async fn note_run(url: String, token_file: PathBuf, data: PathBuf) -> Result<(), ServeError> {
    const DOING: &str = "noting the address for this machine's commands";
    let writing = move || -> Result<(), ServeError> {
        let failed = |fault: &dyn std::fmt::Display| start_error(DOING, fault);
        let url = url.parse().map_err(|fault: url::ParseError| failed(&fault))?;
        let token_file = std::path::absolute(token_file).map_err(|fault| failed(&fault))?;
        RunFile { url, token_file }.write(&data).map_err(|fault| failed(&fault))
    };
    tokio::task::spawn_blocking(writing).await.map_err(|fault| start_error(DOING, &fault))?
}

async fn open_blobs(
    data: &Path,
    engine: Arc<dyn BlobEngine>,
    metrics: &Metrics,
) -> Result<Blobs, ServeError> {
    let metrics = metrics.clone();
    let alarm = move |digest: &Digest, cause: &str| {
        metrics.alarm(AlarmKind::BlobDamaged);
        tracing::error!(alarm = AlarmKind::BlobDamaged.as_str(), %digest, cause, "a blob is damaged; it is in quarantine and is fetched again where it can be");
    };
    let stage = data.join("stage");
    let opening = move || Blobs::open(engine, stage, Arc::new(alarm), BlobsOptions::default());
    tokio::task::spawn_blocking(opening)
        .await
        .map_err(|fault| start_error("opening the blobs", &fault))?
        .map_err(|fault| start_error("opening the blobs", &fault))
}

/// In the order of the configured registries.
fn open_upstreams(config: &Config, clock: &Clock) -> Result<Vec<Option<Upstream>>, ServeError> {
    config
        .registries
        .iter()
        .map(|registry| {
            settings::upstream(config, registry)?
                .map(|settings| Upstream::new(settings, clock.clone()))
                .transpose()
                .map_err(|fault| ServeError::Start(fault.to_string()))
        })
        .collect()
}

fn open_registries(
    config: &Config,
    upstreams: &[Option<Upstream>],
    garden: &Arc<Garden>,
) -> Result<Vec<(Format, Arc<Registry>)>, ServeError> {
    let mut registries = Vec::new();
    for (configured, upstream) in config.registries.iter().zip(upstreams) {
        let Some(ecosystem) = registries::ecosystem_of(configured.format) else { continue };
        let registry = Registry::new(configured, ecosystem, upstream.clone(), Arc::clone(garden))
            .map_err(ServeError::Start)?;
        registries.push((configured.format, Arc::new(registry)));
    }
    Ok(registries)
}

fn routes(
    health: Health,
    metrics: Metrics,
    registries: Vec<(Format, Arc<Registry>)>,
    api: Api,
) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let health = health::routes(health, metrics);
    let api = web::Data::new(api);
    move |routes| {
        health(routes);
        routes.app_data(api.clone());
        api::routes(routes);
        for (format, registry) in &registries {
            registries::mount(*format, registry, routes);
        }
    }
}
