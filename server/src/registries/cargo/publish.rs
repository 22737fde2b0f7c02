//! Own crates: what is published here, and what is changed of it afterwards.
//!
//! [`frame`] reads what is sent, [`checked`] says whether it may be published, [`document`] makes the
//! next index file of it, and [`own`](crate::pull::own) makes that durable.

pub mod archive;
mod changes;
pub mod checked;
pub mod described;
mod document;
mod frame;
pub mod line;
mod owners;
mod sources;
mod spelling;

pub use self::changes::{Yanking, set_yanked};
pub use self::owners::{add_owners, list_owners, remove_owners};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use policies::package::{Package, PackageVersion};
use serde_json::json;

use self::checked::Announced;
use self::described::Described;
use self::document::{ChangeFault, OwnIndex};
use self::frame::{Frame, FrameError, SentCrate};
use self::line::Line;
use self::sources::Indexes;
use super::documents::CargoDocuments;
use super::documents::about::OfVersion;
use super::handlers::look;
use super::names::crate_file;
use super::refusal::Refusal;
use crate::access::Person;
use crate::gate::Asking;
use crate::metadata::records::WordsRecord;
use crate::pull::PullError;
use crate::pull::own::{Arrival, Edit, OwnError, OwnState, Target};
use crate::registries::Registry;
use crate::registries::finding::{find_version, remembered};
use crate::registries::own::{self, NotKnown, Unmade};
use crate::registries::refusal::refused_line;

/// `cargo publish`. Who sends it is known before anything is read, and whether they may publish this
/// crate before its bytes are.
pub async fn publish(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    asking: &Asking,
) -> Result<HttpResponse, Refusal> {
    let person = own::known_caller(registry, req)?;
    let _place = registry.garden.uploads.take(&person.name).await.map_err(pull)?;
    let mut frame = Frame::new(body);
    let received = receive(registry, req, &mut frame).await;
    if received.is_err() {
        frame.drain().await;
    }
    let (announced, target, arrived) = received?;
    let spec =
        PackageVersion { package: announced.package.clone(), version: announced.version.clone() };
    // It may have taken minutes, and the token be revoked meanwhile.
    let person = own::known_publisher(registry, req, &spec.package)?;
    let base = registry.base_url(req).map_err(Refusal::Edge)?;
    let garth = registry.garden.public_url.as_ref().map(ToString::to_string);
    let indexes = Indexes { here: base.to_string(), garth, others: dependency_indexes(registry) };
    keep(registry, target, announced, arrived, indexes, &person).await?;
    let other: Vec<String> = not_served(registry, req, &spec, asking).await.into_iter().collect();
    Ok(HttpResponse::Ok().json(json!({
        "warnings": { "invalid_categories": [], "invalid_badges": [], "other": other }
    })))
}

/// Why a rule keeps what was just published from whoever did: cargo would wait for it in the index, and
/// not say why it does not come.
async fn not_served(
    registry: &Registry,
    req: &HttpRequest,
    spec: &PackageVersion,
    asking: &Asking,
) -> Option<String> {
    let found = find_version::<CargoDocuments>(registry, req, &spec.package, &spec.version);
    let (_, known) = found.await.ok()?;
    let known = known?;
    // A rule may ask for what the crate alone says, which is known once somebody has asked for it.
    let source = registry.source_of(&spec.package);
    let known = look(registry, source, spec, known, asking).await.ok()?;
    let decided = registry.garden.gate.admit(spec.clone(), &remembered(registry, &known), asking);
    let refused = decided.err()?;
    Some(format!("it is published, and not served to you: {}", refused_line(&refused)))
}

async fn receive(
    registry: &Registry,
    req: &HttpRequest,
    frame: &mut Frame<web::Payload>,
) -> Result<(Announced, Target, SentCrate), Refusal> {
    let json = frame.json().await?;
    let announced = Announced::read(&json).map_err(Refusal::malformed)?;
    drop(json);
    let target = own_target(registry, req, &announced.package)?;
    own::known_publisher(registry, req, &announced.package)?;
    let arrived = frame.archive(&registry.garden.store.blobs).await?;
    Ok((announced, target, arrived))
}

async fn keep(
    registry: &Registry,
    target: Target,
    announced: Announced,
    arrived: SentCrate,
    indexes: Indexes,
    person: &Person,
) -> Result<(), Refusal> {
    let garden = &registry.garden;
    let (package, version) = (announced.package.clone(), announced.version.clone());
    // Off the executor: the crate is opened.
    let checking = move || {
        let checked = announced.check(&arrived, &indexes);
        checked.map(|checked| (checked, arrived))
    };
    let checked = tokio::task::spawn_blocking(checking);
    let checked = checked.await.map_err(|_| pull(PullError::Internal))?;
    let (described, arrived) = checked.map_err(Refusal::malformed)?;
    let SentCrate { stage, digests } = arrived;
    let sha256 = digests.sha256.clone();
    let spec = PackageVersion { package: package.clone(), version: version.clone() };
    let file = crate_file(&package, &version);
    let arrivals = vec![Arrival { file, version: version.clone(), stage, digests }];
    let of = said_by(&described, person);
    let change = move |state: &OwnState| {
        let fault = |fault| change_refusal(&package, version.as_str(), fault);
        check_unpublished(&package, version.as_str(), state)?;
        let line = Line::new(&described, sha256.hex(), state.now);
        let mut document = OwnIndex::parse(state.document.as_ref()).map_err(fault)?;
        document.publish(&line, of.clone()).map_err(fault)?;
        let document = document.to_bytes().map_err(fault)?;
        let published = vec![(version.clone(), vec![sha256.clone()])];
        Ok::<_, Refusal>(Edit { document, published, unpublished: Vec::new(), told: Vec::new() })
    };
    garden.cargo_documents.change_own(&garden.artifacts, target, arrivals, change).await?;
    garden.gate.learn_own_name(&spec.package).await;
    tracing::info!(registry = %registry.name, version = %spec, by = %person.name, "published");
    Ok(())
}

/// What is remembered of a version counts, whether or not the index has it.
fn check_unpublished(package: &Package, version: &str, state: &OwnState) -> Result<(), Refusal> {
    let Ok(new) = spelling::version(version) else { return Ok(()) };
    let is_same =
        |known: &str| spelling::version(known).is_ok_and(|known| spelling::is_same(&new, &known));
    let known = state.versions.iter().find(|(known, _)| is_same(known.as_str()));
    match known {
        None => Ok(()),
        Some((known, record)) if record.vanished.is_some() => {
            Err(conflict(own::published_once(&format!("{package}@{known}"))))
        }
        Some((known, _)) => Err(published(package, version, known.as_str())),
    }
}

fn published(package: &Package, version: &str, known: &str) -> Refusal {
    let line = own::published_already(&format!("{package}@{known}"));
    if version == known {
        return conflict(line);
    }
    conflict(format!(
        "{line}. To cargo {version} is the same version: it does not go by what stands behind the +"
    ))
}

fn said_by(described: &Described, person: &Person) -> OfVersion {
    let said = &described.said;
    OfVersion {
        vers: described.version.clone(),
        by: person.name.to_string(),
        words: WordsRecord {
            description: said.description.clone().unwrap_or_default(),
            keywords: said.keywords.clone(),
            license: said.license.clone(),
            homepage: said.homepage.clone(),
            repository: said.repository.clone(),
            bugs: None,
        },
    }
}

fn dependency_indexes(registry: &Registry) -> Vec<String> {
    registry
        .source
        .address()
        .into_iter()
        .chain(registry.dependency_indexes.iter().cloned())
        .collect()
}

/// Where an own crate is changed; refused where the settings do not say that it is one.
fn own_target(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
) -> Result<Target, Refusal> {
    let folded = spelling::folded(package);
    let target = own::target(registry, req, package, folded, spelling::others);
    target.map_err(|line| Refusal::Own(StatusCode::FORBIDDEN, line))
}

/// Why a change of the index file is not made, as whoever asked for it reads it.
fn change_refusal(package: &Package, version: &str, fault: ChangeFault) -> Refusal {
    let not_found = |line: String| Refusal::Own(StatusCode::NOT_FOUND, line);
    match fault {
        ChangeFault::Published(known) => published(package, version, &known),
        ChangeFault::Spelled(known) => conflict(format!(
            "{package} is published here as {known}, and cargo tells the spellings apart: publish it by that name"
        )),
        ChangeFault::NoSuchCrate => not_found(format!("{package} is not published here")),
        ChangeFault::NoSuchVersion => {
            not_found(format!("{package}@{version} is not published here"))
        }
        ChangeFault::NoSuchOwner(name) => not_found(format!("{name:?} is no owner of {package}")),
        ChangeFault::LastOwner => {
            conflict(format!("{package} keeps an owner: name another one before the last one goes"))
        }
        ChangeFault::TooMuch(why) => conflict(format!("{package} can not take this: {why}")),
        ChangeFault::Damaged(why) => {
            tracing::error!(%package, why, "the index file of an own crate can not be read");
            Refusal::Pull { what: package.to_string(), fault: PullError::Lost(package.to_string()) }
        }
    }
}

fn conflict(line: String) -> Refusal {
    Refusal::Own(StatusCode::CONFLICT, line)
}

fn pull(fault: PullError) -> Refusal {
    Refusal::Pull { what: "this publish".to_owned(), fault }
}

impl From<NotKnown> for Refusal {
    fn from(fault: NotKnown) -> Self {
        match fault {
            NotKnown::Nobody { .. } => Self::Nobody,
            NotKnown::Caller(fault) => Self::Caller(fault),
        }
    }
}

impl From<OwnError> for Refusal {
    fn from(fault: OwnError) -> Self {
        match fault.into() {
            Unmade::Conflict(why) => conflict(why),
            Unmade::Unfinished { package, fault, .. } => {
                Self::Pull { what: package.to_string(), fault: *fault }
            }
            Unmade::Pull(fault) => pull(fault),
        }
    }
}

impl From<FrameError> for Refusal {
    fn from(fault: FrameError) -> Self {
        match fault {
            FrameError::Malformed(why) => {
                Refusal::malformed(format!("nothing is published: {why}"))
            }
            // Where the edge ended it, the edge says why.
            FrameError::Broken => {
                Refusal::malformed("the body broke off before its end".to_owned())
            }
            FrameError::Blobs(fault) => pull(fault.into()),
        }
    }
}
