//! The lists of the index: under each value the numbers of the entries that are about it.
//!
//! A list lies in parts, each under the first number that is in it; the last part grows until it has no
//! more room. Where one ends follows from the numbers alone, so whoever makes them again makes the same
//! parts. Nobody who reads relies on that.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::index;
use crate::metadata::records::{AuditIndex, AuditRecord, Key, Prefix, decode, show_key};
use crate::metadata::{Change, Entry, Metadata, MetadataError};

/// Digits and commas in a part. Whoever adds a number writes all of them, and whoever looks for one
/// reads them.
const BYTES: usize = 400;

/// Numbers of a list that lie under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    first: u64,
    last: u64,
    /// From each to the next one.
    steps: Vec<u64>,
    /// As they are written.
    bytes: usize,
}

impl Part {
    fn begin(n: u64) -> Self {
        Self { first: n, last: n, steps: Vec::new(), bytes: 0 }
    }

    /// What lies under a key of the index.
    pub fn read(entry: &Entry) -> Result<Self, MetadataError> {
        let damaged = |cause: &str| MetadataError::Damaged {
            key: show_key(&entry.key),
            cause: cause.to_owned(),
        };
        let key = Key::parse(&entry.key);
        let first = key.as_ref().and_then(AuditIndex::first);
        let first = first.ok_or_else(|| damaged("it names no entry of the audit log"))?;
        let AuditIndex(steps) = decode(&entry.key, &entry.value)?;
        let mut part = Self::begin(first);
        for step in steps {
            let next = part.last.checked_add(step).filter(|next| *next > part.last);
            part.push(next.ok_or_else(|| damaged("its numbers do not follow each other"))?);
        }
        Ok(part)
    }

    pub fn first(&self) -> u64 {
        self.first
    }

    pub fn last(&self) -> u64 {
        self.last
    }

    /// The newest first.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        let earlier = self.steps.iter().rev().scan(self.last, |n, step| {
            *n -= step;
            Some(*n)
        });
        std::iter::once(self.last).chain(earlier)
    }

    fn has_room_for(&self, n: u64) -> bool {
        self.bytes + written(n - self.last) <= BYTES
    }

    fn push(&mut self, n: u64) {
        let step = n - self.last;
        self.bytes += written(step);
        self.steps.push(step);
        self.last = n;
    }
}

/// With the comma behind it.
fn written(step: u64) -> usize {
    step.checked_ilog10().unwrap_or_default() as usize + 2
}

/// Kind and value, as keys of the index have them.
type Name = (&'static str, String);

/// What entries are about, until it is put into the lists.
#[derive(Debug, Default)]
pub struct Listing {
    lists: BTreeMap<Name, Vec<u64>>,
}

impl Listing {
    /// Numbers come in their order.
    pub fn add(&mut self, record: &AuditRecord, n: u64) {
        for name in index::values(record) {
            self.lists.entry(name).or_default().push(n);
        }
    }

    /// In the order of their keys, each with what is put behind its end.
    pub fn take(&mut self) -> impl Iterator<Item = (Name, Vec<u64>)> + use<> {
        std::mem::take(self).lists.into_iter()
    }
}

/// What has to be written so that these numbers are behind the others of the list, those left out that are
/// there.
pub async fn lengthen(
    metadata: &dyn Metadata,
    (kind, value): Name,
    numbers: Vec<u64>,
) -> Result<Vec<Change>, MetadataError> {
    let mut changes = Vec::with_capacity(1);
    let put = |part: Part| {
        Change::put_record(&AuditIndex::key(kind, &value, part.first), &AuditIndex(part.steps))
    };
    let mut last = last_part(metadata, &AuditIndex::of_value(kind, &value)).await?;
    let mut is_stored = true;
    let there = last.as_ref().map(Part::last);
    for n in numbers.into_iter().filter(|n| there.is_none_or(|there| *n > there)) {
        last = match last.take() {
            Some(mut part) if part.has_room_for(n) => {
                part.push(n);
                Some(part)
            }
            full => {
                changes.extend(full.filter(|_| !is_stored).map(put));
                Some(Part::begin(n))
            }
        };
        is_stored = false;
    }
    changes.extend(last.filter(|_| !is_stored).map(put));
    Ok(changes)
}

/// The newest part of a list; `None` where there is none, or where it can not be read: then a new one is
/// begun.
async fn last_part(
    metadata: &dyn Metadata,
    list: &Prefix<AuditIndex>,
) -> Result<Option<Part>, MetadataError> {
    let found = metadata.scan(list.as_bytes(), None, 1).await?;
    match found.first().map(Part::read).transpose() {
        Err(MetadataError::Damaged { .. }) => Ok(None),
        read => read,
    }
}

/// At most so many parts of a list, from the one on that has the number `n` or the next one below it.
pub async fn scan_below(
    metadata: &dyn Metadata,
    list: &Prefix<AuditIndex>,
    n: u64,
    limit: usize,
) -> Result<Vec<Entry>, MetadataError> {
    // Behind this key are the parts that begin at or below that number.
    let after = n.checked_add(1).map(|above| {
        let mut key = list.as_bytes().to_vec();
        key.extend(format!("{:020}", u64::MAX - above).into_bytes());
        Bytes::from(key)
    });
    metadata.scan(list.as_bytes(), after.as_deref(), limit).await
}

#[cfg(test)]
mod tests;
