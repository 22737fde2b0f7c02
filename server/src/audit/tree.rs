//! The Merkle tree over the entries, hashed as RFC 6962 says, by [`tlog_tiles`].
//!
//! The tree stores its hashes in one fixed order: each entry adds that of its leaf, and those of the
//! subtrees that it completes. Nothing that is there ever changes, so they lie in chunks, of which only
//! the last one grows.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
pub use tlog_tiles::tlog::Hash;
use tlog_tiles::tlog::{
    Error, HASH_SIZE, HashReader, stored_hash_count, stored_hash_index,
    stored_hashes_for_record_hash, sub_tree_index, tree_hash,
};

use crate::metadata::records::{self, AuditHashes, Key};
use crate::metadata::{Metadata, MetadataError};

/// Hashes in one record.
pub const CHUNK: u64 = 128;

/// Hashes by their place in the order of the tree.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeMap<u64, Hash>);

/// Reads what is known, and remembers what is not.
pub struct Reader<'k> {
    known: &'k Known,
    missing: RefCell<BTreeSet<u64>>,
}

impl HashReader for Reader<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let found = indexes.iter().filter_map(|index| {
            let found = self.known.0.get(index).copied();
            if found.is_none() {
                self.missing.borrow_mut().insert(*index);
            }
            found
        });
        let found: Vec<Hash> = found.collect();
        if found.len() == indexes.len() { Ok(found) } else { Err(Error::IndexesNotInTree) }
    }
}

/// Why the tree could not say something.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("the hashes of the audit log do not come to a tree: {0}")]
    Broken(Error),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl Known {
    /// What `ask` makes of the stored hashes; those that it needs are read.
    pub async fn ask<T>(
        &mut self,
        metadata: &dyn Metadata,
        ask: impl Fn(&Reader<'_>) -> Result<T, Error>,
    ) -> Result<T, TreeError> {
        loop {
            let missing = {
                let reader = Reader { known: self, missing: RefCell::default() };
                match ask(&reader) {
                    Ok(answer) => return Ok(answer),
                    Err(fault) => {
                        let missing = reader.missing.into_inner();
                        if missing.is_empty() {
                            return Err(TreeError::Broken(fault));
                        }
                        missing
                    }
                }
            };
            let chunks: BTreeSet<u64> = missing.iter().map(|index| index / CHUNK).collect();
            for chunk in chunks {
                self.load(metadata, chunk).await?;
            }
            if let Some(index) = missing.iter().find(|index| !self.0.contains_key(index)) {
                return Err(MetadataError::Damaged {
                    key: records::show_key(AuditHashes::key(index / CHUNK).as_bytes()),
                    cause: format!("the hash {index} of the audit log is not there"),
                }
                .into());
            }
        }
    }

    /// The root of the tree as it was at that size.
    pub async fn root_at(mut self, metadata: &dyn Metadata, size: u64) -> Result<Hash, TreeError> {
        self.ask(metadata, |reader| tree_hash(size, reader)).await
    }

    async fn load(&mut self, metadata: &dyn Metadata, chunk: u64) -> Result<(), MetadataError> {
        let hashes = read_chunk(metadata, chunk).await?.unwrap_or_default();
        self.0.extend((chunk * CHUNK..).zip(hashes));
        Ok(())
    }
}

/// The hashes of one record, as far as it is filled.
pub async fn read_chunk(
    metadata: &dyn Metadata,
    chunk: u64,
) -> Result<Option<Vec<Hash>>, MetadataError> {
    let key = AuditHashes::key(chunk);
    let record = records::read(metadata, &key).await?;
    record.map(|record| decode(&key, &record)).transpose()
}

fn decode(key: &Key<AuditHashes>, record: &AuditHashes) -> Result<Vec<Hash>, MetadataError> {
    let damaged = |cause: &str| MetadataError::Damaged {
        key: records::show_key(key.as_bytes()),
        cause: cause.to_owned(),
    };
    let bytes = STANDARD.decode(&record.hashes).map_err(|_| damaged("it is no base64"))?;
    let (hashes, rest) = bytes.as_chunks::<HASH_SIZE>();
    if rest.is_empty() {
        Ok(hashes.iter().map(|hash| Hash(*hash)).collect())
    } else {
        Err(damaged("a hash is cut off"))
    }
}

/// The right edge of a tree: all that is needed to add to it.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: u64,
    known: Known,
}

impl Edge {
    /// Of the stored tree of that size.
    pub async fn read(metadata: &dyn Metadata, size: u64) -> Result<Self, TreeError> {
        let mut known = Known::default();
        known.ask(metadata, |reader| tree_hash(size, reader)).await?;
        let mut edge = Self { size, known };
        // The last chunk grows with the next entry.
        let begun = stored_hash_count(size) / CHUNK;
        edge.known.load(metadata, begun).await?;
        Ok(edge)
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn root(&self) -> Result<Hash, TreeError> {
        let reader = Reader { known: &self.known, missing: RefCell::default() };
        tree_hash(self.size, &reader).map_err(TreeError::Broken)
    }

    /// Adds a leaf, whose place is the size so far; the hashes that the tree has more by it, which are
    /// those from [`stored_hash_count`] of that size on.
    pub fn push(&mut self, leaf: Hash) -> Result<Vec<Hash>, TreeError> {
        let reader = Reader { known: &self.known, missing: RefCell::default() };
        let hashes = stored_hashes_for_record_hash(self.size, leaf, &reader);
        let hashes = hashes.map_err(TreeError::Broken)?;
        self.known.0.extend((stored_hash_index(0, self.size)..).zip(hashes.iter().copied()));
        self.size += 1;
        Ok(hashes)
    }

    /// The records that changed since the tree had the size `before`.
    pub fn changed(&self, before: u64) -> Vec<(Key<AuditHashes>, AuditHashes)> {
        let (from, to) = (stored_hash_count(before), stored_hash_count(self.size));
        (from / CHUNK..to.div_ceil(CHUNK))
            .map(|chunk| {
                let places = chunk * CHUNK..to.min((chunk + 1) * CHUNK);
                let bytes: Vec<u8> =
                    self.known.0.range(places).flat_map(|(_, hash)| hash.0).collect();
                (AuditHashes::key(chunk), AuditHashes { hashes: STANDARD.encode(bytes) })
            })
            .collect()
    }

    /// Lets go of what adding to it does not need.
    pub fn prune(&mut self) {
        let needed: BTreeSet<u64> = sub_tree_index(0, self.size, Vec::new()).into_iter().collect();
        let begun = stored_hash_count(self.size) / CHUNK * CHUNK;
        self.known.0.retain(|index, _| *index >= begun || needed.contains(index));
    }
}

pub fn encode_root(root: Hash) -> String {
    STANDARD.encode(root.0)
}
