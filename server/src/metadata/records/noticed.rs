//! What is stored so that each thing that happens by itself is told once: holds that began and will
//! end, and advisories that speak of what is in use.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Key, Prefix, Record};

/// A version that somebody was refused because it is on hold, until it no longer is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldRecord {
    pub since: Timestamp,
    /// Whose refusal it was: what is decided may differ between teams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// Up to which entry of the audit log holds were looked for. There is one of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldsRecord {
    pub next: u64,
}

/// That an advisory speaks of a version in use was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitRecord {
    pub at: Timestamp,
}

/// Up to which import of advisories was looked at. There is one of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitsRecord {
    pub generation: u64,
}

impl Record for HeldRecord {
    const KIND: &'static str = "held";
    const PARTS: usize = 2;
}

impl Record for HoldsRecord {
    const KIND: &'static str = "holds";
    const PARTS: usize = 1;
}

impl Record for HitRecord {
    const KIND: &'static str = "advisory-hit";
    const PARTS: usize = 3;
}

impl Record for HitsRecord {
    const KIND: &'static str = "advisory-hits";
    const PARTS: usize = 1;
}

impl HeldRecord {
    pub fn key(package: &str, version: &str) -> Key<Self> {
        Key::of(&[package, version])
    }

    pub fn all() -> Prefix<Self> {
        Prefix::all()
    }
}

impl HoldsRecord {
    pub fn key() -> Key<Self> {
        Key::of(&["state"])
    }
}

impl HitRecord {
    pub fn key(advisory: &str, package: &str, version: &str) -> Key<Self> {
        Key::of(&[advisory, package, version])
    }
}

impl HitsRecord {
    pub fn key() -> Key<Self> {
        Key::of(&["state"])
    }
}
