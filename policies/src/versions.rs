//! What a version means in its ecosystem: its order, and the ranges that cover it.
//!
//! A range is asked in one of two ways. *Narrow* is the ecosystem's own rule and serves allowing:
//! a pre-release only where the range names one, and never a version that cannot be read. *Wide*
//! serves denying and holding: pre-releases of covered versions count, and so does whatever cannot
//! be read, because the unknown is never clean.

pub mod cargo;
pub mod npm;
pub mod nuget;
pub mod oci;

use std::cmp::Ordering;

use crate::package::Ecosystem;

/// Longest text of a range.
pub const MAX_RANGE: usize = 512;

/// A version that its ecosystem can order.
#[derive(Clone, Debug)]
pub enum Parsed<'v> {
    Npm(nodejs_semver::Version),
    Cargo(semver::Version),
    Nuget(nuget::Version),
    /// Tags and digests have no order.
    Oci(&'v str),
}

impl<'v> Parsed<'v> {
    /// `None` when the ecosystem does not know such a version.
    pub fn new(ecosystem: Ecosystem, text: &'v str) -> Option<Self> {
        match ecosystem {
            Ecosystem::Npm => npm::parse(text).map(Self::Npm),
            Ecosystem::Cargo => semver::Version::parse(text).ok().map(Self::Cargo),
            Ecosystem::Nuget => nuget::Version::parse(text).map(Self::Nuget),
            Ecosystem::Oci => oci::is_reference(text).then_some(Self::Oci(text)),
        }
    }

    pub fn is_prerelease(&self) -> bool {
        match self {
            Self::Npm(version) => version.is_prerelease(),
            Self::Cargo(version) => !version.pre.is_empty(),
            Self::Nuget(version) => version.is_prerelease(),
            Self::Oci(_) => false,
        }
    }

    /// `None` for versions of two ecosystems, and for tags. Build metadata does not count.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Npm(a), Self::Npm(b)) => Some(a.cmp(b)),
            (Self::Cargo(a), Self::Cargo(b)) => Some(a.cmp_precedence(b)),
            (Self::Nuget(a), Self::Nuget(b)) => Some(a.cmp(b)),
            (Self::Oci(a), Self::Oci(b)) if a == b => Some(Ordering::Equal),
            _ => None,
        }
    }
}

/// Orders two versions; `None` when either cannot be read or the ecosystem has no order.
pub fn compare(ecosystem: Ecosystem, a: &str, b: &str) -> Option<Ordering> {
    Parsed::new(ecosystem, a)?.compare(&Parsed::new(ecosystem, b)?)
}

/// `None` when the version cannot be read.
pub fn is_prerelease(ecosystem: Ecosystem, text: &str) -> Option<bool> {
    Parsed::new(ecosystem, text).map(|version| version.is_prerelease())
}

/// The range in this ecosystem that holds exactly this version.
pub fn exactly(ecosystem: Ecosystem, version: &str) -> String {
    match ecosystem {
        Ecosystem::Npm | Ecosystem::Oci => version.to_owned(),
        Ecosystem::Cargo => format!("={version}"),
        Ecosystem::Nuget => format!("[{version}]"),
    }
}

/// Why a text is no range of its ecosystem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {ecosystem} version range: {why}")]
pub struct InvalidRange {
    pub ecosystem: Ecosystem,
    pub text: String,
    pub why: String,
}

#[derive(Clone, Debug)]
pub enum Range {
    Npm(npm::Range),
    Cargo(cargo::Range),
    Nuget(nuget::Range),
    Oci(oci::Range),
}

impl Range {
    pub fn parse(ecosystem: Ecosystem, text: &str) -> Result<Self, InvalidRange> {
        let invalid =
            |why: String| InvalidRange { ecosystem, text: text.chars().take(80).collect(), why };
        if text.len() > MAX_RANGE {
            return Err(invalid(format!("it is longer than {MAX_RANGE} bytes")));
        }
        if text.trim().is_empty() {
            return Err(invalid("it is empty".to_owned()));
        }
        match ecosystem {
            Ecosystem::Npm => npm::Range::parse(text).map(Self::Npm),
            Ecosystem::Cargo => cargo::Range::parse(text).map(Self::Cargo),
            Ecosystem::Nuget => nuget::Range::parse(text).map(Self::Nuget),
            Ecosystem::Oci => oci::Range::parse(text).map(Self::Oci),
        }
        .map_err(invalid)
    }

    /// Whether no version can be in it. Only cargo reads such a range; the others refuse it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Cargo(range) => range.is_empty(),
            Self::Npm(_) | Self::Nuget(_) | Self::Oci(_) => false,
        }
    }

    /// Whether allowing this range allows the version.
    pub fn allows(&self, version: &Parsed<'_>) -> bool {
        match (self, version) {
            (Self::Npm(range), Parsed::Npm(version)) => range.allows(version),
            (Self::Cargo(range), Parsed::Cargo(version)) => range.allows(version),
            (Self::Nuget(range), Parsed::Nuget(version)) => range.allows(version),
            (Self::Oci(range), Parsed::Oci(version)) => range.matches(version),
            _ => false,
        }
    }

    /// Whether this range allows and covers all that the other one does. Certain where it says so;
    /// of other ecosystems than npm nobody can tell.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Npm(range), Self::Npm(other)) => range.contains(other),
            _ => false,
        }
    }

    /// Whether denying or holding this range stops the version. A range of another ecosystem than
    /// the version's stops nothing; the caller picks the right one.
    pub fn covers(&self, version: &Parsed<'_>) -> bool {
        match (self, version) {
            (Self::Npm(range), Parsed::Npm(version)) => range.covers(version),
            (Self::Cargo(range), Parsed::Cargo(version)) => range.covers(version),
            (Self::Nuget(range), Parsed::Nuget(version)) => range.covers(version),
            (Self::Oci(range), Parsed::Oci(version)) => range.matches(version),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
