//! Cargo.lock, versions 1 to 4.
//!
//! The document is read entry by entry, so that one bad entry costs one entry, and dependencies are
//! resolved through maps, so that time is linear in the file. The crate `cargo-lock` reads the
//! notation of sources; its own resolution of a whole lockfile is neither.
//!
//! A Cargo.lock does not record what is needed for tests or builds only, so no scope is claimed.

use std::collections::HashMap;

use cargo_lock::{SourceId, package::SourceKind};
use policies::package::{Algorithm, Digest, Ecosystem, Package, Version};
use serde::Deserialize;

use super::{Parsed, bare_address};
use crate::{Found, Source};

const NEWEST_KNOWN: i64 = 4;

pub fn matches(file: &str) -> bool {
    file == "Cargo.lock"
}

#[derive(Deserialize)]
struct Document {
    version: Option<i64>,
    #[serde(default)]
    package: Vec<toml::Value>,
    /// The project itself, before 2017.
    root: Option<toml::Value>,
    /// Holds the checksums of version 1.
    #[serde(default)]
    metadata: HashMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
    replace: Option<String>,
}

pub fn parse(text: &str) -> Result<Parsed, String> {
    let document: Document =
        toml::from_str(text).map_err(|error| format!("cannot be parsed: {}", error.message()))?;
    let mut parsed = Parsed::default();
    if let Some(version) = document.version.filter(|version| *version > NEWEST_KNOWN) {
        parsed.problem("", format!("lockfile version {version} is newer than {NEWEST_KNOWN}"));
    }

    let mut entries = Vec::new();
    for (index, value) in document.package.into_iter().chain(document.root).enumerate() {
        let place = value.get("name").and_then(toml::Value::as_str).map(str::to_owned);
        let place = place.unwrap_or_else(|| format!("package {}", index + 1));
        let read = Entry::deserialize(value).map_err(|error| error.message().to_owned());
        match read.and_then(|entry| Ok((found(&entry, &document.metadata)?, entry))) {
            Ok((found, entry)) => {
                parsed.package(found);
                entries.push(entry);
            }
            Err(what) => parsed.problem(&place, what),
        }
    }
    connect(&mut parsed, &entries);
    Ok(parsed)
}

fn found(entry: &Entry, metadata: &HashMap<String, toml::Value>) -> Result<Found, String> {
    let version = cargo_lock::Version::parse(&entry.version)
        .map_err(|error| format!("version {:?}: {error}", entry.version))?;
    Package::new(Ecosystem::Cargo, &entry.name).map_err(|error| error.to_string())?;
    let source = entry.source.as_deref().map_or(Ok(Source::Local(String::new())), source)?;
    let version_1 = || {
        let source = entry.source.as_deref()?;
        metadata.get(&format!("checksum {} {} ({source})", entry.name, entry.version))?.as_str()
    };
    let digests = match entry.checksum.as_deref().or_else(version_1) {
        // Cargo writes this for what has no checksum, git checkouts for instance.
        None | Some("<none>") => Vec::new(),
        Some(checksum) => {
            let digest = Digest::from_hex(Algorithm::Sha256, checksum);
            vec![digest.map_err(|error| format!("checksum: {error}"))?]
        }
    };
    Ok(Found {
        ecosystem: Ecosystem::Cargo,
        name: entry.name.clone(),
        version: Some(Version::new(&version.to_string()).map_err(|error| error.to_string())?),
        source,
        scope: None,
        bundled: false,
        digests,
    })
}

fn source(notation: &str) -> Result<Source, String> {
    let id = SourceId::from_url(notation).map_err(|_| "its source cannot be parsed".to_owned())?;
    let address = bare_address(id.url().as_str());
    Ok(match id.kind() {
        _ if id.is_default_registry() => Source::Registry(None),
        SourceKind::SparseRegistry => Source::Registry(Some(format!("sparse+{address}"))),
        SourceKind::Registry => Source::Registry(Some(address)),
        SourceKind::Git(_) => {
            Source::Git { repository: address, commit: id.precise().map(str::to_owned) }
        }
        // An absolute path of the machine that wrote the lockfile; it says nothing to others.
        _ => Source::Local(String::new()),
    })
}

/// One way to name a dependency may fit several packages; then it says nothing.
#[derive(Clone, Copy)]
enum Match {
    One(usize),
    Several,
}

/// A dependency is `name`, `name version` or `name version (source)`: as much as is needed to be
/// unambiguous.
fn connect(parsed: &mut Parsed, entries: &[Entry]) {
    let mut known: HashMap<(&str, Option<&str>, Option<&str>), Match> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let (name, version) = (entry.name.as_str(), Some(entry.version.as_str()));
        let source = entry.source.as_deref().map(without_commit).unwrap_or_default();
        for key in [(name, None, None), (name, version, None), (name, version, Some(source))] {
            known.entry(key).and_modify(|at| *at = Match::Several).or_insert(Match::One(index));
        }
    }
    for (from, entry) in entries.iter().enumerate() {
        for notation in entry.dependencies.iter().chain(&entry.replace) {
            let mut words = notation.splitn(3, ' ');
            let name = words.next().unwrap_or_default();
            let version = words.next();
            let source = words
                .next()
                .map(|word| without_commit(word.trim_start_matches('(').trim_end_matches(')')));
            let mut to = known.get(&(name, version, source)).copied();
            if matches!(to, Some(Match::Several)) && version.is_some() && source.is_none() {
                // Two with one name and version, and no source given: the one that has none.
                to = known.get(&(name, version, Some(""))).copied();
            }
            match to {
                Some(Match::One(to)) => parsed.edge(from, to, name),
                Some(Match::Several) => {
                    parsed.problem(&entry.name, format!("dependency {notation:?} is ambiguous"));
                }
                None => {
                    parsed.problem(&entry.name, format!("dependency {notation:?} is not listed"));
                }
            }
        }
    }
}

/// A package's git source ends in the commit, its dependents' notation may not.
fn without_commit(source: &str) -> &str {
    source.split('#').next().unwrap_or(source)
}

#[cfg(test)]
mod tests;
