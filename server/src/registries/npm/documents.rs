//! The packument: one upstream document, many filtered views.
//!
//! Pure, bytes to bytes. [`parse`](Packument::parse) finds where each version stands in the
//! upstream's bytes and what is promised about its tarball; [`text`] and [`render`] splice a view
//! from those spans, so a version that nobody rewrites is copied and never parsed again. A version that
//! contradicts itself (another name, two `dist`s, a tarball outside of the upstream) is left out
//! and named in [`Packument::left_out`]: what cannot be checked is not offered.

mod comparison;
mod fields;
mod known;
mod parse;
mod raw;
mod render;
pub mod restrictions;
mod scan;
pub mod signatures;
mod stated;
mod summary;
mod tags;
mod text;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod stored_tests;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::facts::Stated;
use policies::package::{Digest, Package, Version};

pub use render::{Form, HOISTED, Offer, Shown, render_manifest};
pub use tags::{latest_offered, leads_somewhere, offered_tags, version_of_tag};
pub use text::PackumentText;

use fields::Span;
use known::ShortField;
use raw::Raw;

use super::names::tarball_file;
use crate::metadata::records::SummaryRecord;
use crate::pull::PullError;
use crate::pull::format::{DocumentFormat, LeftOut, Opened, Promise, Said, VersionClaim};
use crate::pull::original::Original;

/// What a place in a map or a list costs, about.
const PLACE: usize = 40;

/// An upstream's packument: what it means, and where it was read from.
#[derive(Debug)]
pub struct Packument {
    index: Arc<Index>,
    original: Original,
}

impl Deref for Packument {
    type Target = Index;

    fn deref(&self) -> &Index {
        &self.index
    }
}

/// The places of what we serve from a packument.
#[derive(Debug)]
pub struct Index {
    pub package: Package,
    pub entries: Vec<Entry>,
    pub tags: Vec<(String, String)>,
    /// Versions that are not offered, and why.
    pub left_out: Vec<LeftOut>,
    /// Where each version stands in `entries`.
    places: HashMap<Version, usize>,
    /// Where in `entries` stands what has a file name that is not ours.
    foreign_files: HashMap<Box<str>, usize>,
    /// Where each version stands in `left_out`, as it is written there.
    left_out_places: HashMap<Box<str>, usize>,
    /// Top-level fields that are not made anew for each view: key and JSON.
    fields: Vec<(String, Raw)>,
    /// What its versions state alike, in memory.
    shared_weight: usize,
    created: Option<String>,
    modified: Option<String>,
}

/// One version, as the upstream wrote it.
#[derive(Debug)]
pub struct Entry {
    pub version: Version,
    /// Where the upstream keeps the tarball, as written there.
    pub source: Box<str>,
    /// What the upstream promises about the tarball's bytes.
    pub digests: Arc<[Digest]>,
    pub published: Option<Timestamp>,
    /// What rules can ask for.
    pub stated: Stated,
    /// Tells its publisher from others, also from those of the same name.
    identity: Option<Arc<str>>,
    published_text: Option<Box<str>>,
    raw: Raw,
    /// Spans within `raw`.
    dist: Span,
    tarball: Span,
    /// Where it says that its attestations are.
    attestations: Option<Span>,
    /// The same as another version's where it says the same of itself; see [`summary`].
    words: u64,
    /// The fields of the abbreviated form, in its order; `dist` is not among them.
    short: Box<[(ShortField, Span)]>,
    has_install_script: bool,
}

impl Entry {
    fn weight(&self) -> usize {
        let published = self.published_text.as_ref().map_or(0, |text| text.len() + 8);
        let heap = self.version.as_str().len() + self.source.len() + published + 48;
        let in_digest = |digest: &Digest| size_of::<Digest>() + digest.bytes().len() + 16;
        let digests = self.digests.iter().map(in_digest).sum::<usize>() + 24;
        let short = self.short.len() * size_of::<(ShortField, Span)>() + 8;
        size_of::<Self>() + heap + digests + short + self.raw.weight() + PLACE
    }

    /// All that the upstream says of it, as it wrote it. Blocks where that is not in memory.
    pub fn manifest(&self, packument: &Packument) -> Result<Bytes, PullError> {
        self.raw.read(&packument.original)
    }

    /// About as long as it is in the abbreviated form.
    fn short_size(&self) -> usize {
        let fields: usize =
            self.short.iter().map(|(name, value)| name.name().len() + value.len()).sum();
        fields + self.dist.len()
    }
}

impl Index {
    pub fn entry(&self, version: &Version) -> Option<&Entry> {
        self.entries.get(*self.places.get(version)?)
    }

    /// The version behind a file name that is not ours: the upstream's own, which a lockfile
    /// from elsewhere may carry.
    pub fn entry_of_foreign_file(&self, file: &str) -> Option<&Entry> {
        self.entries.get(*self.foreign_files.get(file)?)
    }

    /// Why this version, or the one that this tag points to, is not offered though it is there.
    pub fn left_out(&self, version_or_tag: &str) -> Option<&LeftOut> {
        let of_tag = || {
            let (_, version) = self.tags.iter().find(|(tag, _)| tag == version_or_tag)?;
            self.left_out_places.get(version.as_str())
        };
        let place = self.left_out_places.get(version_or_tag).or_else(of_tag)?;
        self.left_out.get(*place)
    }

    fn index_places(&mut self) {
        self.foreign_files.clear();
        self.places.clear();
        for (place, entry) in self.entries.iter().enumerate() {
            self.places.insert(entry.version.clone(), place);
            let path = entry.source.split(['?', '#']).next().unwrap_or_default();
            let file = path.rsplit('/').next().unwrap_or_default();
            // Ours is made of the version, and needs no place of its own.
            if file != tarball_file(&self.package, &entry.version) {
                self.foreign_files.entry(file.into()).or_insert(place);
            }
        }
        let left_out = self.left_out.iter().enumerate();
        self.left_out_places =
            left_out.map(|(place, one)| (one.version.as_str().into(), place)).collect();
    }

    /// What it takes in memory, about.
    fn weight(&self) -> usize {
        let entries: usize = self.entries.iter().map(Entry::weight).sum();
        let fields: usize =
            self.fields.iter().map(|(key, raw)| key.len() + raw.weight() + PLACE).sum();
        let left_out = self.left_out.iter().map(|one| one.version.len() * 2 + one.why.len());
        let foreign = self.foreign_files.keys().map(|file| file.len());
        let tags = self.tags.iter().map(|(tag, version)| tag.len() + version.len());
        let texts = left_out.chain(foreign).chain(tags).map(|length| length + 2 * PLACE);
        size_of::<Self>() + entries + fields + self.shared_weight + texts.sum::<usize>()
    }
}

/// The npm half of [`crate::pull::documents::Documents`].
#[derive(Debug)]
pub struct NpmDocuments;

impl DocumentFormat for NpmDocuments {
    type Parsed = Packument;

    fn parse(
        package: &Package,
        bytes: Bytes,
        retained: Option<Bytes>,
    ) -> Result<Packument, String> {
        let mut packument = Packument::parse(package, &bytes)?;
        if let Some(retained) = retained {
            packument = packument.with_retained(package, &retained)?;
        }
        Ok(packument)
    }

    fn claims(parsed: &Packument) -> Vec<VersionClaim> {
        parsed
            .entries
            .iter()
            .map(|entry| VersionClaim {
                version: entry.version.clone(),
                published: entry.published,
                digests: Arc::clone(&entry.digests),
                deprecated: entry.stated.deprecated == Some(true),
                yanked: false,
            })
            .collect()
    }

    fn offers(parsed: &Packument, version: &Version) -> bool {
        parsed.entry(version).is_some()
    }

    fn promise(parsed: &Packument, version: &Version) -> Option<Promise> {
        let entry = parsed.entry(version)?;
        Some(Promise { source: entry.source.to_string(), digests: Arc::clone(&entry.digests) })
    }

    fn stated<'p>(parsed: &'p Packument, version: &Version) -> Option<&'p Stated> {
        Some(&parsed.entry(version)?.stated)
    }

    fn tags(parsed: &Packument) -> Vec<(String, String)> {
        parsed.tags.clone()
    }

    fn left_out(parsed: &Packument) -> &[LeftOut] {
        &parsed.left_out
    }

    fn summary(parsed: &Packument, _: bool) -> SummaryRecord {
        summary::summarise(parsed)
    }

    fn said(parsed: &Packument, version: &Version) -> Result<Option<Said>, PullError> {
        comparison::said(parsed, version)
    }

    fn compare(said: &Said, packed: &mut dyn Read, length: u64) -> Opened {
        comparison::compare(said, packed, length).into()
    }

    fn retain(parsed: &Packument, versions: &HashSet<Version>) -> Result<Bytes, PullError> {
        render::render_retained(parsed, versions)
    }

    fn read_from(parsed: &Packument, original: Original) -> Packument {
        Packument { index: Arc::clone(&parsed.index), original }
    }

    fn weight(parsed: &Packument) -> usize {
        parsed.index.weight()
    }
}
