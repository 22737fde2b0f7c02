//! The index file of a crate: one upstream document, many filtered views.
//!
//! Pure, bytes to bytes. A line is a version. [`parse`] finds where each one stands in the upstream's
//! bytes and what it promises of its crate; [`IndexText`] puts a view together from whole lines, so what
//! is shown is what the upstream wrote, byte for byte. A line that is none of this crate, that can not be
//! read or that stands there twice is left out and named in [`IndexFile::left_out`]: what can not be
//! checked is not offered.

pub mod about;
mod archive;
mod comparison;
pub mod dependencies;
pub mod fields;
mod parse;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::facts::{Fact, Stated};
use policies::package::{Digest, Package, Version};

pub use about::About;
pub use archive::{Contents, Packed, open_with};
pub use text::IndexText;

use crate::metadata::records::SummaryRecord;
use crate::pull::PullError;
use crate::pull::format::{DocumentFormat, LeftOut, Opened, Promise, Said, VersionClaim};
use crate::pull::original::{Original, Part};

/// What no index says, or not every line of it.
pub const TOLD_BY_CRATES: [Fact; 5] =
    [Fact::Licence, Fact::InstallScripts, Fact::Description, Fact::Repository, Fact::RustVersion];

/// What a place in a map or a list costs, about.
const PLACE: usize = 40;

/// An upstream's index file: what it means, and where it was read from.
#[derive(Debug)]
pub struct IndexFile {
    index: Arc<Index>,
    original: Original,
}

impl Deref for IndexFile {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.index
    }
}

/// The places of what we serve from an index file.
#[derive(Debug)]
pub struct Index {
    pub package: Package,
    /// In the order of the file, and behind them what was taken away.
    pub entries: Vec<Entry>,
    pub left_out: Vec<LeftOut>,
    /// Of an own crate: what is kept of it beside its versions.
    pub about: Option<About>,
    /// Where each version stands in `entries`.
    places: HashMap<Version, usize>,
}

/// One version, as the upstream wrote it.
#[derive(Debug)]
pub struct Entry {
    pub version: Version,
    /// The crate's name in the upstream's own spelling.
    pub name: Arc<str>,
    /// What the upstream promises about the crate's bytes.
    pub digests: Arc<[Digest]>,
    pub published: Option<Timestamp>,
    /// What rules can ask for.
    pub stated: Stated,
    /// Its line, without the end.
    part: Part,
    line: Range<usize>,
}

impl Index {
    pub fn entry(&self, version: &Version) -> Option<&Entry> {
        self.entries.get(*self.places.get(version)?)
    }

    /// Why this version is not offered though it is there.
    pub fn left_out(&self, version: &Version) -> Option<&LeftOut> {
        self.left_out.iter().find(|one| one.version == version.as_str())
    }

    /// The version that is meant where none is named: the highest that is neither yanked nor a
    /// pre-release, if there is one.
    pub fn newest(&self) -> Option<&Version> {
        let read = |entry: &'_ Entry| {
            let is_yanked = entry.stated.yanked == Some(true);
            semver::Version::parse(entry.version.as_str())
                .ok()
                .map(|version| (!is_yanked && version.pre.is_empty(), version))
        };
        let all = self.entries.iter().filter_map(|entry| Some((read(entry)?, &entry.version)));
        all.max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, version)| version)
    }

    fn index_places(&mut self) {
        let places = self.entries.iter().enumerate();
        self.places = places.map(|(place, entry)| (entry.version.clone(), place)).collect();
    }

    /// What it takes in memory, about.
    fn weight(&self) -> usize {
        let of_entry = |entry: &Entry| {
            let digests = entry.digests.len() * (size_of::<Digest>() + 48);
            size_of::<Entry>() + 2 * (entry.version.as_str().len() + PLACE) + digests
        };
        let entries: usize = self.entries.iter().map(of_entry).sum();
        let left_out = self.left_out.iter().map(|one| one.version.len() + one.why.len() + PLACE);
        let about = self.about.as_ref().map_or(0, About::weight);
        size_of::<Self>() + entries + left_out.sum::<usize>() + about
    }
}

/// The cargo half of [`crate::pull::documents::Documents`].
#[derive(Debug)]
pub struct CargoDocuments;

impl DocumentFormat for CargoDocuments {
    type Parsed = IndexFile;

    fn parse(
        package: &Package,
        bytes: Bytes,
        retained: Option<Bytes>,
    ) -> Result<IndexFile, String> {
        parse::parse(package, bytes, retained)
    }

    fn claims(parsed: &IndexFile) -> Vec<VersionClaim> {
        let claim = |entry: &Entry| VersionClaim {
            version: entry.version.clone(),
            published: entry.published,
            digests: Arc::clone(&entry.digests),
            deprecated: false,
            yanked: entry.stated.yanked == Some(true),
        };
        parsed.entries.iter().map(claim).collect()
    }

    fn offers(parsed: &IndexFile, version: &Version) -> bool {
        parsed.entry(version).is_some()
    }

    /// The address follows from what the upstream's `config.json` says, so it is not in it.
    fn promise(parsed: &IndexFile, version: &Version) -> Option<Promise> {
        let entry = parsed.entry(version)?;
        Some(Promise { source: entry.name.to_string(), digests: Arc::clone(&entry.digests) })
    }

    fn stated<'p>(parsed: &'p IndexFile, version: &Version) -> Option<&'p Stated> {
        Some(&parsed.entry(version)?.stated)
    }

    fn tags(_: &IndexFile) -> Vec<(String, String)> {
        Vec::new()
    }

    fn left_out(parsed: &IndexFile) -> &[LeftOut] {
        &parsed.left_out
    }

    /// What an upstream writes in that place means nothing.
    fn summary(parsed: &IndexFile, is_own: bool) -> SummaryRecord {
        let latest = parsed.newest().map(ToString::to_string);
        match &parsed.about {
            Some(about) if is_own => about.summarise(latest),
            _ => SummaryRecord { latest, ..SummaryRecord::default() },
        }
    }

    fn said(parsed: &IndexFile, version: &Version) -> Result<Option<Said>, PullError> {
        comparison::said(parsed, version)
    }

    const ARTIFACTS_TELL: bool = true;

    fn compare(said: &Said, packed: &mut dyn Read, length: u64) -> Opened {
        comparison::compare(said, packed, length)
    }

    fn retain(parsed: &IndexFile, versions: &HashSet<Version>) -> Result<Bytes, PullError> {
        text::retained(parsed, versions)
    }

    fn read_from(parsed: &IndexFile, original: Original) -> IndexFile {
        IndexFile { index: Arc::clone(&parsed.index), original }
    }

    fn weight(parsed: &IndexFile) -> usize {
        parsed.index.weight()
    }
}
