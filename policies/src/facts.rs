//! What the caller gathered about one version, `now` included.
//!
//! Absent is unknown, and unknown is never clean: a missing fact can not make an allow true or a
//! deny false.

use std::sync::Arc;

use jiff::Timestamp;

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
