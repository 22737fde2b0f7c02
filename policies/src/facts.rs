//! What the caller gathered about one version, `now` included.
//!
//! Absent is unknown, and unknown is never clean: a missing fact can not make an allow true or a
//! deny or hold false. Facts are borrowed, so that those of thousands of versions cost nothing to
//! put together.

mod missing;
mod sheet;

use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use missing::Missing;
pub use sheet::FactSheet;

use crate::licence::Licence;

/// [`Facts::at`] knows nothing but the time; fill in what is known.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub now: Timestamp,
    /// The name of the registry that it is asked of.
    pub registry: Option<&'a str>,
    /// By the upstream's date, which the publisher controls.
    pub published: Option<Timestamp>,
    /// By our own clock, when this garden first saw the version.
    pub first_seen: Option<Timestamp>,
    /// It was published here: no upstream had a say in it.
    pub own: bool,
    pub licence: Option<&'a Licence>,
    /// Those that name this version; an empty list says that there are none.
    pub advisories: Option<&'a [KnownAdvisory]>,
    /// It is the first version in which some advisory no longer holds.
    pub fixes_advisory: Option<bool>,
    pub deprecated: Option<bool>,
    pub yanked: Option<bool>,
    pub unlisted: Option<bool>,
    /// It runs code of its own when it is installed.
    pub install_scripts: Option<bool>,
    /// It carries a checked statement of where it was built.
    pub provenance: Option<bool>,
    pub publisher: Option<&'a str>,
    /// Somebody else published it than the version before.
    pub publisher_changed: Option<bool>,
    /// How many packages it depends on directly.
    pub dependencies: Option<u32>,
    /// In bytes, as it is downloaded.
    pub size: Option<u64>,
    /// The better known package that its name resembles; empty where it resembles none.
    pub similar_to: Option<&'a str>,
    /// Absent until its artifact was fetched and held against what its registry says of it.
    pub compared: Option<Comparison>,
    /// What it is, in its author's words.
    pub description: Option<&'a str>,
    /// Where its source is, by its author's word.
    pub repository: Option<&'a str>,
    /// The oldest compiler that it is meant for.
    pub rust_version: Option<&'a str>,
    /// What its artifact will say once somebody opens it: asking whether it is known has no answer yet.
    pub pending: Missing,
}

/// What a registry's document states of one version, read once and kept with it. What is absent is
/// unknown.
#[derive(Clone, Debug, Default)]
pub struct Stated {
    /// The same one for versions that state the same.
    pub licence: Option<Arc<Licence>>,
    pub publisher: Option<Arc<str>>,
    pub publisher_changed: Option<bool>,
    pub deprecated: Option<bool>,
    pub yanked: Option<bool>,
    pub unlisted: Option<bool>,
    pub install_scripts: Option<bool>,
    pub provenance: Option<bool>,
    pub dependencies: Option<u32>,
    /// The same one for neighbours that state the same.
    pub rust_version: Option<Arc<str>>,
    /// As in [`Facts`].
    pub pending: Missing,
}

/// What an artifact says of itself, beside what its registry says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    Agrees,
    Contradicts,
    /// It can not be opened, so nobody knows.
    Unreadable,
}

impl Comparison {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Contradicts => "contradicts",
            Self::Unreadable => "unreadable",
        }
    }
}

impl<'a> Facts<'a> {
    /// With all that its document states of it.
    #[must_use]
    pub fn stated(self, stated: &'a Stated) -> Self {
        Self {
            licence: stated.licence.as_deref(),
            publisher: stated.publisher.as_deref(),
            publisher_changed: stated.publisher_changed,
            deprecated: stated.deprecated,
            yanked: stated.yanked,
            unlisted: stated.unlisted,
            install_scripts: stated.install_scripts,
            provenance: stated.provenance,
            dependencies: stated.dependencies,
            rust_version: stated.rust_version.as_deref(),
            pending: stated.pending,
            ..self
        }
    }

    /// Whether the artifact contradicts its registry. Unknown until it was compared, and where it
    /// can not be read: a package that hides what it says has not agreed.
    pub fn contradicts(&self) -> Option<bool> {
        match self.compared? {
            Comparison::Agrees => Some(false),
            Comparison::Contradicts => Some(true),
            Comparison::Unreadable => None,
        }
    }

    /// Nothing is known but the time.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now,
            registry: None,
            published: None,
            first_seen: None,
            own: false,
            licence: None,
            advisories: None,
            fixes_advisory: None,
            deprecated: None,
            yanked: None,
            unlisted: None,
            install_scripts: None,
            provenance: None,
            publisher: None,
            publisher_changed: None,
            dependencies: None,
            size: None,
            similar_to: None,
            compared: None,
            description: None,
            repository: None,
            rust_version: None,
            pending: Missing::NONE,
        }
    }
}

/// One advisory that names the version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KnownAdvisory {
    /// Such as `GHSA-…`.
    pub id: Arc<str>,
    /// Other ids of the same.
    pub aliases: Vec<Arc<str>>,
    /// The CVSS base score; `None` where the advisory gives none.
    pub severity: Option<f64>,
    /// The package itself is malware, not merely flawed.
    pub malicious: bool,
    /// Its authors took it back.
    pub withdrawn: bool,
    /// Versions in which it no longer holds.
    pub fixed: Vec<Arc<str>>,
}

/// A fact that can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fact {
    Registry,
    Published,
    FirstSeen,
    Licence,
    Advisories,
    /// The score of one of the advisories.
    Severity,
    FixesAdvisory,
    Deprecated,
    Yanked,
    Unlisted,
    InstallScripts,
    Provenance,
    Publisher,
    PublisherChanged,
    Dependencies,
    Size,
    SimilarTo,
    Contradicts,
    Description,
    Repository,
    RustVersion,
}

impl Fact {
    /// What a [`Stated`] tells.
    pub const STATED: [Self; 10] = [
        Self::Licence,
        Self::Publisher,
        Self::PublisherChanged,
        Self::Deprecated,
        Self::Yanked,
        Self::Unlisted,
        Self::InstallScripts,
        Self::Provenance,
        Self::Dependencies,
        Self::RustVersion,
    ];

    pub const ALL: [Self; 21] = [
        Self::Registry,
        Self::Published,
        Self::FirstSeen,
        Self::Licence,
        Self::Advisories,
        Self::Severity,
        Self::FixesAdvisory,
        Self::Deprecated,
        Self::Yanked,
        Self::Unlisted,
        Self::InstallScripts,
        Self::Provenance,
        Self::Publisher,
        Self::PublisherChanged,
        Self::Dependencies,
        Self::Size,
        Self::SimilarTo,
        Self::Contradicts,
        Self::Description,
        Self::Repository,
        Self::RustVersion,
    ];

    /// As conditions write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Published => "published",
            Self::FirstSeen => "first_seen",
            Self::Licence => "licence",
            Self::Advisories => "advisories",
            Self::Severity => "severity",
            Self::FixesAdvisory => "fixes_advisory",
            Self::Deprecated => "deprecated",
            Self::Yanked => "yanked",
            Self::Unlisted => "unlisted",
            Self::InstallScripts => "install_scripts",
            Self::Provenance => "provenance",
            Self::Publisher => "publisher",
            Self::PublisherChanged => "publisher_changed",
            Self::Dependencies => "dependencies",
            Self::Size => "size",
            Self::SimilarTo => "similar_to",
            Self::Contradicts => "contradicts",
            Self::Description => "description",
            Self::Repository => "repository",
            Self::RustVersion => "rust_version",
        }
    }

    /// What is not known, for a person: "nobody knows …".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Registry => "which registry it is of",
            Self::Published => "when it was published",
            Self::FirstSeen => "when it was first seen here",
            Self::Licence => "its licence",
            Self::Advisories => "what advisories say of it",
            Self::Severity => "how severe one of its advisories is",
            Self::FixesAdvisory => "whether it fixes an advisory",
            Self::Deprecated => "whether it is deprecated",
            Self::Yanked => "whether it is yanked",
            Self::Unlisted => "whether it is unlisted",
            Self::InstallScripts => "whether it runs scripts when it is installed",
            Self::Provenance => "where it was built",
            Self::Publisher => "who published it",
            Self::PublisherChanged => "whether its publisher changed",
            Self::Dependencies => "how many dependencies it has",
            Self::Size => "how large it is",
            Self::SimilarTo => "which names its own resembles",
            Self::Contradicts => "whether its metadata contradict its archive",
            Self::Description => "what it says that it is",
            Self::Repository => "where it says that its source is",
            Self::RustVersion => "which version of Rust it is meant for",
        }
    }
}

impl FromStr for Fact {
    type Err = UnknownFact;

    fn from_str(text: &str) -> Result<Self, UnknownFact> {
        Self::ALL.into_iter().find(|fact| fact.name() == text).ok_or(UnknownFact)
    }
}

/// The text names no fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is the name of no fact")]
pub struct UnknownFact;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_contradicts_only_where_it_was_read() {
        let of = |compared| Facts { compared, ..Facts::at(Timestamp::UNIX_EPOCH) }.contradicts();
        assert_eq!(of(None), None, "not compared yet");
        assert_eq!(of(Some(Comparison::Agrees)), Some(false));
        assert_eq!(of(Some(Comparison::Contradicts)), Some(true));
        assert_eq!(of(Some(Comparison::Unreadable)), None);
    }
}
