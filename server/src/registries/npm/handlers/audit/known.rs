//! An audit's answer from the advisories that were imported here.

use std::collections::{BTreeMap, HashMap};

use policies::advisories::{Advisory, Affected, Compiled, Index, rating};
use policies::package::{Ecosystem, Package};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::questions::Bulk;

/// Advisories that one question is answered with; a project with more has other worries.
const AT_MOST: usize = 5000;

/// The packages that are asked about, with the ids of the advisories that speak of a version asked
/// about. What was taken back is left out; and what is malicious under a name of ours is somebody
/// else's package.
pub fn ids(
    index: &Index,
    asked: &Bulk,
    is_own: impl Fn(&Package) -> bool,
) -> Vec<(Package, Vec<String>)> {
    let mut found = Vec::new();
    for (name, versions) in asked {
        let Ok(package) = Package::new(Ecosystem::Npm, name) else { continue };
        let Some(known) = index.of(&package).filter(|known| !known.is_empty()) else { continue };
        let own = is_own(&package);
        let mut ids: Vec<String> = versions
            .iter()
            .flat_map(|version| known.affecting(version))
            .filter(|advisory| !(advisory.withdrawn || own && advisory.malicious))
            .map(|advisory| advisory.id.to_string())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            found.push((package, ids));
        }
    }
    found
}

/// The ids to be looked up, each once. Too many are an error: to leave some out would be to say that
/// they are not there.
pub fn wanted(found: &[(Package, Vec<String>)]) -> Result<Vec<String>, String> {
    let mut ids: Vec<String> = found.iter().flat_map(|(_, ids)| ids.iter().cloned()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > AT_MOST {
        return Err(format!(
            "{} advisories speak of these packages, more than the {AT_MOST} that are answered at \
             once: audit a part of the project at a time",
            ids.len()
        ));
    }
    Ok(ids)
}

/// Without what it says of packages that nobody asked about.
pub fn narrowed(mut advisory: Advisory, found: &[(Package, Vec<String>)]) -> Advisory {
    advisory.affected.retain(|affected| {
        found
            .iter()
            .any(|(package, ids)| *package == affected.package && ids.contains(&advisory.id))
    });
    advisory
}

/// In the form of the npm registry.
pub fn answer(
    found: &[(Package, Vec<String>)],
    advisories: &HashMap<String, Advisory>,
) -> BTreeMap<String, Vec<Value>> {
    found
        .iter()
        .map(|(package, ids)| {
            let spoken = ids.iter().filter_map(|id| advisories.get(id));
            let spoken = spoken.filter_map(|advisory| entry(package, advisory)).collect();
            (package.name().to_owned(), spoken)
        })
        .collect()
}

fn entry(package: &Package, advisory: &Advisory) -> Option<Value> {
    let of_package: Vec<&Affected> =
        advisory.affected.iter().filter(|affected| affected.package == *package).collect();
    let ranges: Vec<String> = of_package
        .iter()
        .map(|affected| Compiled::new(affected).npm_range())
        .filter(|range| !range.is_empty())
        .collect();
    let worst =
        of_package.iter().copied().max_by(|a, b| rating(a.severity).cmp(&rating(b.severity)))?;
    let title = match advisory.summary.as_str() {
        "" if advisory.malicious => format!("Malicious code in {}", package.name()),
        "" => advisory.id.clone(),
        summary => summary.to_owned(),
    };
    // What was made to do harm is as bad as can be, whoever forgot to say so.
    let severity = match worst.severity {
        None if advisory.malicious => rating(Some(10.0)),
        severity => rating(severity),
    };
    Some(json!({
        "id": number(&advisory.id),
        "url": advisory.url.clone().unwrap_or_else(|| format!("urn:osv:{}", advisory.id)),
        "title": title,
        "severity": severity,
        "vulnerable_versions": ranges.join(" || "),
        "cwe": advisory.cwes,
        "cvss": { "score": worst.severity.unwrap_or(0.0), "vectorString": worst.vector },
    }))
}

/// Clients tell advisories apart by a number, which OSV does not have: always the same for an id.
fn number(id: &str) -> u32 {
    let hash = Sha256::digest(id.as_bytes());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn too_many_advisories_are_an_error_and_never_fewer() {
        let found = |count: usize| {
            let ids = (0..count).map(|n| format!("GHSA-{n}")).collect();
            vec![("npm:left-pad".parse::<Package>().unwrap(), ids)]
        };
        assert_eq!(wanted(&found(AT_MOST)).unwrap().len(), AT_MOST);
        let fault = wanted(&found(AT_MOST + 1)).unwrap_err();
        assert!(fault.contains("5001") && fault.contains("5000"), "{fault}");
    }
}
