//! The packument: one upstream document, many filtered views.
//!
//! Pure, bytes to bytes. [`parse`](Packument::parse) finds where each version stands in the
//! upstream's bytes and what is promised about its tarball; [`render`] splices a view from those
//! spans, so a version that nobody rewrites is copied and never parsed again. A version that
//! contradicts itself (another name, two `dist`s, a tarball outside of the upstream) is left out
//! and named in [`Packument::problems`]: what cannot be checked is not offered.

mod fields;
mod parse;
mod render;
mod tags;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use policies::package::{Digest, Package, Version};

pub use render::{Form, Offer, Shown, render_manifest, render_packument};
pub use tags::offered_tags;

use crate::pull::format::{DocumentFormat, VersionClaim};

/// An upstream's packument with the places of what we serve from it.
#[derive(Debug)]
pub struct Packument {
    pub package: Package,
    pub entries: Vec<Entry>,
    pub tags: Vec<(String, String)>,
    /// Versions that are not offered, and why; one line each, for the log.
    pub problems: Vec<String>,
    /// Where each version stands in `entries`.
    places: HashMap<Version, usize>,
    /// Top-level fields that are not made anew for each view: key and raw JSON.
    fields: Vec<(String, Bytes)>,
    created: Option<String>,
    modified: Option<String>,
}

/// One version, as the upstream wrote it.
#[derive(Debug)]
pub struct Entry {
    pub version: Version,
    /// Where the upstream keeps the tarball, as written there.
    pub source: String,
    /// What the upstream promises about the tarball's bytes.
    pub digests: Vec<Digest>,
    pub published: Option<Timestamp>,
    pub deprecated: bool,
    published_text: Option<String>,
    raw: Bytes,
    /// Spans within `raw`.
    dist: Range<usize>,
    tarball: Range<usize>,
    /// The fields of the abbreviated form, in its order; `dist` is not among them.
    short: Vec<(&'static str, Range<usize>)>,
    has_install_script: bool,
}

impl Packument {
    pub fn entry(&self, version: &Version) -> Option<&Entry> {
        self.entries.get(*self.places.get(version)?)
    }

    /// The version behind a file name that is not ours: the upstream's own, which a lockfile
    /// from elsewhere may carry.
    pub fn entry_of_foreign_file(&self, file: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            let path = entry.source.split(['?', '#']).next().unwrap_or_default();
            path.rsplit('/').next() == Some(file)
        })
    }

    fn index_places(&mut self) {
        let places = self.entries.iter().enumerate();
        self.places = places.map(|(place, entry)| (entry.version.clone(), place)).collect();
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
            packument.add_retained(Packument::parse(package, &retained)?);
            packument.index_places();
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
                digests: entry.digests.clone(),
                deprecated: entry.deprecated,
            })
            .collect()
    }

    fn offers(parsed: &Packument, version: &Version) -> bool {
        parsed.entry(version).is_some()
    }

    fn tags(parsed: &Packument) -> Vec<(String, String)> {
        parsed.tags.clone()
    }

    fn problems(parsed: &Packument) -> &[String] {
        &parsed.problems
    }

    fn retain(parsed: &Packument, versions: &HashSet<Version>) -> Bytes {
        render::render_retained(parsed, versions)
    }
}
