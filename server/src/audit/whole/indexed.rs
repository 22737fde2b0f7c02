//! Whether the index of the log names every entry by what it is about, and nothing else. The newest entries
//! need not be named yet, and may be: they are those from the number on that the index says, to the end.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use bytes::Bytes;

use super::faults::{Faults, Part};
use super::{BLOCKS, PAGE, place};
use crate::audit::blocks::{self, Block, record_in};
use crate::audit::index;
use crate::audit::listing::{self, scan_below};
use crate::metadata::records::{AuditIndex, Key, Prefix, show_key};
use crate::metadata::{Entry, Metadata, MetadataError};
use crate::random;

/// Of what the index says, in whatever order it comes. By hashes that nobody knows before, so that nothing
/// else comes to the same.
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

    /// That an entry is about a value of a kind.
    pub fn add(&mut self, kind: &str, value: &str, n: u64) {
        self.count += 1;
        for (sum, hasher) in self.sums.iter_mut().zip(&self.hashers) {
            *sum = sum.wrapping_add(hasher.hash_one((kind, value, n)));
        }
    }
}

impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sums) == (other.count, other.sums)
    }
}

/// Of the index as it is; `None` where some of it can not be read, or its parts are in each other's way.
pub async fn sum_of(
    metadata: &dyn Metadata,
    wanted: &Sum,
    newest: &Range<u64>,
) -> Result<Option<Sum>, MetadataError> {
    let mut sum = wanted.begun();
    let (mut last, mut before) = (None, None);
    loop {
        let page = page(metadata, last.as_ref()).await?;
        let Some(end) = page.last() else { return Ok(Some(sum)) };
        last = Some(end.key.clone());
        for entry in &page {
            let Ok(part) = Placed::read(entry) else { return Ok(None) };
            if before.as_ref().is_some_and(|before| part.overlaps(before)) {
                return Ok(None);
            }
            for n in part.part.numbers().filter(|n| !newest.contains(n)) {
                sum.add(&part.kind, &part.value, n);
            }
            before = Some(part);
        }
    }
}

/// A part of the index, and what it is about.
struct Placed {
    kind: String,
    value: String,
    part: listing::Part,
}

impl Placed {
    fn read(entry: &Entry) -> Result<Self, MetadataError> {
        let part = listing::Part::read(entry)?;
        let parts = Key::<AuditIndex>::parse(&entry.key).map(|key| key.parts());
        match parts.map(<[String; 3]>::try_from) {
            Some(Ok([kind, value, _])) => Ok(Self { kind, value, part }),
            _ => Err(MetadataError::Damaged {
                key: show_key(&entry.key),
                cause: "it names no entry".to_owned(),
            }),
        }
    }

    /// Who looks for a number looks in one part alone.
    fn overlaps(&self, newer: &Self) -> bool {
        (&self.kind, &self.value) == (&newer.kind, &newer.value)
            && self.part.last() >= newer.part.first()
    }
}

/// Looks for each number of the one in the other. Entries that can not be read have been told of.
pub async fn compare(
    metadata: &dyn Metadata,
    newest: &Range<u64>,
    faults: &mut Faults,
) -> Result<(), MetadataError> {
    let mut last: Option<Bytes> = None;
    loop {
        let page = blocks::page(metadata, last.as_ref(), BLOCKS).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.key.clone());
        for block in page.iter().filter_map(|entry| Block::read(entry).ok()) {
            for (n, line) in block.into_lines().take_while(|(n, _)| *n < newest.start) {
                let Ok(record) = record_in(n, &line) else { continue };
                for (kind, value) in index::values(&record) {
                    if !is_named(metadata, kind, &value, n).await? {
                        let what = format!("the index does not name it by the {kind} {value}");
                        faults.tell(Part::Index, place(n), what);
                    }
                }
            }
        }
    }
    let (mut last, mut before) = (None, None);
    loop {
        let page = self::page(metadata, last.as_ref()).await?;
        let Some(end) = page.last() else { return Ok(()) };
        last = Some(end.key.clone());
        for entry in &page {
            let part = match Placed::read(entry) {
                Ok(part) => part,
                Err(MetadataError::Damaged { cause, .. }) => {
                    let what = format!("it can not be read: {cause}");
                    faults.tell(Part::Index, show_key(&entry.key), what);
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            for n in part.part.numbers() {
                if let Some(what) = stray(metadata, &part, n, newest.end).await? {
                    faults.tell(Part::Index, show_key(&entry.key), what);
                }
            }
            if before.as_ref().is_some_and(|before| part.overlaps(before)) {
                let what = "its numbers are not all below those of the part before it".to_owned();
                faults.tell(Part::Index, show_key(&entry.key), what);
            }
            before = Some(part);
        }
    }
}

async fn is_named(
    metadata: &dyn Metadata,
    kind: &str,
    value: &str,
    n: u64,
) -> Result<bool, MetadataError> {
    let found = scan_below(metadata, &AuditIndex::of_value(kind, value), n, 1).await?;
    let part = found.first().and_then(|entry| listing::Part::read(entry).ok());
    Ok(part.is_some_and(|part| part.numbers().any(|number| number == n)))
}

/// Why this number should not be in this part.
async fn stray(
    metadata: &dyn Metadata,
    part: &Placed,
    n: u64,
    size: u64,
) -> Result<Option<String>, MetadataError> {
    let missing = || Some(format!("it names entry {n}, which is not there"));
    if n >= size {
        return Ok(missing());
    }
    let found = blocks::scan_from(metadata, n, 1).await?;
    let Some(found) = found.first().map(Block::read) else { return Ok(missing()) };
    // What can not be read has been told of.
    let Ok(block) = found else { return Ok(None) };
    let Some(line) = block.line(n) else { return Ok(missing()) };
    let Ok(record) = record_in(n, line) else { return Ok(None) };
    let is_about = index::values(&record)
        .iter()
        .any(|(kind, value)| (*kind, value) == (part.kind.as_str(), &part.value));
    Ok((!is_about).then(|| format!("it names entry {n}, which is not about that")))
}

async fn page(metadata: &dyn Metadata, last: Option<&Bytes>) -> Result<Vec<Entry>, MetadataError> {
    metadata.scan(Prefix::<AuditIndex>::all().as_bytes(), last.map(|key| &**key), PAGE).await
}
