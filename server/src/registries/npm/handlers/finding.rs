//! What there is of a package, a version or a file, or how to say that there is none.

use std::sync::Arc;

use actix_web::HttpRequest;
use policies::package::{Package, Version};

use super::super::refusal::Refusal;
use super::super::upstream::packument_request;
use super::Npm;
use crate::edge;
use crate::facts::Remembered;
use crate::pull::content::Content;
use crate::pull::documents::{Found, Known, Need};
use crate::pull::{PullError, Source};
use crate::registries::Registry;

pub async fn find_document(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    need: Need,
) -> Result<Found<Npm>, Refusal> {
    let access = edge::access(req);
    access.set_package(package.clone());
    let source = registry.source_of(package);
    let found = registry.garden.npm_documents.get(source, &packument_request(package), need).await;
    let found = found.map_err(|fault| pull_refusal(package.to_string(), source, fault))?;
    access.set_cache(found.document.outcome);
    Ok(found)
}

/// One version; what is known of it does not need the whole document.
pub async fn find_version(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    version: &Version,
) -> Result<(Found<Npm>, Option<Arc<Known>>), Refusal> {
    let access = edge::access(req);
    access.set_package(package.clone());
    let (source, request) = (registry.source_of(package), packument_request(package));
    let found = registry.garden.npm_documents.version(source, &request, version).await;
    let (found, known) = found.map_err(|fault| pull_refusal(package.to_string(), source, fault))?;
    access.set_cache(found.document.outcome);
    Ok((found, known))
}

pub async fn find_content(
    registry: &Registry,
    package: &Package,
    found: &Found<Npm>,
) -> Result<Arc<Content<Npm>>, Refusal> {
    let (source, request) = (registry.source_of(package), packument_request(package));
    let content = registry.garden.npm_documents.content(source, &request, found).await;
    content.map_err(|fault| pull_refusal(package.to_string(), source, fault))
}

pub fn pull_refusal(what: String, source: &Arc<Source>, fault: PullError) -> Refusal {
    match fault {
        PullError::Absent => unknown(what, source),
        fault => Refusal::Pull { what, fault },
    }
}

/// Of a version that is not offered: one that is there all the same is not called unknown.
pub fn missing(
    content: &Content<Npm>,
    version_or_tag: &str,
    unknown: impl FnOnce() -> Refusal,
) -> Refusal {
    let packument = &content.parsed;
    packument.left_out(version_or_tag).map_or_else(unknown, |left_out| Refusal::LeftOut {
        what: format!("{}@{}", packument.package, left_out.version),
        why: left_out.why.clone(),
    })
}

pub fn unknown(what: String, source: &Arc<Source>) -> Refusal {
    Refusal::Unknown { what, source: Arc::clone(source) }
}

/// What the gate hears of a version whose file is asked for.
pub fn remembered<'k>(registry: &'k Registry, known: &'k Known) -> Remembered<'k> {
    let (record, stated) = (known.remembered.as_ref(), Some(&known.stated));
    Remembered { registry: Some(&registry.name), record, stated }
}
