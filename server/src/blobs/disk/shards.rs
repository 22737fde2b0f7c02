//! The 256 directories of blobs: who changes one, and how many bytes lie in it.
//!
//! A shard is locked for the moment of a rename or a removal, so that the count and the directory
//! agree, and a blob that is put into quarantine is the one that was found damaged. A lock is held
//! while the disk works, so who only wants to know the total takes none.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

const SHARDS: usize = 256;

#[derive(Debug)]
pub struct Shards {
    locks: Vec<Mutex<Shard>>,
    /// Bytes in the shards that are counted.
    bytes: AtomicU64,
    uncounted: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    counted: bool,
}

/// A shard that nobody else changes.
pub struct Locked<'a> {
    shard: MutexGuard<'a, Shard>,
    of: &'a Shards,
}

impl Locked<'_> {
    /// A blob of length `old` was replaced by one of length `new`.
    pub fn replace(&mut self, old: u64, new: u64) {
        if self.shard.counted {
            self.of.change(old, new);
        }
    }

    /// So many bytes lie in it now; from here on changes are added up.
    pub fn count(&mut self, bytes: u64) {
        if self.shard.counted {
            return;
        }
        self.shard.counted = true;
        self.of.change(0, bytes);
        self.of.uncounted.fetch_sub(1, Ordering::Release);
    }
}

impl Shards {
    pub fn new() -> Self {
        Self {
            locks: (0..SHARDS).map(|_| Mutex::default()).collect(),
            bytes: AtomicU64::new(0),
            uncounted: AtomicUsize::new(SHARDS),
        }
    }

    pub fn lock(&self, shard: u8) -> Locked<'_> {
        Locked { shard: self.locks[usize::from(shard)].lock(), of: self }
    }

    /// `None` until all are counted. Never waits.
    pub fn total(&self) -> Option<u64> {
        let counted = self.uncounted.load(Ordering::Acquire) == 0;
        counted.then(|| self.bytes.load(Ordering::Relaxed))
    }

    fn change(&self, old: u64, new: u64) {
        let changed = |bytes: u64| Some(bytes.saturating_sub(old).saturating_add(new));
        // It is always given a value, so it does not fail.
        let _before = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_known_while_a_shard_is_being_changed() {
        let shards = Shards::new();
        for shard in 0..=u8::MAX {
            assert_eq!(shards.total(), None);
            shards.lock(shard).count(10);
        }
        let mut locked = shards.lock(7);
        locked.replace(10, 50);
        assert_eq!(shards.total(), Some(2600));
        locked.replace(50, 0);
        assert_eq!(shards.total(), Some(2550));
    }

    #[test]
    fn changes_before_the_count_are_in_the_count() {
        let shards = Shards::new();
        shards.lock(3).replace(0, 70);
        for shard in 0..=u8::MAX {
            shards.lock(shard).count(if shard == 3 { 70 } else { 0 });
        }
        assert_eq!(shards.total(), Some(70));
    }
}
