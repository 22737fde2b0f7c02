//! What is in a build: reads its lockfiles and says which packages came from where.
//!
//! [`scan`] takes one file's name and bytes and needs nothing else; [`walk`] is the only place that
//! touches the disk, [`inventory`] merges several scans, [`report`] writes the result. Whether a
//! package is allowed is not decided here.
//!
//! A scan never guesses: what a lockfile does not say is absent, what could not be read is a
//! [`Problem`], and a lockfile in which nothing was found has failed.

pub mod inventory;
pub mod lockfiles;
pub mod report;
pub mod walk;

use policies::package::{Digest, Ecosystem, Package, Version};

/// Larger lockfiles are refused before they are parsed.
pub const MAX_LOCKFILE_BYTES: u64 = 64 * 1024 * 1024;

/// What one lockfile said.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The name that the caller gave: a path below the scanned folder.
    pub lockfile: String,
    /// The format that recognised it; absent when none did.
    pub format: Option<&'static str>,
    pub outcome: Outcome,
    /// One for each entry of the lockfile, in its order; the same package may be there twice.
    pub packages: Vec<Found>,
    pub edges: Vec<Edge>,
    pub problems: Vec<Problem>,
}

/// How much of the lockfile was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Every entry.
    Complete,
    /// Some entries; [`Scan::problems`] names each of the others.
    Partial,
    /// Nothing; [`Scan::problems`] says why.
    Failed,
}

/// One package of a build.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub ecosystem: Ecosystem,
    /// The real name, whatever the dependent calls it; aliases are on the [`Edge`].
    pub name: String,
    pub version: Option<Version>,
    pub source: Source,
    /// Absent where the lockfile does not record it.
    pub scope: Option<Scope>,
    /// Shipped inside its dependent's archive instead of being fetched.
    pub bundled: bool,
    /// What the lockfile promises about the archive's bytes.
    pub digests: Vec<Digest>,
}

impl Found {
    /// The package that rules and advisories speak of. Absent for what only shares its name with
    /// one: local packages, git checkouts and archives from an address.
    pub fn package(&self) -> Option<Package> {
        match self.source {
            Source::Registry(_) => Package::new(self.ecosystem, &self.name).ok(),
            Source::Git { .. } | Source::Archive(_) | Source::Local(_) => None,
        }
    }
}

/// Where a package came from. No variant keeps credentials or a path of the machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A registry; `None` is the ecosystem's default one, or the lockfile does not say.
    Registry(Option<String>),
    Git {
        repository: String,
        commit: Option<String>,
    },
    /// An archive at an address that is not a registry's.
    Archive(String),
    /// Part of the project: a folder relative to it, empty for the project itself.
    Local(String),
}

/// What the package is needed for. The order is by strength: merging keeps the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Development,
    Optional,
    Required,
}

/// One package needs another. Both are indexes into [`Scan::packages`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// What `from` calls `to`, where that is not its name.
    pub alias: Option<String>,
}

/// An entry that is not in the result, or one whose dependencies are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which entry; empty for the file as a whole.
    pub place: String,
    pub what: String,
}

/// Reads one lockfile. `name` chooses the format and is only looked at; no file is opened.
pub fn scan(name: &str, bytes: &[u8]) -> Scan {
    let format = lockfiles::format_of(name);
    let parsed = match format {
        Some(format) => text_of(bytes).and_then(format.parse),
        None => Err("is not a lockfile that this version reads".to_owned()),
    };
    let mut parsed = parsed.unwrap_or_else(lockfiles::Parsed::failed);
    if parsed.packages.is_empty() && parsed.problems.is_empty() {
        parsed.problem("", "no package was found in it");
    }
    let outcome = match (parsed.packages.is_empty(), parsed.problems.is_empty()) {
        (true, _) => Outcome::Failed,
        (false, false) => Outcome::Partial,
        (false, true) => Outcome::Complete,
    };
    Scan {
        lockfile: name.to_owned(),
        format: format.map(|format| format.name),
        outcome,
        packages: parsed.packages,
        edges: parsed.edges,
        problems: parsed.problems,
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, String> {
    if bytes.len() as u64 > MAX_LOCKFILE_BYTES {
        return Err(format!("is larger than {} MiB", MAX_LOCKFILE_BYTES >> 20));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))?;
    // Editors on Windows leave a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text) }
}
