//! Entries as they lie in the store: those that follow each other together in blocks, which are packed.
//!
//! A block lies under the number of its last entry, so the first one from a number on is the one that has
//! it. The last block grows: with each step it lies under another number, until it has no more room. Where
//! one ends follows from the entries alone, so whoever makes them again makes the same blocks. Nobody who
//! reads relies on that.

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};

use crate::metadata::records::{AuditEntries, AuditRecord, Key, Prefix, decode, show_key};
use crate::metadata::{Change, Entry, Metadata, MetadataError};

/// Entries in a block. With more of them less room would be needed, and more time to read one.
const MOST: usize = 32;
/// Bytes of entries in a block before it is packed. One entry alone is shorter.
const BYTES: usize = 15_000;

/// An entry as it is hashed, exported and shown: its JSON.
pub type Line = Box<RawValue>;

/// The line of an entry that has its number.
pub fn line_of(record: &AuditRecord) -> Line {
    to_raw_value(record).expect("records are plain structs with string keys")
}

/// Entries that follow each other.
#[derive(Clone, Debug, Default)]
pub struct Block {
    first: u64,
    lines: Vec<Line>,
    bytes: usize,
}

impl Block {
    /// What lies under a key of the log.
    pub fn read(entry: &Entry) -> Result<Self, MetadataError> {
        let damaged = |cause: &str| MetadataError::Damaged {
            key: show_key(&entry.key),
            cause: cause.to_owned(),
        };
        let AuditEntries(lines) = decode(&entry.key, &entry.value)?;
        let last = last_in(&entry.key).ok_or_else(|| damaged("its key is no number"))?;
        let count = lines.len() as u64;
        let before = count.checked_sub(1).ok_or_else(|| damaged("it holds no entry"))?;
        let first = last.checked_sub(before);
        let first =
            first.ok_or_else(|| damaged("it holds more entries than there are up to it"))?;
        let bytes = lines.iter().map(|line| line.get().len()).sum();
        Ok(Self { first, lines, bytes })
    }

    #[cfg(test)]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Behind the number of the last one.
    pub fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// Each with its number.
    pub fn into_lines(self) -> impl DoubleEndedIterator<Item = (u64, Line)> + ExactSizeIterator {
        let first = self.first;
        self.lines.into_iter().enumerate().map(move |(place, line)| (first + place as u64, line))
    }

    /// Whether it holds the entry.
    pub fn has(&self, n: u64) -> bool {
        (self.first..self.end()).contains(&n)
    }

    pub fn line(&self, n: u64) -> Option<&Line> {
        let place = usize::try_from(n.checked_sub(self.first)?).ok()?;
        self.lines.get(place)
    }

    fn has_room_for(&self, line: &Line) -> bool {
        self.lines.len() < MOST && self.bytes + line.get().len() <= BYTES
    }

    fn key(&self) -> Key<AuditEntries> {
        AuditEntries::key(self.end() - 1)
    }
}

/// The number of the last entry of the block under a key; `None` where it is no key of this code.
pub fn last_in(key: &[u8]) -> Option<u64> {
    let last = Key::<AuditEntries>::parse(key)?.parts().pop()?.parse().ok()?;
    (AuditEntries::key(last).as_bytes() == key).then_some(last)
}

/// At most so many blocks, from the one on that has the entry `from` or the next one that there is.
pub async fn scan_from(
    metadata: &dyn Metadata,
    from: u64,
    limit: usize,
) -> Result<Vec<Entry>, MetadataError> {
    let after = from.checked_sub(1).map(AuditEntries::key);
    let prefix = Prefix::<AuditEntries>::all();
    metadata.scan(prefix.as_bytes(), after.as_ref().map(Key::as_bytes), limit).await
}

/// At most so many of all that lies where blocks do, behind a key.
pub async fn page(
    metadata: &dyn Metadata,
    last: Option<&Bytes>,
    limit: usize,
) -> Result<Vec<Entry>, MetadataError> {
    metadata.scan(Prefix::<AuditEntries>::all().as_bytes(), last.map(|key| &**key), limit).await
}

/// Puts entries into blocks, one behind the other.
#[derive(Debug, Default)]
pub struct Filling {
    block: Block,
    /// It lies in the store as it is.
    is_stored: bool,
}

impl Filling {
    /// Goes on with the last block of a log of that size. Where that can not be read a new one is begun.
    pub async fn behind(metadata: &dyn Metadata, size: u64) -> Result<Self, MetadataError> {
        let Some(last) = size.checked_sub(1) else { return Ok(Self::default()) };
        let key = AuditEntries::key(last).to_bytes();
        let Some(value) = metadata.get(&key).await? else { return Ok(Self::default()) };
        match Block::read(&Entry { key, value }) {
            Ok(block) => Ok(Self { block, is_stored: true }),
            Err(MetadataError::Damaged { .. }) => Ok(Self::default()),
            Err(fault) => Err(fault),
        }
    }

    /// The entry `n`. What has to be written for others by now is put behind `changes`.
    pub fn push(&mut self, n: u64, line: Line, changes: &mut Vec<Change>) {
        if self.block.lines.is_empty() || n != self.block.end() || !self.block.has_room_for(&line) {
            self.finish(changes);
            self.block = Block { first: n, ..Block::default() };
        } else if self.is_stored {
            changes.push(Change::remove_record(&self.block.key()));
        }
        self.is_stored = false;
        self.block.bytes += line.get().len();
        self.block.lines.push(line);
    }

    /// What has to be written so that all of them are there.
    pub fn finish(&mut self, changes: &mut Vec<Change>) {
        if !self.is_stored && !self.block.lines.is_empty() {
            let lines = AuditEntries(self.block.lines.clone());
            changes.push(Change::put_record(&self.block.key(), &lines));
        }
        self.is_stored = true;
    }
}

/// The entry that lies in a line of a block.
pub fn record_in(n: u64, line: &Line) -> Result<AuditRecord, MetadataError> {
    let damaged = |cause: String| MetadataError::Damaged {
        key: format!("entry {n} of the audit log"),
        cause,
    };
    let record: AuditRecord =
        serde_json::from_str(line.get()).map_err(|fault| damaged(fault.to_string()))?;
    if record.n == Some(n) {
        Ok(record)
    } else {
        Err(damaged("the entry lies under a number that is not its own".to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::metadata::MAX_VALUE;

    fn line(n: u64, why: &str) -> Line {
        RawValue::from_string(format!(r#"{{"n":{n},"why":"{why}"}}"#)).unwrap()
    }

    fn stored(changes: &[Change]) -> Vec<Entry> {
        let mut stored = std::collections::BTreeMap::new();
        for Change { key, value } in changes {
            match value {
                Some(value) => stored.insert(key.clone(), value.clone()),
                None => stored.remove(key),
            };
        }
        stored.into_iter().map(|(key, value)| Entry { key, value }).collect()
    }

    fn filled(lines: &[(u64, String)], at_once: usize) -> Vec<Entry> {
        let (mut filling, mut changes) = (Filling::default(), Vec::new());
        for step in lines.chunks(at_once) {
            for (n, why) in step {
                filling.push(*n, line(*n, why), &mut changes);
            }
            filling.finish(&mut changes);
        }
        stored(&changes)
    }

    /// Which can be packed to a half at most.
    fn noise(bytes: usize) -> String {
        (0..bytes / 32).map(|_| crate::random::name()).collect()
    }

    #[test]
    fn the_same_entries_come_to_the_same_blocks_however_many_come_at_once() {
        let lines: Vec<(u64, String)> =
            (0..200).map(|n| (n, "x".repeat(if n % 50 < 3 { 9000 } else { 10 }))).collect();
        let blocks = filled(&lines, 200);
        for at_once in [1, 7, 33] {
            assert_eq!(filled(&lines, at_once), blocks, "{at_once}");
        }
        let found: Vec<(u64, Line)> =
            blocks.iter().flat_map(|entry| Block::read(entry).unwrap().into_lines()).collect();
        assert_eq!(found.len(), lines.len());
        for ((n, found), (expected, why)) in found.iter().zip(&lines) {
            assert_eq!((n, found.get()), (expected, line(*expected, why).get()));
        }
    }

    #[test]
    fn a_block_fits_into_a_value_whatever_it_holds_and_ends_where_a_number_is_missing() {
        let long: Vec<(u64, String)> = (0..40).map(|n| (n, noise(14_300))).collect();
        let short: Vec<(u64, String)> = (0..400).map(|n| (n, noise(600))).collect();
        for lines in [long, short] {
            for entry in filled(&lines, 9) {
                assert!(entry.value.len() <= MAX_VALUE, "{}", entry.value.len());
            }
        }
        let blocks = filled(&[(3, String::new()), (4, String::new()), (6, String::new())], 3);
        let found: Vec<(u64, u64)> = blocks
            .iter()
            .map(|entry| Block::read(entry).unwrap())
            .map(|block| (block.first(), block.end()))
            .collect();
        assert_eq!(found, [(3, 5), (6, 7)]);
    }

    #[test]
    fn what_is_no_block_is_damaged() {
        let key = AuditEntries::key(1);
        let value = |lines: Vec<Line>| crate::metadata::records::encode(&AuditEntries(lines));
        let rows = [
            ("empty", value(vec![])),
            ("more than there can be", value(vec![line(0, ""), line(1, ""), line(2, "")])),
            ("cut", value(vec![line(0, ""), line(1, "")]).slice(..20)),
            ("unfolds into very much", {
                let much = zstd::bulk::compress(&vec![b'['; 1 << 24], 3).unwrap();
                [&[2], &*much].concat().into()
            }),
        ];
        for (name, value) in rows {
            let found = Block::read(&Entry { key: key.to_bytes(), value });
            assert!(matches!(found, Err(MetadataError::Damaged { .. })), "{name}: {found:?}");
        }
    }
}
