//! What the caller gathered about one version, `now` included.
//!
//! Absent is unknown, and unknown is never clean: a missing fact can not make an allow true or a
//! deny false.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// [`Facts::at`] knows nothing but the time; fill in what is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts<'a> {
    pub now: Timestamp,
    /// By the upstream's date, which the publisher controls.
    pub published: Option<Timestamp>,
    /// By our own clock, when this garden first saw the version.
    pub first_seen: Option<Timestamp>,
    /// It was published here: no upstream had a say in it.
    pub own: bool,
    /// Those that name this version; an empty list says that there are none.
    pub advisories: Option<&'a [KnownAdvisory]>,
    /// An advisory names it as the version that fixes it.
    pub fixes_advisory: Option<bool>,
    /// Absent until its artifact was fetched and held against what its registry says of it.
    pub compared: Option<Comparison>,
}

impl Facts<'_> {
    /// Nothing is known but the time.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now,
            published: None,
            first_seen: None,
            own: false,
            advisories: None,
            fixes_advisory: None,
            compared: None,
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
}

/// What an artifact says of itself, beside what its registry says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// One advisory that names the version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownAdvisory {
    pub id: Arc<str>,
    pub aliases: Vec<Arc<str>>,
    /// From 0 to 10; `None` where nobody said how bad it is.
    pub severity: Option<f64>,
    /// The package itself is malware, not merely flawed.
    pub malicious: bool,
    /// Its authors took it back.
    pub withdrawn: bool,
    /// Versions in which it no longer holds.
    pub fixed: Vec<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_contradicts_only_where_it_was_read() {
        let of = |compared| {
            let now = Timestamp::UNIX_EPOCH;
            Facts { compared, ..Facts::at(now) }.contradicts()
        };
        assert_eq!(of(None), None, "not compared yet");
        assert_eq!(of(Some(Comparison::Agrees)), Some(false));
        assert_eq!(of(Some(Comparison::Contradicts)), Some(true));
        assert_eq!(of(Some(Comparison::Unreadable)), None);
    }
}
