//! package-lock.json and npm-shrinkwrap.json, versions 1 to 3.
//!
//! Versions 2 and 3 list every folder of the installed tree ([`tree`]); version 1 nests it
//! ([`nested`]). Both are turned into [`Found`] here, so that a git address means the same in all.
//! Depth is bounded twice: by `serde_json` while parsing, by [`MAX_DEPTH`] while resolving.

mod nested;
mod tree;

use std::collections::BTreeMap;

use policies::package::{Digest, Ecosystem, Package, Version};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Parsed, bare_address};
use crate::{Found, Scope, Source};

/// Folders inside folders; real trees stay below twenty.
const MAX_DEPTH: usize = 64;

pub fn matches(file: &str) -> bool {
    matches!(file, "package-lock.json" | "npm-shrinkwrap.json")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    name: Option<String>,
    version: Option<String>,
    lockfile_version: Option<u64>,
    #[serde(borrow)]
    packages: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(borrow)]
    dependencies: Option<&'a RawValue>,
}

pub fn parse(text: &str) -> Result<Parsed, String> {
    let document: Document =
        serde_json::from_str(text).map_err(|error| format!("cannot be parsed: {error}"))?;
    let mut parsed = Parsed::default();
    match (document.lockfile_version, document.packages) {
        (None, None) if document.dependencies.is_none() => {
            return Err("has neither lockfileVersion nor packages nor dependencies".to_owned());
        }
        (Some(version), _) if version > 3 => {
            return Err(format!("lockfileVersion {version} is newer than 3"));
        }
        (_, Some(packages)) => tree::read(&mut parsed, document.name.as_deref(), &packages),
        (Some(2 | 3), None) => return Err("has no packages".to_owned()),
        (_, None) => {
            let root = project(document.name.as_deref(), document.version.as_deref());
            let root = parsed.package(root);
            if let Some(dependencies) = document.dependencies {
                let dependencies = serde_json::from_str(dependencies.get())
                    .map_err(|error| format!("cannot be parsed: {error}"))?;
                nested::read(&mut parsed, root, dependencies);
            }
        }
    }
    Ok(parsed)
}

/// The project that the lockfile belongs to. npm allows it to have no name.
fn project(name: Option<&str>, version: Option<&str>) -> Found {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("(unnamed)");
    local(name, version, Source::Local(String::new()))
}

fn local(name: &str, version: Option<&str>, source: Source) -> Found {
    Found {
        ecosystem: Ecosystem::Npm,
        name: name.to_owned(),
        // A local version may be anything; one that is none is left out.
        version: version.and_then(|version| Version::new(version).ok()),
        source,
        scope: None,
        bundled: false,
        digests: Vec::new(),
    }
}

/// Where the archive is, in the notation of npm's `resolved`, and of `version` in version 1.
fn source(address: Option<&str>, name: &str) -> Source {
    let Some(address) = address else { return Source::Registry(None) };
    let scheme = address.split(':').next().unwrap_or_default();
    match scheme {
        "file" | "link" => Source::Local(local_path(&address[scheme.len() + 1..])),
        "http" | "https" => Source::Registry(Some(registry(address, name))),
        _ => {
            let (repository, commit) = match address.split_once('#') {
                Some((repository, commit)) => (repository, Some(commit)),
                None => (address, None),
            };
            let commit = commit.filter(|commit| !commit.is_empty()).map(str::to_owned);
            let repository = repository.strip_prefix("git+").unwrap_or(repository);
            Source::Git { repository: bare_address(repository), commit }
        }
    }
}

/// The registry that an archive's address belongs to: what stands before `name/-/`, else its host.
fn registry(address: &str, name: &str) -> String {
    let address = bare_address(address);
    let encoded = name.replace('/', "%2f");
    for spelling in [name, &encoded, &encoded.replace("%2f", "%2F")] {
        if let Some(at) = address.find(&format!("/{spelling}/-/")) {
            return address[..=at].to_owned();
        }
    }
    let start = address.find("://").map_or(0, |at| at + 3);
    let end = address[start..].find('/').map_or(address.len(), |at| start + at);
    format!("{}/", &address[..end])
}

/// A folder relative to the project. Of an absolute path, which is one machine's own, only the last
/// component is kept.
fn local_path(path: &str) -> String {
    let path = path.trim_end_matches('/');
    let drive = path.get(1..2) == Some(":");
    if path.starts_with(['/', '\\', '~']) || drive {
        return path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    }
    path.strip_prefix("./").unwrap_or(path).to_owned()
}

/// Fails for what no registry could have served: such an entry is not in the result.
fn check_identity(name: &str, version: Option<&str>, source: &Source) -> Result<(), String> {
    if matches!(source, Source::Local(_)) {
        return Ok(());
    }
    Package::new(Ecosystem::Npm, name).map_err(|error| error.to_string())?;
    if matches!(source, Source::Registry(_)) {
        let version = version.filter(|it| !it.is_empty()).ok_or("has no version")?;
        Version::new(version).map_err(|error| error.to_string())?;
        if !version.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("version {version:?} does not begin with a number"));
        }
    }
    Ok(())
}

/// An entry that was installed, in the words of either layout.
struct Installed<'a> {
    name: &'a str,
    version: Option<&'a str>,
    source: Source,
    scope: Scope,
    bundled: bool,
    integrity: Option<&'a str>,
}

impl Installed<'_> {
    fn found(self) -> Result<Found, String> {
        check_identity(self.name, self.version, &self.source)?;
        Ok(Found {
            scope: Some(self.scope),
            bundled: self.bundled,
            digests: self.integrity.map(Digest::from_sri).unwrap_or_default(),
            ..local(self.name, self.version, self.source)
        })
    }
}

fn scope(dev: bool, optional: bool, dev_optional: bool) -> Scope {
    match (dev, optional || dev_optional) {
        (true, _) => Scope::Development,
        (false, true) => Scope::Optional,
        (false, false) => Scope::Required,
    }
}

#[cfg(test)]
mod tests;
