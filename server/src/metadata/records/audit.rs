//! What is stored of the audit log.
//!
//! An entry is first written beside the change that it tells of, in the same batch, as
//! [`WaitingRecord`]: no two writers share a key, so nobody waits for anybody. A moment later it is
//! moved, gets its number, and is hashed into the tree; [`AuditHead`] changes with every such step.
//! The bytes that are hashed are the JSON of [`AuditRecord`], as [`AuditEntries`] keeps it.
//!
//! An engine pays for each key, so entries that follow each other share one, and so do the numbers
//! that the index has under one value.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Key, Prefix, Record};

/// One entry. What comes from outside is escaped and bounded by whoever makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its place in the log, from 0; absent while it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// When it happened.
    pub at: Timestamp,
    /// When it got its number: never earlier than the entry before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged: Option<Timestamp>,
    /// `rule-made`
    pub action: String,
    /// Absent: a client that says nothing of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The name is what they say of themselves, and no token.
    #[serde(default, skip_serializing_if = "is_false")]
    pub claimed: bool,
    /// The name of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `unit/team`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What it is about where that is no package: the name of a rule, of a token, of a team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `npm:left-pad`, or patterns of a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// A version, or a range of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of rules and advisories, as they were in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// An entry that has no number yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WaitingRecord(pub AuditRecord);

/// Entries that follow each other, each the JSON of its [`AuditRecord`]. They lie under the number of
/// the last one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditEntries(pub Vec<Box<RawValue>>);

/// Entries that are about one value: that in the key, and how far it is from each to the next one. The
/// newest come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditIndex(pub Vec<u64>);

/// Up to which number entries are in the index. There is one of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditIndexed {
    pub to: u64,
}

/// Hashes of the tree, in the order in which the tree stores them, as base64 of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHashes {
    pub hashes: String,
}

/// How far the log is. There is one of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    pub size: u64,
    /// The root of the tree, as base64.
    pub root: String,
    /// When the last entry got its number.
    pub logged: Timestamp,
    /// The public key by which the log is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A setting as it was at the last start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingRecord {
    pub value: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_false(it: &bool) -> bool {
    !*it
}

impl Record for AuditEntries {
    const KIND: &'static str = "audit";
    const PARTS: usize = 1;
    const PACKED: bool = true;
}

impl Record for WaitingRecord {
    const KIND: &'static str = "audit-waiting";
    const PARTS: usize = 1;
}

impl Record for AuditIndex {
    const KIND: &'static str = "audit-by";
    const PARTS: usize = 3;
}

impl Record for AuditIndexed {
    const KIND: &'static str = "audit-indexed";
    const PARTS: usize = 1;
}

impl Record for AuditHashes {
    const KIND: &'static str = "audit-hashes";
    const PARTS: usize = 1;
}

impl Record for AuditHead {
    const KIND: &'static str = "audit-head";
    const PARTS: usize = 1;
}

impl Record for SettingRecord {
    const KIND: &'static str = "setting";
    const PARTS: usize = 1;
}

impl SettingRecord {
    pub fn key(name: &str) -> Key<Self> {
        Key::of(&[name])
    }
}

impl AuditEntries {
    /// `last` is the number of the last of them.
    pub fn key(last: u64) -> Key<Self> {
        Key::of(&[&format!("{last:020}")])
    }
}

impl WaitingRecord {
    /// `writer` is a name that nothing else has.
    pub fn key(at: Timestamp, writer: &str) -> Key<Self> {
        let micros = u64::try_from(at.as_microsecond()).unwrap_or(0);
        Key::of(&[&format!("{micros:020}-{writer}")])
    }
}

impl AuditIndex {
    /// `first` is the number of the first of them.
    pub fn key(kind: &str, value: &str, first: u64) -> Key<Self> {
        Key::of(&[kind, value, &format!("{:020}", u64::MAX - first)])
    }

    pub fn of_value(kind: &str, value: &str) -> Prefix<Self> {
        Prefix::of(&[kind, value])
    }

    /// The number in a key; `None` where it is no key of this code.
    pub fn first(key: &Key<Self>) -> Option<u64> {
        key.parts().pop()?.parse::<u64>().ok().map(|inverted| u64::MAX - inverted)
    }
}

impl AuditHashes {
    pub fn key(chunk: u64) -> Key<Self> {
        Key::of(&[&format!("{chunk:020}")])
    }
}

impl AuditIndexed {
    pub fn key() -> Key<Self> {
        Key::of(&["state"])
    }
}

impl AuditHead {
    pub fn key() -> Key<Self> {
        Key::of(&["state"])
    }
}
