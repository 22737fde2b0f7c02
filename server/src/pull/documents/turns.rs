//! Whose turn it is to change an own document.

use std::hash::{BuildHasher as _, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use super::DocumentKey;

/// Own documents are read into memory, and changed, one after the other, so that what is in memory
/// is always the newest. Packages that share a turn by chance wait for each other; nothing else.
pub struct Turns {
    turns: Vec<Mutex<()>>,
    hasher: RandomState,
}

const TURNS: usize = 256;

impl Turns {
    pub(super) fn new() -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Self { turns, hasher: RandomState::new() }
    }

    pub async fn take(&self, key: &DocumentKey) -> MutexGuard<'_, ()> {
        let hash = usize::try_from(self.hasher.hash_one(key) % TURNS as u64).unwrap_or(0);
        self.turns[hash].lock().await
    }
}
