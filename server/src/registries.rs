//! The registries that this garden serves: the list of formats, a line each.
//!
//! A format is one folder with the same files as its siblings. What is the same for all of them is
//! here: [`Garden`], which every registry is handed, [`respond`] for answers with bytes, and
//! [`refusal`] for the words of a refusal.

pub mod bodies;
pub mod callers;
pub mod cargo;
pub mod closure;
pub mod finding;
mod forget;
pub mod npm;
pub mod own;
pub mod own_names;
pub mod refusal;
pub mod respond;
pub mod searching;
mod unpacking;
pub mod unpublishing;
pub mod uploads;
pub mod viewing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::VIA;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;
use parking_lot::RwLock;
use policies::decision::{Effect, Revision};
use policies::facts::Stated;
use policies::package::{Ecosystem, Package, PackageVersion, Version};
use tokio::sync::Semaphore;
use url::Url;

use crate::access::Access;
use crate::audit::Often;
use crate::config::{Anonymous, Format, RegistryConfig};
use crate::edge::{self, Problem};
use crate::facts::Remembered;
use crate::gate::{Admitted, Asking, Gate, Refused};
use crate::pull::artifacts::Artifacts;
use crate::pull::documents::{Documents, DocumentsSettings};
use crate::pull::freshness::Freshness;
use crate::pull::plain::PlainDocuments;
use crate::pull::store::PullStore;
use crate::pull::views::Views;
use crate::pull::{PullError, Source};
use crate::recorded::{Asked, Outcome, Recorder};
use crate::requests::Requests;
use crate::signing::SigningKey;
use crate::upstream::{Upstream, has_passed_through_us};
use bodies::BodyRoom;
use cargo::documents::CargoDocuments;
use npm::documents::NpmDocuments;
use own_names::OwnNames;
use uploads::{UploadLimits, Uploads};

#[derive(Clone, Debug)]
pub struct GardenSettings {
    /// Bounds the three caches together.
    pub memory: u64,
    /// Formats that are served, which share the memory for documents.
    pub kinds: u64,
    /// Bounds the documents that are on their way from upstreams.
    pub document_room: u64,
    /// How long a package that the upstream does not have is not asked for again.
    pub absent_age: Duration,
    /// What is served without a token.
    pub anonymous: Anonymous,
    pub public_url: Option<Url>,
    pub trusted_proxies: Vec<IpNet>,
}

/// While its question or its answer is read, an audit may hold a hundred megabytes.
const AUDIT_READINGS_AT_ONCE: usize = 2;
/// Each reads and decides for as long as it is let, and anybody may ask.
const SEARCHES_AT_ONCE: usize = 4;
/// Those that ask an upstream, too: each looks up what that finds.
const SEARCHES_ELSEWHERE: usize = 2;
/// How long a search waits for what an upstream finds.
pub const SEARCH_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of audits, questions and answers together: from when they arrive until they are sent on.
const AUDIT_ROOM: usize = 64 << 20;
/// Bytes of logins. Apart, so that whoever sends audits keeps nobody from logging in.
const LOGIN_ROOM: usize = 4 << 20;

/// What every registry is handed.
#[derive(Debug)]
pub struct Garden {
    /// Counts for the audit log what comes often.
    pub often: Often,
    pub access: Access,
    pub gate: Gate,
    pub requests: Requests,
    pub store: PullStore,
    pub artifacts: Arc<Artifacts>,
    pub views: Views,
    pub npm_documents: Arc<Documents<NpmDocuments>>,
    pub cargo_documents: Arc<Documents<CargoDocuments>>,
    /// Keys, attestations.
    pub plain: Arc<PlainDocuments>,
    /// Signs what is published here.
    pub signing: SigningKey,
    pub audit_room: BodyRoom,
    pub login_room: BodyRoom,
    /// One for each audit whose question or answer is being read.
    pub audit_readings: Semaphore,
    /// One for each search that is under way.
    pub searches: Arc<Semaphore>,
    /// Who finds no place here is told what is in this garden alone.
    pub searches_elsewhere: Arc<Semaphore>,
    pub uploads: Uploads,
    pub anonymous: Anonymous,
    pub recorder: Recorder,
    pub public_url: Option<Url>,
    pub trusted_proxies: Vec<IpNet>,
}

impl Garden {
    pub fn new(
        gate: Gate,
        requests: Requests,
        store: PullStore,
        access: Access,
        signing: SigningKey,
        recorder: Recorder,
        settings: GardenSettings,
    ) -> Arc<Self> {
        let third = settings.memory / 3;
        // Each format has its share of what all documents may take.
        let kinds = settings.kinds.max(1);
        let documents = DocumentsSettings {
            memory: third / kinds,
            room: settings.document_room / kinds,
            absent_age: settings.absent_age,
        };
        Arc::new(Self {
            often: Often::new(
                Arc::clone(&store.metadata),
                store.clock.clone(),
                store.runtime.clone(),
            ),
            access,
            gate,
            requests,
            artifacts: Artifacts::new(store.clone(), third, settings.absent_age),
            views: Views::new(store.runtime.clone(), third),
            npm_documents: Documents::new(store.clone(), documents),
            cargo_documents: Documents::new(store.clone(), documents),
            uploads: Uploads::new(UploadLimits::default()),
            recorder,
            plain: PlainDocuments::new(store.clone(), settings.absent_age),
            signing,
            store,
            audit_room: BodyRoom::new(AUDIT_ROOM),
            login_room: BodyRoom::new(LOGIN_ROOM),
            audit_readings: Semaphore::new(AUDIT_READINGS_AT_ONCE),
            searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
            searches_elsewhere: Arc::new(Semaphore::new(SEARCHES_ELSEWHERE)),
            anonymous: settings.anonymous,
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
    /// The upstream, where a search asks it, too.
    pub searched: Option<Upstream>,
    own: OwnNames,
    /// Those of all registries of this format: a crate of the house that is asked of the wrong
    /// registry is not asked of its upstream either, where anybody may have taken the name.
    own_anywhere: OwnNames,
    /// Own versions may be taken away again.
    pub may_unpublish: bool,
    /// Other indexes that own crates may depend on.
    pub dependency_indexes: Vec<String>,
    addresses: Addresses,
    pub garden: Arc<Garden>,
}

impl Registry {
    /// One of `all` that are configured. An error names the setting that can not be read.
    pub fn new(
        config: &RegistryConfig,
        all: &[RegistryConfig],
        ecosystem: Ecosystem,
        upstream: Option<Upstream>,
        garden: Arc<Garden>,
    ) -> Result<Self, String> {
        let name: Arc<str> = config.name.as_str().into();
        let own = OwnNames::of(config, ecosystem)?;
        let own_anywhere = own.with_siblings(config, all, ecosystem)?;
        let freshness = Freshness { max_age: config.max_age, max_stale: config.max_stale };
        let source =
            |upstream| Arc::new(Source { registry: Arc::clone(&name), upstream, freshness });
        let clock = &garden.store.clock;
        Ok(Self {
            searched: upstream
                .as_ref()
                .filter(|_| config.upstream_search)
                .map(|upstream| upstream.aside(SEARCHES_ELSEWHERE, SEARCH_PATIENCE, clock.clone())),
            source: source(upstream),
            own_source: source(None),
            own,
            own_anywhere,
            may_unpublish: config.unpublish,
            dependency_indexes: config.dependency_indexes.clone(),
            addresses: Addresses::default(),
            garden,
            name,
        })
    }

    /// Whether packages of this name are published here and asked of nobody: each one where there
    /// is no upstream.
    pub fn is_own(&self, package: &Package) -> bool {
        self.source.upstream.is_none() || self.own.matches(package)
    }

    /// Whether it is asked of no upstream, published here or in a sibling of this registry.
    pub fn is_own_anywhere(&self, package: &Package) -> bool {
        self.source.upstream.is_none() || self.own_anywhere.matches(package)
    }

    /// As the settings have them.
    pub fn own_patterns(&self) -> &[String] {
        self.own.texts()
    }

    /// Has the gate decide whether this version may be sent, and records what it said.
    pub fn admit(
        &self,
        subject: PackageVersion,
        remembered: &Remembered<'_>,
        asking: &Asking,
    ) -> Result<Admitted, Box<Refused>> {
        let answer = self.garden.gate.admit(subject, remembered, asking);
        let (subject, decision) = match &answer {
            Ok(admitted) => (admitted.subject(), admitted.decision()),
            Err(refused) => (&refused.subject, &refused.decision),
        };
        let subject = (&subject.package, Some(&subject.version));
        self.record(subject, asking, Outcome::of(decision, answer.is_ok()), &decision.revision);
        answer
    }

    /// Records that a document was served, which may be that of one version.
    pub fn record_view(
        &self,
        subject: (&Package, Option<&Version>),
        asking: &Asking,
        effect: Effect,
        revision: &Revision,
    ) {
        self.record(subject, asking, Outcome::of_document(effect), revision);
    }

    /// Records that nothing of a document could be shown.
    pub fn record_refusal(&self, refused: &Refused, asking: &Asking) {
        let Refused { subject, decision, .. } = refused;
        let subject = (&subject.package, Some(&subject.version));
        self.record(subject, asking, Outcome::of(decision, false), &decision.revision);
    }

    fn record(
        &self,
        (package, version): (&Package, Option<&Version>),
        asking: &Asking,
        outcome: Outcome,
        revision: &Revision,
    ) {
        let asked = Asked { registry: &self.name, package, version, asking };
        let now = self.garden.store.clock.now();
        self.garden.recorder.note(asked, outcome, revision, now);
    }

    /// The address of this registry for whoever asks, without a trailing slash.
    pub fn base_url(&self, req: &HttpRequest) -> Result<Arc<str>, Problem> {
        let Garden { public_url, trusted_proxies, .. } = self.garden.as_ref();
        let asked = match public_url {
            Some(_) => Some((false, "")),
            None => edge::asked_host(req, trusted_proxies),
        };
        if let Some(known) = asked.and_then(|asked| self.addresses.get(asked)) {
            return Ok(known);
        }
        let base = edge::base_url(req, public_url.as_ref(), trusted_proxies)?;
        let base: Arc<str> = format!("{base}/{}", self.name).into();
        if let Some(asked) = asked {
            self.addresses.keep(asked, &base);
        }
        Ok(base)
    }

    /// Where this package may come from. Names of own packages never leave the house.
    pub fn source_of(&self, package: &Package) -> &Arc<Source> {
        if self.is_own_anywhere(package) { &self.own_source } else { &self.source }
    }

    /// What the document that is held of a package states of a version, without asking any upstream.
    pub async fn stated(
        &self,
        package: &Package,
        version: &Version,
    ) -> Result<Option<Stated>, PullError> {
        match package.ecosystem() {
            Ecosystem::Npm => npm::stated(self, package, version).await,
            Ecosystem::Cargo => cargo::stated(self, package, version).await,
            Ecosystem::Nuget | Ecosystem::Oci => Ok(None),
        }
    }

    pub fn has_own_names(&self) -> bool {
        !self.own.texts().is_empty()
    }

    /// The patterns of own names, for work that goes on elsewhere.
    pub fn own_names(&self) -> OwnNames {
        self.own.clone()
    }

    /// Those of all registries of this format.
    pub fn names_own_anywhere(&self) -> OwnNames {
        self.own_anywhere.clone()
    }

    /// How the upstream is called in texts.
    pub fn upstream_name(&self) -> String {
        self.source
            .upstream
            .as_ref()
            .map_or_else(String::new, |upstream| upstream.name().to_owned())
    }
}

/// What was made of the Hosts that clients call this garth by, so that it is not made for each
/// request. The first ones stay: whoever calls it by a thousand names pays for that alone.
#[derive(Debug, Default)]
struct Addresses([RwLock<HashMap<Box<str>, Arc<str>>>; 2]);

const ADDRESSES_AT_MOST: usize = 64;

impl Addresses {
    fn get(&self, (tls, host): (bool, &str)) -> Option<Arc<str>> {
        self.0[usize::from(tls)].read().get(host).cloned()
    }

    fn keep(&self, (tls, host): (bool, &str), base: &Arc<str>) {
        let mut known = self.0[usize::from(tls)].write();
        if known.len() < ADDRESSES_AT_MOST {
            known.insert(host.into(), Arc::clone(base));
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
        Format::Cargo => cargo::mount(registry, routes),
        Format::Nuget | Format::Oci | Format::Files => {}
    }));
}

/// All paths below the registry's name come to one place, so that one parser sees them as they
/// were sent.
fn mount_below(
    registry: &Arc<Registry>,
    routes: &mut ServiceConfig,
    answer: impl AsyncFn(&Arc<Registry>, &HttpRequest, web::Payload) -> HttpResponse + Clone + 'static,
) {
    let registry = Arc::clone(registry);
    routes.default_service(web::to(move |req: HttpRequest, body: web::Payload| {
        let (registry, answer) = (Arc::clone(&registry), answer.clone());
        async move {
            edge::access(&req).set_registry(Arc::clone(&registry.name));
            let mut response = answer(&registry, &req, body).await;
            if registry.garden.anonymous == Anonymous::Nothing {
                respond::to_asker_alone(&mut response);
            }
            response
        }
    }));
}

/// What follows the registry's name in a path, still encoded. Only the plain spelling of the name
/// is one of ours.
fn below_registry<'r>(registry: &Registry, req: &'r HttpRequest) -> Option<&'r str> {
    req.uri().path().strip_prefix('/')?.strip_prefix(registry.name.as_ref())
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
