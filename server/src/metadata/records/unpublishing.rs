//! What an unpublish took out of a document and has not taken away yet.

use jiff::Timestamp;
use policies::package::Version;
use serde::{Deserialize, Serialize};

use super::{Key, Prefix, Record, encode};
use crate::metadata::MAX_VALUE;

/// Versions that are in the document no more, and of which something may still be there. The first
/// record comes and goes with the change of the document, and says how many belong to it: others
/// without it never counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpublishingRecord {
    /// When they were unpublished.
    pub since: Timestamp,
    pub versions: Vec<String>,
    /// Of the first one: how many come behind it, numbered from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u32>,
}

impl Record for UnpublishingRecord {
    const KIND: &'static str = "unpublishing";
    const PARTS: usize = 3;
}

impl UnpublishingRecord {
    pub fn key(registry: &str, package: &str, n: u32) -> Key<Self> {
        Key::of(&[registry, package, &format!("{n:06}")])
    }

    pub fn of_package(registry: &str, package: &str) -> Prefix<Self> {
        Prefix::of(&[registry, package])
    }

    /// The first one, and those behind it: each as large as a value may be.
    pub fn of(since: Timestamp, versions: &[Version]) -> (Self, Vec<Self>) {
        let empty = Self { since, versions: Vec::new(), more: Some(u32::MAX) };
        let room = MAX_VALUE - encode(&empty).len();
        let (mut records, mut used) = (vec![Self { more: None, ..empty }], 0);
        for version in versions {
            // Quotes and a comma; a character takes six bytes at most.
            let plain = version
                .as_str()
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
            let size = version.as_str().len() * if plain { 1 } else { 6 } + 3;
            if used + size > room {
                records.push(Self { since, versions: Vec::new(), more: None });
                used = 0;
            }
            used += size;
            if let Some(last) = records.last_mut() {
                last.versions.push(version.to_string());
            }
        }
        let mut first = records.remove(0);
        first.more = Some(u32::try_from(records.len()).unwrap_or(u32::MAX));
        (first, records)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_record_is_a_value_that_is_stored_and_no_version_is_left_out() {
        let since = Timestamp::UNIX_EPOCH;
        let long = "-x".repeat(120);
        for count in [0, 1, 100, 10_000] {
            let versions: Vec<Version> =
                (0..count).map(|n| Version::new(&format!("1.{n}.0{long}")).unwrap()).collect();
            let (first, behind) = UnpublishingRecord::of(since, &versions);
            assert_eq!(first.more, Some(u32::try_from(behind.len()).unwrap()));
            let records = || std::iter::once(&first).chain(&behind);
            assert!(records().all(|record| encode(record).len() <= MAX_VALUE), "{count}");
            let listed: Vec<&String> = records().flat_map(|record| &record.versions).collect();
            assert!(versions.iter().map(Version::as_str).eq(listed), "{count}");
        }
    }
}
