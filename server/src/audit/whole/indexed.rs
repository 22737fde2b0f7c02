//! Whether the index of the log names every entry by what it is about, and nothing else.

use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;

use super::faults::{Faults, Part};
use super::{PAGE, place};
use crate::audit::{index, reading};
use crate::metadata::records::{AuditIndex, AuditRecord, Key, Prefix, show_key};
use crate::metadata::{Entry, Metadata, MetadataError};
use crate::random;

/// Of keys, in whatever order they come. By hashes that nobody knows before, so that no other keys come
/// to the same.
#[derive(Clone)]
pub struct Sum {
    hashers: [RandomState; 2],
    count: u64,
    sums: [u64; 2],
}

impl Sum {
    pub fn new() -> Self {
        Self { hashers: [random::hasher(), random::hasher()], count: 0, sums: [0; 2] }
    }

    /// Of nothing, by the same hashes.
    fn begun(&self) -> Self {
        Self { hashers: self.hashers.clone(), count: 0, sums: [0; 2] }
    }

    pub fn add(&mut self, key: &[u8]) {
        self.count += 1;
        for (sum, hasher) in self.sums.iter_mut().zip(&self.hashers) {
            *sum = sum.wrapping_add(hasher.hash_one(key));
        }
    }
}

impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sums) == (other.count, other.sums)
    }
}

/// Of the index as it is.
pub async fn sum_of(metadata: &dyn Metadata, wanted: &Sum) -> Result<Sum, MetadataError> {
    let mut sum = wanted.begun();
    let mut last: Option<Bytes> = None;
    loop {
        let page = page(metadata, &Prefix::<AuditIndex>::all(), last.as_ref()).await?;
        let Some(end) = page.last() else { return Ok(sum) };
        last = Some(end.key.clone());
        for entry in &page {
            sum.add(&entry.key);
        }
    }
}

/// Looks for each key of the one in the other. Entries that can not be read have been told of.
pub async fn compare(
    metadata: &dyn Metadata,
    size: u64,
    faults: &mut Faults,
) -> Result<(), MetadataError> {
    let mut last: Option<Bytes> = None;
    loop {
        let page = page(metadata, &Prefix::<AuditRecord>::all(), last.as_ref()).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.key.clone());
        for entry in page {
            let Some(n) = reading::number(&entry.key).filter(|n| *n < size) else { continue };
            let Ok(logged) = reading::logged(&entry) else { continue };
            for (kind, value) in index::values(&logged.record) {
                let key = AuditIndex::key(kind, &value, n);
                if metadata.get(key.as_bytes()).await?.is_none() {
                    let what = format!("the index does not name it by the {kind} {value}");
                    faults.tell(Part::Index, place(n), what);
                }
            }
        }
    }
    let mut last: Option<Bytes> = None;
    loop {
        let page = page(metadata, &Prefix::<AuditIndex>::all(), last.as_ref()).await?;
        let Some(end) = page.last() else { return Ok(()) };
        last = Some(end.key.clone());
        for record in page {
            if let Some(what) = stray(metadata, &record.key, size).await? {
                faults.tell(Part::Index, show_key(&record.key), what);
            }
        }
    }
}

/// Why nothing should be under this key of the index.
async fn stray(
    metadata: &dyn Metadata,
    key: &[u8],
    size: u64,
) -> Result<Option<String>, MetadataError> {
    let parsed = Key::<AuditIndex>::parse(key);
    let Some(n) = parsed.as_ref().and_then(AuditIndex::number) else {
        return Ok(Some("it names no entry".to_owned()));
    };
    let missing = || Some(format!("it names entry {n}, which is not there"));
    if n >= size {
        return Ok(missing());
    }
    let at = AuditRecord::key(n);
    let Some(value) = metadata.get(at.as_bytes()).await? else { return Ok(missing()) };
    let Ok(logged) = reading::logged(&Entry { key: at.to_bytes(), value }) else { return Ok(None) };
    let values = index::values(&logged.record);
    let is_about =
        values.iter().any(|(kind, value)| AuditIndex::key(kind, value, n).as_bytes() == key);
    Ok((!is_about).then(|| format!("it names entry {n}, which is not about that")))
}

async fn page<R>(
    metadata: &dyn Metadata,
    prefix: &Prefix<R>,
    last: Option<&Bytes>,
) -> Result<Vec<Entry>, MetadataError>
where
    R: crate::metadata::records::Record,
{
    metadata.scan(prefix.as_bytes(), last.map(|key| &**key), PAGE).await
}
