//! What there is of a crate or a version, or how to say that there is none.

use std::sync::Arc;

use actix_web::HttpRequest;
use policies::facts::Stated;
use policies::package::{Package, Version};

use super::super::documents::IndexFile;
use super::super::refusal::{Refusal, pull_refusal};
use super::super::upstream::{UpstreamConfig, config_request, index_request};
use crate::edge;
use crate::facts::Remembered;
use crate::pull::PullError;
use crate::pull::documents::{Found, Known, Need};
use crate::registries::Registry;

pub async fn find_index(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
) -> Result<Found<IndexFile>, Refusal> {
    let access = edge::access(req);
    access.set_package(package.clone());
    let (source, request) = (registry.source_of(package), index_request(package));
    let found = registry.garden.cargo_documents.get(source, &request, Need::Fresh).await;
    let found = found.map_err(|fault| pull_refusal(package.to_string(), source, fault))?;
    access.set_cache(found.document.outcome);
    Ok(found)
}

/// One version; what is known of it does not age.
pub async fn find_version(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    version: &Version,
) -> Result<(Found<IndexFile>, Option<Arc<Known>>), Refusal> {
    let access = edge::access(req);
    access.set_package(package.clone());
    let (source, request) = (registry.source_of(package), index_request(package));
    let found = registry.garden.cargo_documents.version(source, &request, version).await;
    let (found, known) = found.map_err(|fault| pull_refusal(package.to_string(), source, fault))?;
    access.set_cache(found.document.outcome);
    Ok((found, known))
}

/// Of a version that is not offered: one that is there all the same is not called unknown.
pub async fn missing(
    registry: &Registry,
    package: &Package,
    version: &Version,
    found: &Found<IndexFile>,
) -> Result<Refusal, Refusal> {
    let (source, request) = (registry.source_of(package), index_request(package));
    let content = registry.garden.cargo_documents.content(source, &request, found).await;
    let content = content.map_err(|fault| pull_refusal(package.to_string(), source, fault))?;
    let what = format!("{package}@{version}");
    Ok(match content.parsed.left_out(version) {
        Some(left_out) => Refusal::LeftOut { what, why: left_out.why.clone() },
        None => Refusal::Unknown { what, source: Arc::clone(source) },
    })
}

/// What the gate hears of a version whose crate is asked for.
pub fn remembered<'k>(
    registry: &'k Registry,
    known: &'k Known,
    told: Option<&'k Stated>,
) -> Remembered<'k> {
    let stated = Some(told.unwrap_or(&known.stated));
    Remembered { registry: Some(&registry.name), record: known.remembered.as_ref(), stated }
}

/// Where the upstream keeps its crates, by its own word.
pub async fn find_upstream_config(registry: &Registry) -> Result<UpstreamConfig, PullError> {
    let plain = registry.garden.plain.of_registry(&registry.source, config_request()).await;
    let broken = |cause: String| PullError::Broken { upstream: registry.upstream_name(), cause };
    let plain = plain.map_err(|fault| match fault {
        PullError::Absent => {
            broken("it has no config.json, so it is no crates registry".to_owned())
        }
        fault => fault,
    })?;
    UpstreamConfig::parse(&plain.bytes).map_err(broken)
}
