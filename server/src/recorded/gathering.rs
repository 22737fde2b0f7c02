//! What many requests count at once, bounded, until somebody takes it away to write it down.
//!
//! To count costs one short lock of one of several parts, and nothing is allocated where the key is
//! there already. What finds no room is not counted, and that is counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// So that workers seldom wait for one another.
const PARTS: usize = 32;

#[derive(Debug)]
pub struct Gathering<K, V> {
    parts: Box<[Mutex<HashMap<K, V>>]>,
    /// Keys in one part.
    room: usize,
    hasher: RandomState,
    lost: AtomicU64,
}

impl<K: Hash + Eq, V: Default> Gathering<K, V> {
    /// For about so many keys.
    pub fn new(room: usize) -> Self {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        let room = room.div_ceil(PARTS).max(1);
        Self { parts, room, hasher: RandomState::new(), lost: AtomicU64::new(0) }
    }

    /// Changes what is counted under the key. False: there was no room for it.
    pub fn add(&self, key: K, change: impl FnOnce(&mut V)) -> bool {
        // By the upper half of the hash: a part's own map goes by the lower.
        let part = (self.hasher.hash_one(&key) >> 32) as usize % PARTS;
        let mut part = self.parts[part].lock();
        let is_full = part.len() >= self.room;
        match part.entry(key) {
            Entry::Occupied(known) => change(known.into_mut()),
            Entry::Vacant(free) if !is_full => change(free.insert(V::default())),
            Entry::Vacant(_) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return false;
            }
        }
        true
    }

    /// All that was counted since the last time.
    pub fn take(&self) -> Vec<(K, V)> {
        let mut taken = Vec::new();
        for part in &self.parts {
            let count = part.lock().len();
            if count == 0 {
                continue;
            }
            // Of the next time there is probably as much; what is allocated is so outside the lock.
            let empty = HashMap::with_capacity(count.min(self.room));
            let full = std::mem::replace(&mut *part.lock(), empty);
            taken.extend(full);
        }
        taken
    }

    /// How often there was no room.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_bounded_and_what_is_lost_is_counted() {
        let gathering: Gathering<u32, u64> = Gathering::new(64);
        let mut lost = 0;
        for round in 0..3 {
            for key in 0..1000 {
                gathering.add(key, |count| *count += 1);
            }
            let taken = gathering.take();
            assert!(taken.len() <= 64 && taken.len() > 32, "{round}: {}", taken.len());
            assert!(taken.iter().all(|(_, count)| *count == 1), "{round}: each once");
            let left_out = 1000 - taken.len() as u64;
            assert_eq!(gathering.lost() - lost, left_out, "{round}");
            lost = gathering.lost();
        }
        assert!(gathering.take().is_empty());
    }

    #[test]
    fn a_key_that_is_known_is_counted_also_where_there_is_no_room_for_others() {
        let gathering: Gathering<u32, u64> = Gathering::new(1);
        let key = (0..1000).find(|key| gathering.add(*key, |count| *count += 1));
        let key = key.expect("the first one finds room");
        for other in 1000..5000 {
            gathering.add(other, |_| {});
        }
        assert!(gathering.add(key, |count| *count += 1));
        assert_eq!(gathering.take().into_iter().find(|(taken, _)| *taken == key), Some((key, 2)));
    }

    #[test]
    fn nothing_is_lost_while_it_is_taken() {
        let gathering: Gathering<u64, u64> = Gathering::new(100_000);
        let counted = std::thread::scope(|threads| {
            for of in 0..4 {
                let gathering = &gathering;
                threads.spawn(move || {
                    for n in 0..20_000 {
                        gathering.add((n * 7 + of) % 500, |count| *count += 1);
                    }
                });
            }
            let mut counted = 0;
            while counted < 80_000 {
                counted += gathering.take().iter().map(|(_, count)| count).sum::<u64>();
            }
            counted
        });
        assert_eq!(counted, 80_000);
        assert_eq!(gathering.lost(), 0);
    }
}
