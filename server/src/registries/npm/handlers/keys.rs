//! What `npm audit signatures` checks with: the registry's keys, and attestations.

use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Digest, Package, PackageVersion, Version};

use super::super::documents::NpmDocuments;
use super::super::documents::signatures::{check_attestations, check_keys, join_keys};
use super::super::names::attestations_path;
use super::super::publish::own_attestations;
use super::super::refusal::Refusal;
use super::super::upstream::{attestations_request, keys_request};
use super::finding::{pull_refusal, unknown};
use crate::edge;
use crate::gate::Asking;
use crate::pull::PullError;
use crate::registries::Registry;
use crate::registries::finding::{find_version, remembered};
use crate::registries::respond;

pub async fn keys(registry: &Registry, req: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let garden = &registry.garden;
    let what = || "the list of keys".to_owned();
    let theirs = if registry.source.upstream.is_some() {
        match garden.plain.of_registry(&registry.source, keys_request(check_keys)).await {
            Ok(plain) => Some(plain),
            Err(PullError::Absent) => None,
            // Not our key alone: npm would say of the upstream's packages that their key is gone
            // or their signature missing, which nobody knows now.
            Err(fault) => return Err(pull_refusal(what(), &registry.source, fault)),
        }
    } else {
        None
    };
    // A list that holds only a key of ours would make npm miss signatures at everything else.
    let signs = signs(registry).await;
    let signs = signs.map_err(|fault| pull_refusal(what(), &registry.source, fault))?;
    let ours = signs.then(|| garden.signing.public());
    if theirs.is_none() && ours.is_none() {
        return Err(Refusal::NotOffered("neither this garth nor its upstream signs packages"));
    }
    if let Some(plain) = &theirs {
        edge::access(req).set_cache(plain.outcome);
    }
    let keys = join_keys(theirs.as_ref().map(|plain| &*plain.bytes), ours).map_err(|cause| {
        let upstream = registry.upstream_name();
        pull_refusal(what(), &registry.source, PullError::Broken { upstream, cause })
    })?;
    Ok(HttpResponse::Ok().json(keys))
}

/// Whether anything in this registry may be signed by us. A name may have left the settings; what
/// was published under it is ours all the same.
async fn signs(registry: &Registry) -> Result<bool, PullError> {
    let by_settings = registry.source.upstream.is_none() || registry.has_own_names();
    Ok(by_settings || registry.garden.store.has_own(&registry.name).await?)
}

/// Behind the gate like the version that they are about.
pub async fn attestations(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    version: Version,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let what = format!("{package}@{version}");
    let (found, known) = find_version::<NpmDocuments>(registry, req, &package, &version).await?;
    // A name may have left the settings; what is published under it is ours all the same.
    let is_own = found.document.is_own();
    let source = if is_own { &registry.own_source } else { registry.source_of(&package) };
    let Some(known) = known else { return Err(unknown(what, source)) };
    let subject = PackageVersion { package: package.clone(), version: version.clone() };
    let access = edge::access(req);
    let remembered = remembered(registry, &known);
    let admitted = registry.admit(subject, &remembered, &asking).map_err(Refusal::of_version)?;
    access.set_decision(admitted.decision().effect);
    let none = || unknown(format!("an attestation of {what}"), source);
    if is_own {
        let own = own_attestations(registry, &admitted).await.map_err(Refusal::pull)?;
        let own = own.ok_or_else(none)?;
        let etag = format!("\"{}\"", Digest::sha256_of(&own).hex());
        return Ok(respond::plain(req, &admitted, own, &etag));
    }
    let path = attestations_path(&package, &version);
    let request = attestations_request(&version, path, check_attestations);
    let plain =
        registry.garden.plain.of_version(&admitted, source, request).await.map_err(|fault| {
            match fault {
                PullError::Absent => none(),
                fault => pull_refusal(format!("the attestations of {what}"), source, fault),
            }
        })?;
    access.set_cache(plain.outcome);
    let etag = plain.etag();
    Ok(respond::plain(req, &admitted, plain.bytes, &etag))
}
