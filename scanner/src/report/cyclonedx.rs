//! A software bill of materials: CycloneDX 1.5, JSON.
//!
//! The serial number is a hash of the content and the time is handed in, so the same lockfiles give
//! the same document. What CycloneDX has no field for is a property whose name begins with `garth:`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use cyclonedx_bom::models::component::{Classification, Scope as BomScope};
use cyclonedx_bom::models::composition::{AggregateType, Composition, Compositions};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::models::tool::Tools;
use cyclonedx_bom::prelude::*;
use policies::package::Algorithm;
use sha2::{Digest as _, Sha256};

use super::purl;
use crate::inventory::{Identity, Inventory, Package};
use crate::{Outcome, Scope, Source};

/// `timestamp` is in RFC 3339; where it is absent, so it is in the document.
pub fn document(inventory: &Inventory, timestamp: Option<&str>) -> Result<String, String> {
    let mut bom = bom(inventory);
    let serial = UrnUuid::new(serial_number(inventory));
    bom.serial_number = Some(serial.map_err(|error| format!("{error:?}"))?);
    if let (Some(metadata), Some(timestamp)) = (&mut bom.metadata, timestamp) {
        let timestamp = DateTime::try_from(timestamp.to_owned());
        metadata.timestamp = Some(timestamp.map_err(|error| error.to_string())?);
    }
    rendered(bom)
}

fn rendered(bom: Bom) -> Result<String, String> {
    let mut bytes = Vec::new();
    bom.output_as_json(&mut bytes, SpecVersion::V1_5).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn bom(inventory: &Inventory) -> Bom {
    let references = references(inventory);
    let components = inventory
        .packages
        .iter()
        .enumerate()
        .map(|(index, package)| component(inventory, &references, index, package))
        .collect();
    let dependencies = references
        .iter()
        .enumerate()
        .map(|(index, reference)| {
            let needs = inventory.needs.get(&index).into_iter().flatten();
            let needs: BTreeSet<&String> = needs.map(|need| &references[need.package]).collect();
            Dependency {
                dependency_ref: reference.clone(),
                dependencies: needs.into_iter().cloned().collect(),
            }
        })
        .collect();
    let aggregate = match inventory.outcome() {
        Outcome::Complete => AggregateType::Complete,
        Outcome::Partial | Outcome::Failed => AggregateType::Incomplete,
    };
    Bom {
        version: 1,
        serial_number: None,
        metadata: Some(Metadata { tools: Some(tools()), ..Metadata::default() }),
        components: Some(Components(components)),
        services: None,
        external_references: None,
        dependencies: Some(Dependencies(dependencies)),
        compositions: Some(Compositions(vec![Composition {
            bom_ref: None,
            aggregate,
            assemblies: None,
            dependencies: None,
            vulnerabilities: None,
            signature: None,
        }])),
        properties: problems(inventory),
        vulnerabilities: None,
        signature: None,
        annotations: None,
        formulation: None,
        spec_version: SpecVersion::V1_5,
    }
}

fn tools() -> Tools {
    let version = env!("CARGO_PKG_VERSION");
    let garth = Component::new(Classification::Application, "garth", version, None);
    Tools::Object { services: None, components: Some(Components(vec![garth])) }
}

fn component(
    inventory: &Inventory,
    references: &[String],
    index: usize,
    package: &Package,
) -> Component {
    let identity = &package.identity;
    let (classification, registry) = match &identity.source {
        Source::Local(_) => (Classification::Application, None),
        Source::Registry(registry) => (Classification::Library, registry.as_deref()),
        Source::Git { .. } | Source::Archive(_) => (Classification::Library, None),
    };
    let mut properties = vec![Property::new("garth:ecosystem", &identity.ecosystem.to_string())];
    let mut property = |name: &str, value: &str| properties.push(Property::new(name, value));
    for lockfile in &package.found_in {
        property("garth:lockfile", &inventory.lockfiles[*lockfile].name);
    }
    if let Some(registry) = registry {
        property("garth:registry", registry);
    }
    if let Some(scope) = package.scope {
        property("garth:scope", scope_name(scope));
    }
    if package.bundled {
        property("garth:bundled", "true");
    }
    for need in inventory.needs.get(&index).into_iter().flatten() {
        if let Some(alias) = &need.alias {
            property("garth:alias", &format!("{alias} = {}", references[need.package]));
        }
    }
    let version = identity.version.as_ref().map(ToString::to_string);
    Component {
        version: version.as_deref().map(NormalizedString::new),
        scope: package.scope.map(|scope| match scope {
            Scope::Required => BomScope::Required,
            Scope::Optional => BomScope::Optional,
            // What CycloneDX calls used for test and other non-runtime purposes.
            Scope::Development => BomScope::Excluded,
        }),
        hashes: hashes(package),
        purl: purl(identity).and_then(|purl| purl.parse().ok()),
        properties: Some(Properties(properties)),
        ..Component::new(classification, &identity.name, "", Some(references[index].clone()))
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Required => "required",
        Scope::Optional => "optional",
        Scope::Development => "development",
    }
}

fn hashes(package: &Package) -> Option<Hashes> {
    let hashes: Vec<Hash> = package
        .digests
        .iter()
        .map(|digest| Hash {
            alg: match digest.algorithm() {
                Algorithm::Sha1 => HashAlgorithm::SHA1,
                Algorithm::Sha256 => HashAlgorithm::SHA_256,
                Algorithm::Sha512 => HashAlgorithm::SHA_512,
            },
            content: HashValue(digest.hex()),
        })
        .collect();
    (!hashes.is_empty()).then_some(Hashes(hashes))
}

fn problems(inventory: &Inventory) -> Option<Properties> {
    let mut properties = Vec::new();
    for lockfile in &inventory.lockfiles {
        for problem in &lockfile.problems {
            let text = format!("{}: {}: {}", lockfile.name, problem.place, problem.what);
            properties.push(Property::new("garth:problem", &text));
        }
    }
    (!properties.is_empty()).then_some(Properties(properties))
}

/// One name for each package inside the document: its purl, and a number where that is not enough.
fn references(inventory: &Inventory) -> Vec<String> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut unique = |identity: &Identity| {
        let mut reference = purl(identity).unwrap_or_else(|| local_reference(identity));
        while let Some(count) = taken.get_mut(&reference) {
            *count += 1;
            reference = format!("{reference}#{count}");
        }
        taken.insert(reference.clone(), 1);
        reference
    };
    inventory.packages.iter().map(|package| unique(&package.identity)).collect()
}

fn local_reference(identity: &Identity) -> String {
    let folder = match &identity.source {
        Source::Local(folder) => folder.as_str(),
        Source::Registry(_) | Source::Git { .. } | Source::Archive(_) => "",
    };
    let version = identity.version.as_ref().map(|it| format!("@{it}")).unwrap_or_default();
    format!("local:{}:{folder}:{}{version}", identity.ecosystem, identity.name)
}

/// A version 8 UUID (RFC 9562): its bits are a hash of what was found.
fn serial_number(inventory: &Inventory) -> String {
    let mut content = Hashed(Sha256::new());
    // Cannot fail: hashing takes everything.
    let _ = write!(content, "{inventory:?}");
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&content.0.finalize()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    format!("urn:uuid:{}", groups.join("-"))
}

/// Takes text without keeping it.
struct Hashed(Sha256);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
