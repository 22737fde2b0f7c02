//! One state of a document, and the name that views go by.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use policies::package::{Digest, Version};
use sha2::{Digest as _, Sha256};

use crate::metadata::records::VersionRecord;

#[derive(Debug)]
pub struct Content<P> {
    pub id: ContentId,
    pub parsed: Arc<P>,
    /// First-seen dates, pinned digests, what came of opening artifacts.
    pub versions: Arc<HashMap<Version, VersionRecord>>,
    /// Of its text, which need not be in memory.
    pub size: usize,
}

/// The same for the same text and the same verdicts, and for nothing else, so that a view outlives
/// the state in memory that it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentId {
    text: TextId,
    /// What came of comparisons, how large artifacts are, and of which it is known what they say:
    /// rules may ask for all of it.
    verdicts: u64,
}

/// The same for the same bytes with the same pins: whatever is decided, the text is made of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextId([u8; 32]);

impl TextId {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl ContentId {
    pub const fn text(self) -> TextId {
        self.text
    }

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
        let verdicts = versions.iter().map(|(version, record)| verdict(version, Some(record)));
        let verdicts = verdicts.fold(0, |all, one| all ^ one);
        Self { text: TextId(hash.finalize().into()), verdicts }
    }

    /// The same, but that something else is remembered of one version; its digests are what they
    /// were.
    pub fn with(
        self,
        version: &Version,
        before: Option<&VersionRecord>,
        after: &VersionRecord,
    ) -> Self {
        let changed = verdict(version, before) ^ verdict(version, Some(after));
        Self { verdicts: self.verdicts ^ changed, ..self }
    }
}

/// A number for what came of fetching this version and comparing it; all of them together make one,
/// in any order.
fn verdict(version: &Version, record: Option<&VersionRecord>) -> u64 {
    let compared = record.and_then(|record| record.compared.as_ref());
    let (found, size) = (compared.map(|compared| compared.found), record.and_then(|of| of.size));
    // The bytes of a version stay what they are, and so does what they say.
    let is_opened = record.is_some_and(|record| record.inside.is_some());
    if found.is_none() && size.is_none() && !is_opened {
        return 0;
    }
    let mut hash = DefaultHasher::new();
    (version.as_str(), found, size, is_opened).hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;
    use policies::facts::Comparison;

    use super::*;
    use crate::metadata::records::{Compared, InsideRecord};

    fn record(found: Option<Comparison>) -> VersionRecord {
        VersionRecord {
            first_seen: Timestamp::UNIX_EPOCH,
            published: None,
            digests: [].into(),
            vanished: None,
            conflict: None,
            own: false,
            compared: found.map(|found| Compared { found, said: String::new() }),
            size: None,
            inside: None,
        }
    }

    #[test]
    fn a_verdict_is_another_content_of_the_same_text_however_it_came_to_be_known() {
        let digest = Digest::sha256_of(b"text");
        let version = |text: &str| Version::new(text).unwrap();
        let (one, two) = (version("1.0.0"), version("2.0.0"));
        let mut versions = HashMap::from([(one.clone(), record(None)), (two, record(None))]);
        let before = ContentId::of(&digest, None, &versions);
        let after = record(Some(Comparison::Contradicts));
        let told = before.with(&one, versions.get(&one), &after);
        assert_ne!(told, before);
        assert_eq!(told.text(), before.text());
        versions.insert(one.clone(), after.clone());
        assert_eq!(ContentId::of(&digest, None, &versions), told);
        assert_eq!(told.with(&one, Some(&after), &record(None)), before);
        let sized = VersionRecord { size: Some(7), ..record(None) };
        assert_ne!(before.with(&one, Some(&record(None)), &sized), before);
        let inside = Some(Arc::new(InsideRecord { blob: digest.clone(), inside: None }));
        let opened = VersionRecord { inside, ..record(None) };
        assert_ne!(before.with(&one, Some(&record(None)), &opened), before);
    }
}
