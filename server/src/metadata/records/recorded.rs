//! What is stored of what was asked for and decided, and of the rules that decided it.
//!
//! ```text
//! recorded/{hour:08}/{writer}/{n:010}   RecordedRecord   rows of one hour, packed
//! ```
//!
//! A row counts requests that were alike. Records are only ever added and taken away: the same row
//! may stand in several records of its hour, and all of them count. So one that is lost in a crash
//! takes nothing else with it, and records are joined by writing one and removing others in one
//! batch.

use serde::{Deserialize, Serialize};

use super::{Key, Prefix, Record};

/// Some rows of one hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRecord {
    pub rows: u32,
    /// Requests that they count together.
    pub requests: u64,
    /// The rows, packed by whoever gathers them.
    pub packed: String,
}

/// Where a record of rows stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedPlace {
    /// Since 1970.
    pub hour: u32,
    /// Names the process that wrote it, so that two never write to one place.
    pub writer: String,
    pub n: u64,
}

impl Record for RecordedRecord {
    const KIND: &'static str = "recorded";
    const PARTS: usize = 3;
}

impl RecordedRecord {
    pub fn key(place: &RecordedPlace) -> Key<Self> {
        let RecordedPlace { hour, writer, n } = place;
        Key::of(&[&format!("{hour:08}"), writer, &format!("{n:010}")])
    }

    /// Before every key of this hour, and behind those of earlier ones.
    pub fn before(hour: u32) -> Key<Self> {
        Key::of(&[&format!("{hour:08}"), "", ""])
    }

    pub fn of_hour(hour: u32) -> Prefix<Self> {
        Prefix::of(&[&format!("{hour:08}")])
    }

    /// `None` for a key whose numbers are none.
    pub fn place(key: &Key<Self>) -> Option<RecordedPlace> {
        let [hour, writer, n] = <[String; 3]>::try_from(key.parts()).ok()?;
        Some(RecordedPlace { hour: hour.parse().ok()?, writer, n: n.parse().ok()? })
    }
}
