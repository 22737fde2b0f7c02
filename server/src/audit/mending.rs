//! The log in a new store, made of what can be read of it in an old one.
//!
//! Its entries are taken over as they are. The tree, the index and the head are made again: of the
//! entries, where all of them are there and come to the root that was signed; else of the hashes that are
//! stored, so that an entry which was edited or is gone shows up as that and its tree stays the one that
//! was signed. Where neither an entry nor its hash is left, the log ends there.

use std::path::Path;

use bytes::Bytes;
use tlog_tiles::tlog::{EMPTY_HASH, Hash, record_hash, stored_hash_index};

use super::blocks::{self, Block, Filling, Line, record_in};
use super::checkpoint::{Checkpoint, LogKey};
use super::indexing::index_more;
use super::opening::read_checkpoint;
use super::tree::{CHUNK, Edge, TreeError, encode_root, read_chunk};
use crate::metadata::records::{self, AuditHead, Parts};
use crate::metadata::{Change, Metadata};

/// Kinds of records that are not taken over as they are.
pub const OF_THE_LOG: [&str; 5] = super::audited::LOG;

/// Blocks that are read at once.
const PAGE: usize = 64;
/// Entries that can not be read and are named; all are counted.
const NAMED: usize = 100;
/// Entries after which the tree so far is written.
const AT_ONCE: u64 = 1024;
/// So much is put into the index at once, in some ten MB of memory.
const STRETCHES: u64 = 16;

/// What became of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// Entries that were taken over.
    pub kept: u64,
    /// Entries that were not: they could not be read, or the log ends before them.
    pub dropped: u64,
    /// Why, in words.
    pub unreadable: Vec<String>,
}

/// Makes the log of `old` again in `new`, which has none. What was signed is read from `data`.
pub async fn mend(
    old: &dyn Metadata,
    new: &dyn Metadata,
    data: &Path,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Mended, TreeError> {
    let mut mended = Mended::default();
    let head = match records::read(old, &AuditHead::key()).await {
        Ok(head) => head,
        Err(fault) => {
            mended.unreadable.push(fault.to_string());
            None
        }
    };
    let (directory, mut signed) = (data.to_owned(), None);
    let reading = move || (LogKey::find(&directory), read_checkpoint(&directory));
    if let Ok((Ok(Some(key)), Ok(Some(note)))) = tokio::task::spawn_blocking(reading).await {
        signed = Checkpoint::read(&note, key.public()).ok();
    }
    // A head may be older than what it signed.
    let signed_size = signed.as_ref().map_or(0, |signed| signed.size);
    let size = head.as_ref().map(|head| head.size.max(signed_size));
    let by_entries = entries_are_right(old, size, signed.as_ref()).await?;
    let mut making = Making {
        old,
        new,
        parts: Parts::new(new),
        by_entries,
        chunk: None,
        edge: Edge::default(),
        filling: Filling::default(),
        written: 0,
        logged: head.as_ref().map(|head| head.logged),
        mended,
    };
    making.take_entries(size, progress).await?;
    making.finish(head).await
}

/// Whether the tree of the entries is the one that was signed; where nothing is, whether all are there.
async fn entries_are_right(
    old: &dyn Metadata,
    size: Option<u64>,
    signed: Option<&Checkpoint>,
) -> Result<bool, TreeError> {
    let mut edge = Edge::default();
    let mut is_signed = signed.is_none_or(|signed| signed.size == 0);
    let mut last: Option<Bytes> = None;
    loop {
        // What can not be read is told when it is taken over.
        let Ok(page) = blocks::page(old, last.as_ref(), PAGE).await else { return Ok(false) };
        let Some(end) = page.last() else { break };
        last = Some(end.key.clone());
        for entry in &page {
            if blocks::last_in(&entry.key).is_none() {
                continue;
            }
            let Ok(block) = Block::read(entry) else { return Ok(false) };
            for (n, line) in block.into_lines() {
                if size.is_some_and(|size| n >= size) {
                    continue;
                }
                if n != edge.size() || record_in(n, &line).is_err() {
                    return Ok(false);
                }
                edge.push(record_hash(line.get().as_bytes()))?;
                if let Some(signed) = signed.filter(|signed| signed.size == edge.size()) {
                    is_signed = edge.root()? == signed.root;
                }
            }
        }
        edge.prune();
    }
    Ok(is_signed && size.is_none_or(|size| size == edge.size()))
}

struct Making<'m> {
    old: &'m dyn Metadata,
    new: &'m dyn Metadata,
    parts: Parts<'m>,
    by_entries: bool,
    /// Stored hashes of the old tree.
    chunk: Option<(u64, Vec<Hash>)>,
    edge: Edge,
    filling: Filling,
    /// The tree is written up to this size.
    written: u64,
    /// When the last entry got its number.
    logged: Option<jiff::Timestamp>,
    mended: Mended,
}

impl Making<'_> {
    async fn take_entries(
        &mut self,
        size: Option<u64>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), TreeError> {
        let mut last: Option<Bytes> = None;
        // Neither an entry nor its hash is left.
        let mut is_cut = false;
        loop {
            let page = match blocks::page(self.old, last.as_ref(), PAGE).await {
                Ok(page) => page,
                Err(fault) => {
                    self.mended.unreadable.push(format!("audit/: {fault}"));
                    break;
                }
            };
            let Some(end) = page.last() else { break };
            last = Some(end.key.clone());
            for entry in page {
                let Some(end) = blocks::last_in(&entry.key) else {
                    self.drop_entries(1, "audit/: a key is no number");
                    continue;
                };
                let block = match Block::read(&entry) {
                    Ok(block) => block,
                    Err(fault) => {
                        let end = end.saturating_add(1).min(size.unwrap_or(u64::MAX));
                        let lost = end.saturating_sub(self.edge.size()).max(1);
                        self.drop_entries(lost, &fault.to_string());
                        is_cut = is_cut || !self.fill_until(end).await?;
                        continue;
                    }
                };
                for (n, line) in block.into_lines() {
                    is_cut = is_cut || !self.fill_until(n.min(size.unwrap_or(n))).await?;
                    if is_cut || n < self.edge.size() || size.is_some_and(|size| n >= size) {
                        self.mended.dropped += 1;
                    } else {
                        is_cut = !self.take(n, line).await?;
                    }
                }
            }
            progress(self.edge.size());
        }
        is_cut = is_cut || !self.fill_until(size.unwrap_or_default()).await?;
        if is_cut {
            self.mended.unreadable.push(format!(
                "audit/: neither entry {} nor its hash is left: the log ends there now",
                self.edge.size()
            ));
        }
        Ok(())
    }

    /// Of those up to there the hashes alone are left; whether they are.
    async fn fill_until(&mut self, n: u64) -> Result<bool, TreeError> {
        while self.edge.size() < n {
            let Some(leaf) = self.stored_leaf(self.edge.size()).await? else { return Ok(false) };
            self.grow(leaf).await?;
        }
        Ok(true)
    }

    /// Whether the log goes on behind it.
    async fn take(&mut self, n: u64, line: Line) -> Result<bool, TreeError> {
        let record = match record_in(n, &line) {
            Ok(record) => record,
            Err(fault) => {
                self.drop_entries(1, &fault.to_string());
                return self.fill_until(n + 1).await;
            }
        };
        let own = record_hash(line.get().as_bytes());
        let leaf = if self.by_entries { None } else { self.stored_leaf(n).await? };
        self.logged = self.logged.max(record.logged);
        let mut changes = Vec::new();
        self.filling.push(n, line, &mut changes);
        self.push_all(changes).await?;
        self.mended.kept += 1;
        self.grow(leaf.unwrap_or(own)).await?;
        Ok(true)
    }

    async fn push_all(&mut self, changes: Vec<Change>) -> Result<(), TreeError> {
        for change in changes {
            self.parts.push(change).await?;
        }
        Ok(())
    }

    async fn grow(&mut self, leaf: Hash) -> Result<(), TreeError> {
        self.edge.push(leaf)?;
        if self.edge.size() - self.written >= AT_ONCE {
            self.write_tree().await?;
        }
        Ok(())
    }

    async fn write_tree(&mut self) -> Result<(), TreeError> {
        let changed = self.edge.changed(self.written).into_iter();
        let changes = changed.map(|(key, hashes)| Change::put_record(&key, &hashes)).collect();
        self.push_all(changes).await?;
        self.written = self.edge.size();
        self.edge.prune();
        Ok(())
    }

    async fn stored_leaf(&mut self, n: u64) -> Result<Option<Hash>, TreeError> {
        let place = stored_hash_index(0, n);
        let wanted = place / CHUNK;
        if self.chunk.as_ref().is_none_or(|(chunk, _)| *chunk != wanted) {
            let hashes = match read_chunk(self.old, wanted).await {
                Ok(hashes) => hashes.unwrap_or_default(),
                Err(fault) => {
                    self.mended.unreadable.push(fault.to_string());
                    Vec::new()
                }
            };
            self.chunk = Some((wanted, hashes));
        }
        let at = usize::try_from(place % CHUNK).unwrap_or(usize::MAX);
        Ok(self.chunk.as_ref().and_then(|(_, hashes)| hashes.get(at).copied()))
    }

    fn drop_entries(&mut self, count: u64, why: &str) {
        self.mended.dropped += count;
        if self.mended.unreadable.len() < NAMED {
            self.mended.unreadable.push(why.to_owned());
        }
    }

    async fn finish(mut self, head: Option<AuditHead>) -> Result<Mended, TreeError> {
        if head.is_none() && self.edge.size() == 0 {
            return Ok(self.mended);
        }
        self.write_tree().await?;
        let mut changes = Vec::new();
        self.filling.finish(&mut changes);
        self.push_all(changes).await?;
        let size = self.edge.size();
        let root = if size == 0 { EMPTY_HASH } else { self.edge.root()? };
        let next = AuditHead {
            size,
            root: encode_root(root),
            logged: self.logged.unwrap_or_default(),
            key: head.and_then(|head| head.key),
        };
        self.parts.push(Change::put_record(&AuditHead::key(), &next)).await?;
        self.parts.finish().await?;
        while index_more(self.new, STRETCHES).await? {}
        Ok(self.mended)
    }
}
