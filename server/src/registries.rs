//! The registries that this garden serves: the list of formats, a line each.
//!
//! A format is one folder with the same files as its siblings. What is the same for all of them is
//! here: [`Garden`], which every registry is handed, [`respond`] for answers with bytes, and
//! [`refusal`] for the words of a refusal.

pub mod npm;
pub mod refusal;
pub mod respond;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::VIA;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use ipnet::IpNet;
use policies::package::{Ecosystem, Package};
use policies::rules::Pattern;
use url::Url;

use crate::config::{Format, RegistryConfig};
use crate::gate::Gate;
use crate::pull::Source;
use crate::pull::artifacts::Artifacts;
use crate::pull::documents::{Documents, DocumentsSettings};
use crate::pull::freshness::Freshness;
use crate::pull::store::PullStore;
use crate::pull::views::Views;
use crate::upstream::{Upstream, has_passed_through_us};
use npm::documents::NpmDocuments;

#[derive(Clone, Debug)]
pub struct GardenSettings {
    /// Bounds the three caches together.
    pub memory: u64,
    /// Bounds the documents that are on their way from upstreams.
    pub document_room: u64,
    /// How long a package that the upstream does not have is not asked for again.
    pub absent_age: Duration,
    pub public_url: Option<Url>,
    pub trusted_proxies: Vec<IpNet>,
}

/// What every registry is handed.
#[derive(Debug)]
pub struct Garden {
    pub gate: Gate,
    pub store: PullStore,
    pub artifacts: Arc<Artifacts>,
    pub views: Views,
    pub npm_documents: Arc<Documents<NpmDocuments>>,
    pub public_url: Option<Url>,
    pub trusted_proxies: Vec<IpNet>,
}

impl Garden {
    pub fn new(gate: Gate, store: PullStore, settings: GardenSettings) -> Arc<Self> {
        let third = settings.memory / 3;
        let documents = DocumentsSettings {
            memory: third,
            room: settings.document_room,
            absent_age: settings.absent_age,
        };
        Arc::new(Self {
            gate,
            artifacts: Artifacts::new(store.clone(), third, settings.absent_age),
            views: Views::new(store.runtime.clone(), third),
            npm_documents: Documents::new(store.clone(), documents),
            store,
            public_url: settings.public_url,
            trusted_proxies: settings.trusted_proxies,
        })
    }
}

/// One configured registry.
#[derive(Debug)]
pub struct Registry {
    pub name: Arc<str>,
    pub source: Arc<Source>,
    /// The same place without its upstream, for names that are never asked of it.
    pub own_source: Arc<Source>,
    own: Vec<Pattern>,
    pub garden: Arc<Garden>,
}

impl Registry {
    /// An error names the setting that can not be read.
    pub fn new(
        config: &RegistryConfig,
        ecosystem: Ecosystem,
        upstream: Option<Upstream>,
        garden: Arc<Garden>,
    ) -> Result<Self, String> {
        let name: Arc<str> = config.name.as_str().into();
        let own = config
            .own
            .iter()
            .map(|pattern| Pattern::parse_in(ecosystem, pattern))
            .collect::<Result<_, _>>()
            .map_err(|fault| format!("registry.{name}.own: {fault}"))?;
        let freshness = Freshness { max_age: config.max_age, max_stale: config.max_stale };
        let source =
            |upstream| Arc::new(Source { registry: Arc::clone(&name), upstream, freshness });
        Ok(Self { source: source(upstream), own_source: source(None), own, garden, name })
    }

    /// Where this package may come from. Names of own packages never leave the house.
    pub fn source_of(&self, package: &Package) -> &Arc<Source> {
        if self.own.iter().any(|pattern| pattern.matches(package)) {
            &self.own_source
        } else {
            &self.source
        }
    }
}

/// The ecosystem whose names and versions a format speaks of.
pub fn ecosystem_of(format: Format) -> Option<Ecosystem> {
    match format {
        Format::Npm => Some(Ecosystem::Npm),
        Format::Cargo => Some(Ecosystem::Cargo),
        Format::Nuget => Some(Ecosystem::Nuget),
        Format::Oci => Some(Ecosystem::Oci),
        Format::Files => None,
    }
}

/// Mounts a registry at its name. A format that this version does not serve is refused when the
/// configuration is read, so nothing is mounted for it.
pub fn mount(format: Format, registry: &Arc<Registry>, routes: &mut ServiceConfig) {
    let scope = web::scope(&format!("/{}", registry.name)).wrap(from_fn(refuse_loops));
    routes.service(scope.configure(|routes| match format {
        Format::Npm => npm::mount(registry, routes),
        Format::Cargo | Format::Nuget | Format::Oci | Format::Files => {}
    }));
}

/// A garth whose upstream is, over some detour, itself would ask itself until something breaks.
async fn refuse_loops(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let via = request.headers().get_all(VIA).filter_map(|via| via.to_str().ok());
    if has_passed_through_us(via) {
        const TEXT: &str = "this request comes from this garth itself: the upstream of a registry \
                            leads back to it. Set another `upstream`";
        let looped = HttpResponse::build(StatusCode::LOOP_DETECTED).body(TEXT);
        return Ok(request.into_response(looped).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}
