//! What the caller gathered about one version, `now` included.
//!
//! Absent is unknown, and unknown is never clean: a missing fact can not make an allow true or a
//! deny false.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    pub now: Timestamp,
    /// By the upstream's date, which the publisher controls.
    pub published: Option<Timestamp>,
    /// By our own clock, when this garden first saw the version.
    pub first_seen: Option<Timestamp>,
    /// It was published here: no upstream had a say in it.
    pub own: bool,
    /// Absent until its artifact was fetched and held against what its registry says of it.
    pub compared: Option<Comparison>,
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

impl Facts {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_contradicts_only_where_it_was_read() {
        let of = |compared| {
            let now = Timestamp::UNIX_EPOCH;
            Facts { now, published: None, first_seen: None, own: false, compared }.contradicts()
        };
        assert_eq!(of(None), None, "not compared yet");
        assert_eq!(of(Some(Comparison::Agrees)), Some(false));
        assert_eq!(of(Some(Comparison::Contradicts)), Some(true));
        assert_eq!(of(Some(Comparison::Unreadable)), None);
    }
}
