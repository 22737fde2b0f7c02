//! Several scans as one: which packages there are, and who needs whom.
//!
//! A package is one by ecosystem, name, version and source; a local one also by its folder, so that
//! two projects never merge because their names are alike. What two lockfiles say about one package
//! is joined: the strongest scope, all digests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use policies::package::{Digest, Ecosystem, Version};

use crate::{Found, Outcome, Problem, Scan, Scope, Source};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    pub lockfiles: Vec<Lockfile>,
    /// In the order of their identities.
    pub packages: Vec<Package>,
    /// For each package, by its index: what it needs, and what it calls it.
    pub needs: BTreeMap<usize, BTreeSet<Need>>,
}

/// What became of one lockfile.
#[derive(Clone, Debug, PartialEq)]
pub struct Lockfile {
    pub name: String,
    pub outcome: Outcome,
    /// Entries found in it.
    pub entries: usize,
    pub problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub ecosystem: Ecosystem,
    pub name: String,
    pub version: Option<Version>,
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    pub identity: Identity,
    /// Absent where no lockfile records it.
    pub scope: Option<Scope>,
    /// Everywhere it is there, it is inside another package's archive.
    pub bundled: bool,
    pub digests: BTreeSet<Digest>,
    /// Indexes into [`Inventory::lockfiles`].
    pub found_in: BTreeSet<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Index into [`Inventory::packages`].
    pub package: usize,
    /// Where it is not the package's name.
    pub alias: Option<String>,
}

impl Inventory {
    /// The worst outcome of its lockfiles; `Failed` where there is none.
    pub fn outcome(&self) -> Outcome {
        self.lockfiles.iter().map(|lockfile| lockfile.outcome).max().unwrap_or(Outcome::Failed)
    }
}

pub fn merge(scans: Vec<Scan>) -> Inventory {
    let mut packages: BTreeMap<Identity, Package> = BTreeMap::new();
    for (index, scan) in scans.iter().enumerate() {
        for found in &scan.packages {
            let identity = identity_of(found, &scan.lockfile);
            packages
                .entry(identity.clone())
                .and_modify(|package| join(package, found, index))
                .or_insert_with(|| Package {
                    identity,
                    scope: found.scope,
                    bundled: found.bundled,
                    digests: found.digests.iter().cloned().collect(),
                    found_in: BTreeSet::from([index]),
                });
        }
    }
    let places: HashMap<&Identity, usize> =
        packages.keys().enumerate().map(|(place, identity)| (identity, place)).collect();
    let mut needs: BTreeMap<usize, BTreeSet<Need>> = BTreeMap::new();
    for scan in &scans {
        let merged: Vec<usize> =
            scan.packages.iter().map(|found| places[&identity_of(found, &scan.lockfile)]).collect();
        for edge in &scan.edges {
            let need = Need { package: merged[edge.to], alias: edge.alias.clone() };
            needs.entry(merged[edge.from]).or_default().insert(need);
        }
    }
    let lockfiles = scans
        .into_iter()
        .map(|scan| Lockfile {
            name: scan.lockfile,
            outcome: scan.outcome,
            entries: scan.packages.len(),
            problems: scan.problems,
        })
        .collect();
    Inventory { lockfiles, packages: packages.into_values().collect(), needs }
}

fn join(package: &mut Package, found: &Found, lockfile: usize) {
    package.scope = package.scope.max(found.scope);
    package.bundled &= found.bundled;
    package.digests.extend(found.digests.iter().cloned());
    package.found_in.insert(lockfile);
}

fn identity_of(found: &Found, lockfile: &str) -> Identity {
    let source = match &found.source {
        Source::Local(path) => {
            let folder = lockfile.rsplit_once('/').map_or("", |(folder, _)| folder);
            let separator = if folder.is_empty() || path.is_empty() { "" } else { "/" };
            Source::Local(format!("{folder}{separator}{path}"))
        }
        other => other.clone(),
    };
    Identity {
        ecosystem: found.ecosystem,
        name: found.name.clone(),
        version: found.version.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::scan;

    fn lock(root: &str, dependency: &str) -> Vec<u8> {
        format!(
            r#"{{"name":"{root}","lockfileVersion":3,"packages":{{
                "":{{"name":"{root}","version":"1.0.0","dependencies":{{"x":"1"}}}},
                "node_modules/x":{dependency}}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn one_package_of_two_lockfiles_is_listed_once_with_its_strongest_scope() {
        let inventory = merge(vec![
            scan("a/package-lock.json", &lock("app", r#"{"version":"1.0.0","dev":true}"#)),
            scan("b/package-lock.json", &lock("app", r#"{"version":"1.0.0","inBundle":true}"#)),
        ]);
        assert_eq!(inventory.outcome(), Outcome::Complete);
        let x: Vec<_> = inventory.packages.iter().filter(|it| it.identity.name == "x").collect();
        assert_eq!(x.len(), 1);
        assert_eq!(x[0].scope, Some(Scope::Required));
        assert!(!x[0].bundled);
        assert_eq!(x[0].found_in, BTreeSet::from([0, 1]));
    }

    #[test]
    fn projects_of_one_name_in_two_folders_stay_two() {
        let inventory = merge(vec![
            scan("a/package-lock.json", &lock("app", r#"{"version":"1.0.0"}"#)),
            scan("b/package-lock.json", &lock("app", r#"{"version":"1.0.0"}"#)),
        ]);
        let apps: Vec<_> =
            inventory.packages.iter().filter(|it| it.identity.name == "app").collect();
        assert_eq!(apps.len(), 2);
        assert_eq!(inventory.needs.len(), 2);
    }

    #[test]
    fn a_name_and_version_from_two_sources_are_two_packages() {
        let git = r#"{"version":"1.0.0","resolved":"git+https://git.example.com/x.git#abc"}"#;
        let inventory = merge(vec![
            scan("a/package-lock.json", &lock("app", r#"{"version":"1.0.0"}"#)),
            scan("a/npm-shrinkwrap.json", &lock("app", git)),
        ]);
        let x: Vec<_> = inventory.packages.iter().filter(|it| it.identity.name == "x").collect();
        assert_eq!(x.len(), 2);
    }
}
