//! How cargo is told that there is none of it, and where an upstream says that it keeps its crates.

use std::sync::Arc;

use policies::package::{Package, Version};

use super::super::documents::{CargoDocuments, IndexFile};
use super::super::refusal::Refusal;
use super::super::upstream::{UpstreamConfig, config_request};
use crate::pull::PullError;
use crate::pull::documents::Found;
use crate::registries::Registry;
use crate::registries::finding::find_content;

/// Of a version that is not offered: one that is there all the same is not called unknown.
pub async fn missing(
    registry: &Registry,
    package: &Package,
    version: &Version,
    found: &Found<IndexFile>,
) -> Result<Refusal, Refusal> {
    let content = find_content::<CargoDocuments>(registry, package, found).await?;
    let what = format!("{package}@{version}");
    Ok(match content.parsed.left_out(version) {
        Some(left_out) => Refusal::LeftOut { what, why: left_out.why.clone() },
        None => Refusal::Unknown { what, source: Arc::clone(registry.source_of(package)) },
    })
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
