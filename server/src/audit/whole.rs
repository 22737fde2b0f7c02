//! Whether the log in a store is whole: each entry is there and is the one that was hashed, the tree
//! comes to the root that was signed, and the index names every entry and nothing else.
//!
//! The tree is made twice while the entries go by, of the hashes that are stored and of the entries
//! as they are: what each comes to says which of the two was damaged. Of the index a sum over its numbers
//! is kept, as it is and as it should be, and only where these differ is each number looked for. So the
//! memory is bounded, however long the log is.

mod beside;
mod faults;
mod indexed;

use std::path::Path;

use bytes::Bytes;
use serde::Serialize;
use tlog_tiles::tlog::{Hash, record_hash, stored_hash_count};

use self::beside::Beside;
use self::faults::{Faults, NAMED, Part};
use self::indexed::Sum;
use super::blocks::{self, Block, Line, record_in};
use super::checkpoint::Checkpoint;
use super::tree::{CHUNK, Edge, encode_root, read_chunk};
use super::{index, indexing};
use crate::metadata::records::{self, AuditHashes, AuditHead, AuditIndexed, Key, Prefix, show_key};
use crate::metadata::{Entry, Metadata, MetadataError};

/// Parts of the index that are read at once.
const PAGE: usize = 512;
/// Blocks that are read at once.
const BLOCKS: usize = 64;
/// Entries after which what is not needed any more is let go.
const PRUNE: u64 = 1024;

const GONE: (&str, &str) = ("is not there", "is");
const REBUILD: &str = "`garth check --rebuild` makes it again from the entries";
const RESTORE: &str = "what was there is in a backup alone: keep this copy, and put back the metadata store, audit-key and \
     audit-checkpoint of one moment";
const ACCEPT: &str = "a start is refused: put back the metadata store, audit-key and audit-checkpoint that belong together or, \
     if you know why it is so, start once with `garth serve --accept-log REASON`";
const FILES: &str =
    "put back the file; without it, start once with `garth serve --accept-log REASON`";
const NEXT: &str = "the next start makes a new one, and the log says so: hold an export against a checkpoint that was \
     kept elsewhere (`garth log verify`)";

/// Something about the log that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// `entry 17`, or the key of a record.
    pub place: String,
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// What was found of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub entries: u64,
    /// Up to here the checkpoint beside the key vouches for them.
    pub signed: u64,
    pub faults: Vec<Fault>,
}

/// Reads the log in `metadata` and what lies beside its key in `data`, and changes nothing. `progress`
/// is told how many entries were read.
pub async fn inspect(
    metadata: &dyn Metadata,
    data: &Path,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Found, MetadataError> {
    let mut faults = Faults::default();
    let head = match records::read(metadata, &AuditHead::key()).await {
        Ok(head) => head,
        Err(MetadataError::Damaged { key, cause }) => {
            faults.tell(Part::Tree, key, format!("it can not be read: {cause}"));
            None
        }
        Err(fault) => return Err(fault),
    };
    let listed = match indexing::indexed(metadata).await {
        Ok(listed) => listed,
        Err(MetadataError::Damaged { key, cause }) => {
            faults.tell(Part::Index, key, format!("it can not be read: {cause}"));
            0
        }
        Err(fault) => return Err(fault),
    };
    let beside = Beside::read(data, head.as_ref()).await;
    let signed = beside.checkpoint.as_ref().map(|checkpoint| checkpoint.size);
    let mut walk = Walk {
        metadata,
        size: head.as_ref().map(|head| head.size),
        checkpoint: beside.checkpoint,
        faults,
        stored: Stored::default(),
        by_tree: Some(Edge::default()),
        by_entries: Some(Edge::default()),
        next: 0,
        indexed: Sum::new(),
        listed,
        signed_by_entries: false,
        signed_by_tree: false,
    };
    walk.pass();
    walk.read_entries(progress).await?;
    walk.end(head.as_ref()).await?;
    walk.hold_index().await?;
    let entries = walk.next;
    let mut faults = walk.conclude(signed);
    faults.splice(0..0, beside.faults);
    let is_signed = faults.is_empty();
    Ok(Found { entries, signed: signed.filter(|_| is_signed).unwrap_or_default(), faults })
}

struct Walk<'m> {
    metadata: &'m dyn Metadata,
    /// What the head says.
    size: Option<u64>,
    checkpoint: Option<Checkpoint>,
    faults: Faults,
    stored: Stored,
    /// The tree as it is stored; absent from where it can not be followed.
    by_tree: Option<Edge>,
    /// The tree of the entries; absent from where one is missing.
    by_entries: Option<Edge>,
    /// The number that comes next.
    next: u64,
    /// Of the index as the entries want it, which names those below a number.
    indexed: Sum,
    listed: u64,
    /// Whether each of them came to the root that was signed, once it was that long.
    signed_by_entries: bool,
    signed_by_tree: bool,
}

impl Walk<'_> {
    async fn read_entries(
        &mut self,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), MetadataError> {
        let mut last: Option<Bytes> = None;
        loop {
            let page = blocks::page(self.metadata, last.as_ref(), BLOCKS).await?;
            let Some(end) = page.last() else { return Ok(()) };
            last = Some(end.key.clone());
            for entry in &page {
                self.read_block(entry).await?;
            }
            progress(self.next);
        }
    }

    async fn read_block(&mut self, entry: &Entry) -> Result<(), MetadataError> {
        let Some(last) = blocks::last_in(&entry.key) else {
            self.faults.tell(Part::Entry, show_key(&entry.key), "its key is no number".to_owned());
            return Ok(());
        };
        match Block::read(entry) {
            Ok(block) => {
                for (n, line) in block.into_lines() {
                    self.read_entry(n, &line).await?;
                }
                Ok(())
            }
            Err(MetadataError::Damaged { cause, .. })
                if last < self.next || self.is_behind_end(last) =>
            {
                let what = format!("it can not be read: {cause}");
                self.faults.tell(Part::Entry, show_key(&entry.key), what);
                Ok(())
            }
            Err(MetadataError::Damaged { cause, .. }) => {
                self.miss_until(last + 1, ("can not be read", "can"), &format!(": {cause}")).await
            }
            Err(fault) => Err(fault),
        }
    }

    /// Without a head nobody knows how many there should be, so a gap is the end.
    fn is_behind_end(&self, n: u64) -> bool {
        n >= self.size.unwrap_or(self.next.saturating_add(1))
    }

    async fn read_entry(&mut self, n: u64, line: &Line) -> Result<(), MetadataError> {
        if n < self.next {
            self.faults.tell(Part::Entry, place(n), "it is there twice".to_owned());
            return Ok(());
        }
        if self.is_behind_end(n) {
            let end = self.size.unwrap_or(self.next);
            let what = format!("it is behind the end: the log has {end} entries");
            self.faults.tell(Part::Entry, place(n), what);
            return Ok(());
        }
        self.miss_until(n, GONE, "").await?;
        match record_in(n, line) {
            Ok(_) if n >= self.listed => {}
            Ok(record) => {
                for (kind, value) in index::values(&record) {
                    self.indexed.add(kind, &value, n);
                }
            }
            Err(MetadataError::Damaged { cause, .. }) => {
                self.faults.tell(Part::Entry, place(n), format!("it can not be read: {cause}"));
            }
            Err(fault) => return Err(fault),
        }
        self.push(n, Some(record_hash(line.get().as_bytes()))).await
    }

    /// What is said of those up to there, and why.
    async fn miss_until(
        &mut self,
        n: u64,
        (said, of_more): (&str, &str),
        why: &str,
    ) -> Result<(), MetadataError> {
        if n <= self.next {
            return Ok(());
        }
        let what = match n - self.next {
            1 => format!("it {said}{why}"),
            _ => format!("it {said}, nor {of_more} any up to entry {}{why}", n - 1),
        };
        self.faults.tell(Part::Entry, place(self.next), what);
        while self.next < n {
            if self.by_tree.is_none() {
                (self.by_entries, self.next) = (None, n);
            } else {
                self.push(self.next, None).await?;
            }
        }
        Ok(())
    }

    /// Entry `n` has this hash; `None`: it is not there.
    async fn push(&mut self, n: u64, own: Option<Hash>) -> Result<(), MetadataError> {
        self.next = n + 1;
        let first = stored_hash_count(n);
        let stored = self.stored.get(self.metadata, first, &mut self.faults).await?;
        if let (Some(stored), Some(own)) = (stored, own)
            && stored != own
        {
            let what = "it is not the one that was hashed into the tree".to_owned();
            self.faults.tell(Part::Entry, place(n), what);
        }
        self.by_entries = grown(self.by_entries.take(), own).map(|(edge, _)| edge);
        if let Some((edge, hashes)) = grown(self.by_tree.take(), stored.or(own)) {
            self.by_tree = Some(edge);
            for (place, hash) in (first..).zip(hashes).skip(1) {
                let stored = self.stored.get(self.metadata, place, &mut self.faults).await?;
                if stored.is_some_and(|stored| stored != hash) {
                    let what = format!("its hash {} is not that of those below it", place % CHUNK);
                    self.faults.tell(Part::Tree, chunk_key(place / CHUNK), what);
                }
            }
        }
        self.pass();
        Ok(())
    }

    /// Holds both trees against the checkpoint of their size.
    fn pass(&mut self) {
        let Some(signed) = self.checkpoint.as_ref().filter(|signed| signed.size == self.next)
        else {
            return;
        };
        let comes_to = |edge: Option<&Edge>| {
            edge.and_then(|edge| edge.root().ok()).is_some_and(|root| root == signed.root)
        };
        let (by_entries, by_tree) = (self.by_entries.as_ref(), self.by_tree.as_ref());
        (self.signed_by_entries, self.signed_by_tree) = (comes_to(by_entries), comes_to(by_tree));
    }

    /// After the last entry.
    async fn end(&mut self, head: Option<&AuditHead>) -> Result<(), MetadataError> {
        let Some(head) = head else {
            if self.next > 0 && !self.faults.has(Part::Tree) {
                let what = "it is not there, so nobody knows how long the log is".to_owned();
                self.faults.tell(Part::Tree, show_key(AuditHead::key().as_bytes()), what);
            }
            return Ok(());
        };
        self.miss_until(head.size, GONE, "").await?;
        let of_head = self.by_tree.as_ref().and_then(|edge| edge.root().ok()).map(encode_root);
        if of_head.is_some_and(|root| root != head.root) {
            let what = "its root is not that of the tree".to_owned();
            self.faults.tell(Part::Tree, show_key(AuditHead::key().as_bytes()), what);
        }
        let chunks = stored_hash_count(head.size).div_ceil(CHUNK);
        let after = chunks.checked_sub(1).map(AuditHashes::key);
        let behind = self
            .metadata
            .scan(
                Prefix::<AuditHashes>::all().as_bytes(),
                after.as_ref().map(Key::as_bytes),
                usize::try_from(NAMED).unwrap_or(usize::MAX),
            )
            .await?;
        for entry in behind {
            let what = "it is behind the end of the tree".to_owned();
            self.faults.tell(Part::Tree, show_key(&entry.key), what);
        }
        Ok(())
    }

    async fn hold_index(&mut self) -> Result<(), MetadataError> {
        if self.listed > self.next {
            let what = format!("it says that {} entries are in the index", self.listed);
            self.faults.tell(Part::Index, show_key(AuditIndexed::key().as_bytes()), what);
        }
        let meant = self.listed..self.next.max(self.listed);
        let found = indexed::sum_of(self.metadata, &self.indexed, &meant).await?;
        if found.as_ref() == Some(&self.indexed) {
            return Ok(());
        }
        indexed::compare(self.metadata, &meant, &mut self.faults).await
    }

    /// All faults, with what to do about each.
    fn conclude(self, signed: Option<u64>) -> Vec<Fault> {
        let are_signed = self.signed_by_entries;
        let mut faults = self.faults.told(|part| match part {
            Part::Entry if are_signed => REBUILD,
            Part::Entry => RESTORE,
            Part::Tree | Part::Index => REBUILD,
        });
        let Some(signed) = signed else { return faults };
        let place = "audit-checkpoint".to_owned();
        if signed > self.next {
            let what = format!("it was signed for {signed} entries, and the log has {}", self.next);
            faults.insert(0, Fault { place, what, remedy: ACCEPT });
        } else if !are_signed && !self.signed_by_tree {
            let what = format!("the first {signed} entries are not those that were signed");
            faults.insert(0, Fault { place, what, remedy: ACCEPT });
        }
        faults
    }
}

/// With one leaf more, and the hashes that come of it; `None` where it can not be followed.
fn grown(edge: Option<Edge>, leaf: Option<Hash>) -> Option<(Edge, Vec<Hash>)> {
    let mut edge = edge?;
    let hashes = edge.push(leaf?).ok()?;
    if edge.size().is_multiple_of(PRUNE) {
        edge.prune();
    }
    Some((edge, hashes))
}

/// The stored hashes, one record at a time.
#[derive(Default)]
struct Stored {
    chunk: Option<(u64, Vec<Hash>)>,
}

impl Stored {
    async fn get(
        &mut self,
        metadata: &dyn Metadata,
        index: u64,
        faults: &mut Faults,
    ) -> Result<Option<Hash>, MetadataError> {
        let wanted = index / CHUNK;
        if self.chunk.as_ref().is_none_or(|(chunk, _)| *chunk != wanted) {
            let hashes = match read_chunk(metadata, wanted).await {
                Ok(Some(hashes)) => hashes,
                Ok(None) => Vec::new(),
                Err(MetadataError::Damaged { cause, .. }) => {
                    let what = format!("it can not be read: {cause}");
                    faults.tell(Part::Tree, chunk_key(wanted), what);
                    Vec::new()
                }
                Err(fault) => return Err(fault),
            };
            self.chunk = Some((wanted, hashes));
        }
        let at = usize::try_from(index % CHUNK).unwrap_or(usize::MAX);
        let found = self.chunk.as_ref().and_then(|(_, hashes)| hashes.get(at).copied());
        if found.is_none() {
            faults.tell_once(Part::Tree, chunk_key(wanted), "hashes are missing in it".to_owned());
        }
        Ok(found)
    }
}

fn place(n: u64) -> String {
    format!("entry {n}")
}

fn chunk_key(chunk: u64) -> String {
    show_key(AuditHashes::key(chunk).as_bytes())
}

#[cfg(test)]
mod tests;
