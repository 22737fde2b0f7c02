//! The 256 directories of blobs: who changes one, and how many bytes lie in it.
//!
//! A shard is locked for the moment of a rename or a removal, so that the count and the directory
//! agree, and a blob that is put into quarantine is the one that was found damaged.

use parking_lot::{Mutex, MutexGuard};

#[derive(Debug)]
pub struct Shards(Vec<Mutex<Shard>>);

/// `None` until it was counted.
#[derive(Debug, Default)]
pub struct Shard {
    pub bytes: Option<u64>,
}

impl Shard {
    /// A blob of length `old` was replaced by one of length `new`.
    pub fn replace(&mut self, old: u64, new: u64) {
        if let Some(bytes) = &mut self.bytes {
            *bytes = bytes.saturating_sub(old).saturating_add(new);
        }
    }
}

impl Shards {
    pub fn new() -> Self {
        Self((0..=u8::MAX).map(|_| Mutex::default()).collect())
    }

    pub fn lock(&self, shard: u8) -> MutexGuard<'_, Shard> {
        self.0[usize::from(shard)].lock()
    }

    /// `None` until all are counted.
    pub fn total(&self) -> Option<u64> {
        self.0.iter().map(|shard| shard.lock().bytes).sum()
    }
}
