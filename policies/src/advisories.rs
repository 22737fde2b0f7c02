//! Advisories: what is known to be wrong with versions of packages, in the words of OSV.
//!
//! A record's text becomes an [`Advisory`] ([`osv`]); [`Affected::includes`] says whether it speaks
//! of a version, by the specification's own algorithm and the ecosystem's own order
//! ([`evaluation`]). All advisories in force together are an [`Index`] by package ([`index`]), from
//! which the facts of a version come. Where the data leave something open, the version counts as
//! affected: the unknown is never clean.
//!
//! The format is that of <https://ossf.github.io/osv-schema/>.

pub mod evaluation;
mod holes;
pub mod index;
pub mod osv;
mod severity;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::package::{Ecosystem, Package};

pub use evaluation::Compiled;
pub use holes::holes;
pub use index::{Builder, Index, PackageAdvisories, packed};
pub use osv::{Unreadable, parse};
pub use severity::{Rating, rating, severity_of_notice};

/// The largest text of a record that is read.
pub const MAX_RECORD: usize = 16 * 1024 * 1024;
const MAX_ID: usize = 128;
const MAX_ALIASES: usize = 100;
const MAX_ALIAS_BYTES: usize = 3 * 1024;
const MAX_SUMMARY: usize = 500;
const MAX_URL: usize = 500;
const MAX_CWES: usize = 20;
/// Packages of one record.
const MAX_AFFECTED: usize = 10_000;
/// Ranges of one package in one record.
const MAX_RANGES: usize = 1000;
/// Events of one range, and bytes of their versions together: a range is stored in one piece.
const MAX_EVENTS: usize = 200;
const MAX_EVENT_BYTES: usize = 4 * 1024;
/// Versions of one package in one record.
const MAX_VERSIONS: usize = 50_000;
const MAX_VERSION: usize = 256;

/// One advisory, reduced to what garth goes by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Advisory {
    /// Such as `GHSA-…`.
    pub id: String,
    /// Other ids of the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// One line for a person; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Of two records with one id the one that was modified later counts.
    pub modified: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Timestamp>,
    /// The versions were made to do harm; this is no mistake in good software.
    #[serde(default, skip_serializing_if = "is_false")]
    pub malicious: bool,
    /// Where a person reads more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `CWE-79`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cwes: Vec<String>,
    /// Of ecosystems that garth knows; the others are left out.
    pub affected: Vec<Affected>,
}

/// Versions of one package that the advisory speaks of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Affected {
    pub package: Package,
    /// From 0 to 10; absent where nobody said how bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<f64>,
    /// The CVSS vector that the severity comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
    /// Each is the events of one range, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Vec<Event>>,
    /// Versions that are named one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
}

/// Where on the line of versions something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RangeEvent)]
pub enum Event {
    /// `0` is before every version.
    Introduced(String),
    Fixed(String),
    /// Versions behind it are not affected.
    LastAffected(String),
    /// Versions from it on are not spoken of, if no other limit is higher; `*` is none.
    Limit(String),
}

impl Event {
    pub fn version(&self) -> &str {
        let (Self::Introduced(version)
        | Self::Fixed(version)
        | Self::LastAffected(version)
        | Self::Limit(version)) = self;
        version
    }
}

/// The ecosystem by OSV's name of it; `None` for those that garth does not serve.
pub fn ecosystem_of(name: &str) -> Option<Ecosystem> {
    // Behind a colon stands which part of it is meant, or which of its registries: whether that is
    // ours nobody knows.
    match name.split_once(':').map_or(name, |(name, _)| name) {
        "npm" => Some(Ecosystem::Npm),
        "crates.io" => Some(Ecosystem::Cargo),
        "NuGet" => Some(Ecosystem::Nuget),
        _ => None,
    }
}

impl Affected {
    /// Whether the advisory speaks of this version.
    pub fn includes(&self, version: &str) -> bool {
        Compiled::new(self).includes(version)
    }

    /// The versions that fix it, in the order in which they are named.
    pub fn fixed(&self) -> impl Iterator<Item = &str> {
        self.ranges.iter().flatten().filter_map(|event| match event {
            Event::Fixed(version) => Some(version.as_str()),
            _ => None,
        })
    }
}

impl Advisory {
    /// In parts that are each at most about `bytes` long when they are written down. What is said
    /// of a package stays what it is when it is said in several parts.
    pub fn split(mut self, bytes: usize) -> Vec<Self> {
        // Nearly all are small, and stay as they are.
        if self.affected.iter().map(weight).sum::<usize>() <= bytes / 2 {
            return vec![self];
        }
        let mut pieces = Vec::new();
        for affected in std::mem::take(&mut self.affected) {
            split_affected(&affected, bytes / 2, &mut pieces);
        }
        let head = || self.clone();
        let (mut parts, mut part, mut size) = (Vec::new(), head(), 0);
        for piece in pieces {
            let weight = weight(&piece);
            if size > 0 && size + weight > bytes / 2 {
                parts.push(std::mem::replace(&mut part, head()));
                size = 0;
            }
            size += weight;
            part.affected.push(piece);
        }
        parts.push(part);
        parts
    }
}

/// A version in one of several lists is as affected as in one, and so it is with ranges.
fn split_affected(affected: &Affected, bytes: usize, pieces: &mut Vec<Affected>) {
    let empty = || Affected { ranges: Vec::new(), versions: Vec::new(), ..affected.clone() };
    let (mut piece, mut size) = (empty(), 0);
    let mut turn = |piece: &mut Affected, weight: usize| {
        if size > 0 && size + weight > bytes {
            pieces.push(std::mem::replace(piece, empty()));
            size = 0;
        }
        size += weight;
    };
    for range in &affected.ranges {
        turn(&mut piece, range_weight(range));
        piece.ranges.push(range.clone());
    }
    for version in &affected.versions {
        turn(&mut piece, text_weight(version));
        piece.versions.push(version.clone());
    }
    pieces.push(piece);
}

/// About as long as its JSON.
fn weight(affected: &Affected) -> usize {
    let versions: usize = affected.versions.iter().map(|version| text_weight(version)).sum();
    let ranges: usize = affected.ranges.iter().map(|range| range_weight(range)).sum();
    affected.package.name().len()
        + affected.vector.as_ref().map_or(0, String::len)
        + 120
        + versions
        + ranges
}

fn range_weight(range: &[Event]) -> usize {
    range.iter().map(|event| text_weight(event.version()) + 20).sum::<usize>() + 3
}

/// With its quotes and its comma; what JSON escapes is up to six times as long.
fn text_weight(text: &str) -> usize {
    let escaped =
        text.bytes().filter(|byte| byte.is_ascii_control() || matches!(byte, b'"' | b'\\'));
    text.len() + 5 * escaped.count() + 3
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests;
