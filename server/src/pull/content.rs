//! One state of a document, and the name that views go by.

use std::collections::HashMap;
use std::sync::Arc;

use policies::package::{Digest, Version};
use sha2::{Digest as _, Sha256};

use crate::metadata::records::VersionRecord;

#[derive(Debug)]
pub struct Content<P> {
    pub id: ContentId,
    pub parsed: Arc<P>,
    /// First-seen dates, pinned digests, what came of comparisons.
    pub versions: Arc<HashMap<Version, VersionRecord>>,
    /// Of its text, which need not be in memory.
    pub size: usize,
}

/// The same for the same bytes with the same pins, and for nothing else, so that a view outlives
/// the state in memory that it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentId([u8; 32]);

impl ContentId {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What came of comparisons is not in it: no rule can ask for it yet, and a document's views
    /// need not be made anew for each file that is fetched.
    ///
    /// `retained` is what was read of it, which damage can make less than what is saved.
    pub fn of(
        newest: &Digest,
        retained: Option<&Digest>,
        versions: &HashMap<Version, VersionRecord>,
    ) -> Self {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        };
        add(&newest.hex());
        add(&retained.map(Digest::hex).unwrap_or_default());
        let mut pinned: Vec<_> =
            versions.iter().filter(|(_, record)| record.conflict.is_some()).collect();
        pinned.sort_by_key(|(version, _)| *version);
        for (version, record) in pinned {
            add(version.as_str());
            for digest in record.digests.iter() {
                add(&digest.to_string());
            }
        }
        Self(hash.finalize().into())
    }
}
