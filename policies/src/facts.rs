//! What the caller gathered about one version, `now` included.
//!
//! Absent is unknown, and unknown is never clean: a missing fact can not make an allow true or a
//! deny false.

use std::sync::Arc;

use jiff::Timestamp;

#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub now: Timestamp,
    /// By the upstream's date, which the publisher controls.
    pub published: Option<Timestamp>,
    /// By our own clock, when this garden first saw the version.
    pub first_seen: Option<Timestamp>,
    /// It was published here: no upstream had a say in it.
    pub own: bool,
    /// The advisories that speak of it; absent where none were ever imported for its ecosystem.
    pub advisories: Option<Arc<[KnownAdvisory]>>,
    /// An advisory names it as the version that fixes it.
    pub fixes_advisory: Option<bool>,
}

impl Facts {
    /// Nothing but the time is known.
    pub const fn unknown(now: Timestamp) -> Self {
        Self {
            now,
            published: None,
            first_seen: None,
            own: false,
            advisories: None,
            fixes_advisory: None,
        }
    }
}

/// What an advisory says of a version that it speaks of.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownAdvisory {
    pub id: Arc<str>,
    pub aliases: Arc<[Arc<str>]>,
    /// From 0 to 10; absent where nobody said how bad it is.
    pub severity: Option<f64>,
    /// The version was made to do harm.
    pub malicious: bool,
    /// Whoever published it took it back.
    pub withdrawn: bool,
    /// Versions that fix it.
    pub fixed: Arc<[Arc<str>]>,
}
