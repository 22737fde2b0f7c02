//! Own packages: what is published here, and what is changed of it afterwards.
//!
//! [`body`] reads what is sent, [`checked`] says whether it may be published, [`document`] makes
//! the next packument of it, and [`own`](crate::pull::own) makes that durable.

pub mod archive;
mod body;
mod changes;
mod checked;
mod document;
pub mod manifest;
mod provenance;
mod spelling;

pub use self::changes::{put_revision, remove_package, remove_tag, remove_tarball, set_tag};

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use policies::package::{Package, PackageVersion, Version};
use serde_json::{Value, json};

use self::body::{BodyError, Sent, SentTarball};
use self::document::{ChangeFault, NewVersion, OwnPackument};
use super::documents::signatures;
use super::handlers::account::known_publisher;
use super::names::{tarball_file, unscoped};
use super::refusal::Refusal;
use crate::access::Person;
use crate::blobs::BlobError;
use crate::gate::Admitted;
use crate::pull::PullError;
use crate::pull::own::{Arrival, Edit, OwnError, OwnState, Target};
use crate::registries::Registry;
use crate::registries::own::{self, Unmade};

/// `npm publish`, and without an attachment `npm deprecate`.
pub async fn put(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    package: Package,
) -> Result<HttpResponse, Refusal> {
    let person = known_publisher(registry, req, &package)?;
    let target = own_target(registry, req, &package)?;
    let _place = registry.garden.uploads.take(&person.name).await.map_err(Refusal::pull)?;
    let sent = body::receive(&registry.garden.store.blobs, body).await?;
    // It may have taken minutes, and the token be revoked meanwhile.
    let person = known_publisher(registry, req, &package)?;
    if sent.tarball.is_some() {
        publish(registry, target, sent, &person).await
    } else {
        changes::deprecate(registry, target, sent, &person).await
    }
}

async fn publish(
    registry: &Registry,
    target: Target,
    sent: Sent,
    person: &Person,
) -> Result<HttpResponse, Refusal> {
    let garden = &registry.garden;
    let package = target.package.clone();
    // Off the executor: the archive is opened.
    let (of, by) = (package.clone(), person.clone());
    let checking = move || checked::check(&of, sent, &by);
    let checked = tokio::task::spawn_blocking(checking)
        .await
        .map_err(|_| Refusal::pull(PullError::Internal))??;
    let version = checked.new.version.clone();
    let spec = PackageVersion { package: package.clone(), version: version.clone() };
    let arrivals = arrivals(registry, &spec, checked.tarball, checked.provenance).await?;
    let (mut new, digests) = (checked.new, arrivals[0].digests.others.clone());
    sign(registry, &package, &mut new)?;
    let change = move |state: &OwnState| {
        let fault = |fault| change_refusal(&package, version.as_str(), fault);
        if let Some(record) = state.versions.get(&version) {
            return Err(fault(match record.vanished {
                Some(_) => ChangeFault::Unpublished,
                None => ChangeFault::Published,
            }));
        }
        let mut document = OwnPackument::parse(state.document.as_ref()).map_err(fault)?;
        document.publish(new.clone(), state.now).map_err(fault)?;
        let document = document.to_bytes(package.name()).map_err(fault)?;
        let published = vec![(version.clone(), digests.clone())];
        Ok(Edit { document, published, unpublished: Vec::new(), told: Vec::new() })
    };
    garden.npm_documents.change_own(&garden.artifacts, target, arrivals, change).await?;
    garden.gate.learn_own_name(&spec.package).await;
    tracing::info!(registry = %registry.name, version = %spec, by = %person.name, "published");
    Ok(HttpResponse::Created().json(json!({ "ok": true, "success": true, "id": spec.to_string() })))
}

/// The files of a version as they are kept, the tarball first.
async fn arrivals(
    registry: &Registry,
    spec: &PackageVersion,
    tarball: SentTarball,
    provenance: Option<String>,
) -> Result<Vec<Arrival>, Refusal> {
    let PackageVersion { package, version } = spec;
    let mut arrivals = vec![Arrival {
        file: tarball_file(package, version),
        version: version.clone(),
        stage: tarball.stage,
        digests: tarball.digests,
    }];
    if let Some(bundle) = provenance {
        let kept = async {
            let mut stage = registry.garden.store.blobs.stage(&[]).await?;
            stage.write(bundle.into()).await?;
            let digests = stage.finish().await?;
            Ok::<_, BlobError>((stage, digests))
        };
        let (stage, digests) = kept.await.map_err(|fault| Refusal::pull(fault.into()))?;
        let file = provenance_file(package, version);
        arrivals.push(Arrival { file, version: version.clone(), stage, digests });
    }
    Ok(arrivals)
}

fn provenance_file(package: &Package, version: &Version) -> String {
    format!("{}-{version}.sigstore", unscoped(package))
}

/// What the registry says of the provenance of an own version, as npm asks for it; `None` where
/// it came without.
pub async fn own_attestations(
    registry: &Registry,
    admitted: &Admitted,
) -> Result<Option<Bytes>, PullError> {
    let PackageVersion { package, version } = admitted.subject();
    let store = &registry.garden.store;
    let file = provenance_file(package, version);
    let record = store.read_artifact(&registry.name, package.name(), &file).await?;
    let Some(record) = record.filter(|record| record.own) else { return Ok(None) };
    let bundle = store.read_blob(&record.blob, record.size).await?;
    let text = bundle.as_deref().and_then(|bundle| std::str::from_utf8(bundle).ok());
    let answer = text.and_then(provenance::attestations);
    answer
        .map(|answer| Some(answer.into()))
        .ok_or_else(|| PullError::Lost(format!("{file} of {package}")))
}

/// Signs a version as the public registry signs its own, so that clients verify both alike.
fn sign(registry: &Registry, package: &Package, new: &mut NewVersion) -> Result<(), Refusal> {
    let Some(dist) = new.manifest.get_mut("dist").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    let integrity = dist.get("integrity").and_then(Value::as_str).unwrap_or_default();
    let signed = signatures::sign(&registry.garden.signing, package, &new.version, integrity);
    let signed = signed.map_err(|fault| {
        tracing::error!(%package, %fault, "a version could not be signed");
        Refusal::Pull { what: package.to_string(), fault: PullError::Internal }
    })?;
    dist.insert("signatures".to_owned(), signed);
    Ok(())
}

/// Where an own package is changed; refused where the settings do not say that it is one.
fn own_target(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
) -> Result<Target, Refusal> {
    let target = own::target(registry, req, package, spelling::folded(package), |_| Vec::new());
    target.map_err(Refusal::Forbidden)
}

/// Why a change of the document is not made, as whoever asked for it reads it.
fn change_refusal(package: &Package, version: &str, fault: ChangeFault) -> Refusal {
    match fault {
        ChangeFault::Published => {
            Refusal::Conflict(own::published_already(&format!("{package}@{version}")))
        }
        ChangeFault::Unpublished => {
            Refusal::Conflict(own::published_once(&format!("{package}@{version}")))
        }
        ChangeFault::NoSuchVersion => {
            Refusal::NotPublished(format!("{package}@{version} is not published here"))
        }
        ChangeFault::NoSuchTag => Refusal::NotPublished(format!("{package} has no tag {version}")),
        ChangeFault::TooMuch(why) => {
            Refusal::Conflict(format!("{package} can not take this: {why}"))
        }
        ChangeFault::Damaged(why) => {
            tracing::error!(%package, why, "the packument of an own package can not be read");
            Refusal::Pull { what: package.to_string(), fault: PullError::Lost(package.to_string()) }
        }
    }
}

impl From<OwnError> for Refusal {
    fn from(fault: OwnError) -> Self {
        match fault.into() {
            Unmade::Conflict(why) => Self::Conflict(why),
            Unmade::Unfinished { package, since, fault } => {
                Self::Unfinished { package, since, fault }
            }
            Unmade::Pull(fault) => Self::pull(fault),
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(fault: BodyError) -> Self {
        match fault {
            BodyError::Malformed(why) => Self::Malformed(why),
            // Where the edge ended it, the edge says why.
            BodyError::Broken => Self::Malformed("the body broke off before its end".to_owned()),
            BodyError::Blobs(fault) => Self::pull(fault.into()),
            BodyError::Internal => Self::pull(PullError::Internal),
        }
    }
}
