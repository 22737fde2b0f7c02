//! `/packages`: what is in this garden, registry by registry, and what is kept of each version.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use policies::package::{Ecosystem, Package, Version};
use serde::{Deserialize, Serialize};

use super::decisions::{Asked, DecisionView, decision_of};
use super::form::page::{self, Limit};
use super::problem::Problem;
use super::rules::query;
use super::status::no_such_registry;
use super::table::{Endpoint, Needs, READ, delete, get};
use super::{Api, By};
use crate::access::rights::{Place, Right};
use crate::metadata::records::{
    self, ArtifactRecord, DocumentRecord, Key, Prefix, VersionRecord, read_versions,
};
use crate::registries::Registry;

const MAX_PAGE: usize = 500;
/// Records that are read for one page; behind them it is gone on with the next one.
const MAX_READ: usize = 20_000;
const READ_AT_ONCE: usize = 500;
/// Files of one package that are looked at.
const MAX_FILES: usize = 20_000;

pub fn endpoints() -> Vec<Endpoint> {
    let placed = |endpoint: Endpoint| {
        endpoint
            .part::<String>("registry", "The name of the registry.")
            .part::<String>("package", "The package's name there, such as `@acme%2Fui`.")
            .problems(&["no-such-registry", "invalid-package", "no-such-package"])
    };
    let versioned = |endpoint: Endpoint| {
        endpoint.part::<String>("version", "The version.").problem("no-such-version")
    };
    let (all, one) = ("/packages/{registry}/{package}/versions", "One version, and its decision");
    let single = "/packages/{registry}/{package}/versions/{version}";
    let limited = Needs::Some(Right::Read);
    let evict = "Drops the kept files of a version";
    vec![
        get(
            "list_packages",
            "/packages",
            READ,
            "Packages in this garden, by registry and name",
            list,
        )
        .note("A page may have nothing of what is looked for, and say itself where to go on.")
        .query::<ListQuery>()
        .answers::<PackageList>(200, "A page of packages.")
        .problem("no-such-registry"),
        placed(get(
            "list_versions",
            all,
            limited,
            "What is kept of a package's versions",
            versions,
        ))
        .query::<VersionsQuery>()
        .answers::<VersionList>(200, "A page of versions, by their texts."),
        versioned(placed(get("show_version", single, limited, one, show)))
            .answers::<VersionDetail>(200, "What is kept of it, its facts and its decision.")
            .problem("document-unavailable"),
        versioned(placed(delete(
            "evict_version",
            single,
            Needs::Some(Right::Administer),
            evict,
            evict_version,
        )))
        .note(
            "They are fetched again when somebody asks for them. What is known of the version \
                 stays, and so does what was published here.",
        )
        .answers::<Evicted>(200, "How much was dropped.")
        .problem("published-here"),
    ]
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only packages of this registry.
    registry: Option<String>,
    /// Only names that have this text in them, as it stands.
    search: Option<String>,
    /// Begin behind this package: the `next` of the page before.
    after: Option<String>,
    /// Of one page, at most; more than 500 is 500.
    #[param(inline)]
    limit: Option<Limit>,
}

/// A package that is in this garden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = HeldPackage)]
pub struct PackageView {
    /// The registry that it is of.
    pub registry: String,
    pub package: Package,
    /// It is published here.
    pub own: bool,
    /// When its document came from the upstream, or was made here.
    pub fetched: Timestamp,
    /// When the upstream last said that this is the newest one.
    pub checked: Timestamp,
}

/// A page of packages, sorted by registry and name.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PackageList {
    /// Those that were found.
    pub packages: Vec<PackageView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VersionsQuery {
    /// Begin behind this version.
    after: Option<String>,
    /// Of one page, at most; more than 500 is 500.
    #[param(inline)]
    limit: Option<Limit>,
}

/// What is kept of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = HeldVersion)]
pub struct VersionView {
    pub version: Version,
    /// It was published here.
    pub own: bool,
    /// By our own clock.
    pub first_seen: Timestamp,
    /// By the upstream's word.
    pub published: Option<Timestamp>,
    /// Since when the upstream does not list it any more, or it is unpublished.
    pub vanished: Option<Timestamp>,
    /// Its files that are held here.
    pub artifacts: Vec<ArtifactView>,
}

/// A file that is held here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Artifact)]
pub struct ArtifactView {
    /// Its name.
    pub file: String,
    /// In bytes.
    pub size: u64,
    /// Of its bytes, as `sha256:…`.
    pub digest: String,
    /// Where it came from, without user information; absent where it was published here.
    pub source: Option<String>,
    /// When it came.
    pub fetched: Timestamp,
}

/// A page of versions.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionList {
    pub package: Package,
    /// By their texts.
    pub versions: Vec<VersionView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
}

/// A version, with what is decided of it.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionDetail {
    pub held: VersionView,
    pub decision: DecisionView,
}

/// What was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Evicted {
    /// Files.
    pub files: usize,
    /// Bytes of them; those that others share stay on the disk.
    pub bytes: u64,
}

pub async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query: ListQuery = query(&request)?;
    let limit = Limit::of(query.limit, MAX_PAGE);
    let search = query.search.as_deref().map(str::to_lowercase);
    let mut places: Vec<_> = api.memory.registries.iter().collect();
    places.sort();
    if let Some(wanted) = &query.registry {
        places.retain(|(name, _)| **name == **wanted);
        if places.is_empty() {
            return Err(no_such_registry(wanted));
        }
    }
    let begin = query.after.as_deref().and_then(|after| after.split_once('/'));
    let (mut packages, mut read) = (Vec::new(), 0);
    for (registry, ecosystem) in places {
        let mut after: Option<Key<DocumentRecord>> = match begin {
            Some((place, _)) if **registry < *place => continue,
            Some((place, name)) if **registry == *place => {
                Some(DocumentRecord::key(registry, name, DocumentRecord::NEWEST))
            }
            _ => None,
        };
        loop {
            let prefix = Prefix::of_registry(registry);
            let store = api.memory.metadata.as_ref();
            let page = records::scan(store, &prefix, after.as_ref(), READ_AT_ONCE).await?;
            let is_last = page.len() < READ_AT_ONCE;
            for (key, record) in page {
                read += 1;
                let found = found(registry, *ecosystem, &key, &record);
                let found = found.filter(|found| {
                    let name = found.package.name().to_lowercase();
                    search.as_deref().is_none_or(|text| name.contains(text))
                });
                packages.extend(found);
                let is_full = packages.len() > limit;
                if is_full || read >= MAX_READ {
                    packages.truncate(limit);
                    let last = packages.last().filter(|_| is_full);
                    let next = match last {
                        Some(last) => Some(format!("{registry}/{}", last.package.name())),
                        None => key.parts().get(1).map(|name| format!("{registry}/{name}")),
                    };
                    return Ok(answer(&request, packages, next));
                }
                after = Some(key);
            }
            if is_last {
                break;
            }
        }
    }
    Ok(answer(&request, packages, None))
}

fn answer(request: &HttpRequest, packages: Vec<PackageView>, next: Option<String>) -> HttpResponse {
    let page = PackageList { packages, next };
    page::answer(request, &page, page.next.as_ref().map(|next| next as &dyn ToString))
}

/// The package whose newest document it is.
fn found(
    registry: &str,
    ecosystem: Ecosystem,
    key: &Key<DocumentRecord>,
    record: &DocumentRecord,
) -> Option<PackageView> {
    let parts = key.parts();
    let [_, name, document] = parts.as_slice() else { return None };
    if document != DocumentRecord::NEWEST {
        return None;
    }
    Some(PackageView {
        registry: registry.to_owned(),
        package: Package::new(ecosystem, name).ok()?,
        own: record.own,
        fetched: record.fetched,
        checked: record.checked,
    })
}

/// What a path names, if whoever asks may know it.
fn named<'a>(
    api: &'a Api,
    by: &By,
    right: Right,
    registry: &str,
    package: &str,
) -> Result<(&'a Registry, Package), Problem> {
    let found = api.registries.iter().find(|(_, known)| *known.name == *registry);
    let (ecosystem, registry) = found.ok_or_else(|| no_such_registry(registry))?;
    let package = Package::new(*ecosystem, package)?;
    by.check(right, &Place::in_registry(&registry.name, &package)).map_err(Problem::forbidden)?;
    Ok((registry.as_ref(), package))
}

/// By version, with the files of each.
async fn held(
    api: &Api,
    registry: &str,
    package: &Package,
) -> Result<HashMap<Version, VersionView>, Problem> {
    let store = api.memory.metadata.as_ref();
    let (versions, _) = read_versions(store, registry, package).await?;
    if versions.is_empty() {
        let detail = format!("{package} is not in the registry {registry} of this garden");
        return Err(Problem::not_found("no-such-package", detail));
    }
    let view = |(version, record): (Version, VersionRecord)| {
        let VersionRecord { first_seen, published, vanished, own, .. } = record;
        let artifacts = Vec::new();
        let view = VersionView {
            version: version.clone(),
            own,
            first_seen,
            published,
            vanished,
            artifacts,
        };
        (version, view)
    };
    let mut held: HashMap<Version, VersionView> = versions.into_iter().map(view).collect();
    let prefix = ArtifactRecord::of_package(registry, package.name());
    for (key, record) in records::scan(store, &prefix, None, MAX_FILES).await? {
        let Some(version) = Version::new(&record.version).ok() else { continue };
        let Some(view) = held.get_mut(&version) else { continue };
        view.artifacts.push(ArtifactView {
            file: key.parts().pop().unwrap_or_default(),
            size: record.size,
            digest: record.blob.to_string(),
            source: record.source,
            fetched: record.fetched,
        });
    }
    Ok(held)
}

pub async fn versions(
    api: web::Data<Api>,
    by: By,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query: VersionsQuery = query(&request)?;
    let (registry, package) = path.into_inner();
    let (registry, package) = named(&api, &by, Right::Read, &registry, &package)?;
    let limit = Limit::of(query.limit, MAX_PAGE);
    let mut found: Vec<VersionView> =
        held(&api, &registry.name, &package).await?.into_values().collect();
    found.sort_by(|one, other| one.version.cmp(&other.version));
    let after = query.after.as_deref();
    found.retain(|view| after.is_none_or(|after| view.version.as_str() > after));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|view| view.version.to_string());
    let page = VersionList { package, versions: found, next };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

fn no_such_version(package: &Package, version: &Version) -> Problem {
    let detail = format!("nothing is known here of the version {version} of {package}");
    Problem::not_found("no-such-version", detail)
}

pub async fn show(
    api: web::Data<Api>,
    by: By,
    path: web::Path<(String, String, String)>,
) -> Result<web::Json<VersionDetail>, Problem> {
    let (registry, package, version) = path.into_inner();
    let (registry, package) = named(&api, &by, Right::Read, &registry, &package)?;
    let version = Version::new(&version)?;
    let view = held(&api, &registry.name, &package).await?.remove(&version);
    let view = view.ok_or_else(|| no_such_version(&package, &version))?;
    let team = by.team.as_deref().map(str::to_owned);
    let registry = Some(registry.name.to_string());
    let asked = Asked { package, version: Some(version), team, registry };
    let decision = decision_of(&api, asked, None).await?;
    Ok(web::Json(VersionDetail { held: view, decision }))
}

pub async fn evict_version(
    api: web::Data<Api>,
    by: By,
    path: web::Path<(String, String, String)>,
) -> Result<web::Json<Evicted>, Problem> {
    let (registry, package, version) = path.into_inner();
    let (registry, package) = named(&api, &by, Right::Administer, &registry, &package)?;
    let version = Version::new(&version)?;
    let view = held(&api, &registry.name, &package).await?.remove(&version);
    let view = view.ok_or_else(|| no_such_version(&package, &version))?;
    let files: Vec<String> = view.artifacts.iter().map(|artifact| artifact.file.clone()).collect();
    let bytes = view.artifacts.iter().map(|artifact| artifact.size).sum();
    registry.evict(&package, &version, &files).await?;
    Ok(web::Json(Evicted { files: files.len(), bytes }))
}
