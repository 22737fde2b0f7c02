//! A log of which some is signed, for tests of those who read all of it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::audit::opening::{CHECKPOINT_FILE, replace_file};
use crate::audit::{Action, Entry, Log, Opening, open_key};
use crate::clock::Clock;
use crate::metadata::sled::{Sled, SledOptions};
use crate::metadata::{Batch, Metadata};

pub const ENTRIES: u64 = 300;
pub const SIGNED: u64 = 200;

/// A data directory with a log of which some is signed.
pub struct Signed {
    pub data: TempDir,
    pub store: Arc<dyn Metadata>,
}

fn at(n: u64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + i64::try_from(n).unwrap()).unwrap()
}

impl Signed {
    pub async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let options = SledOptions::default();
        let store = Sled::open(&Sled::directory_in(data.path()), options).unwrap();
        let store: Arc<dyn Metadata> = Arc::new(store);
        let opening = Opening { data: data.path().to_owned(), origin: None, accept: None };
        let clock = Clock::from_fn(|| at(1000));
        let key = open_key(&opening, store.as_ref(), &clock).await.unwrap();
        let (log, _, keeping) = Log::open(Arc::clone(&store), clock, key);
        for (from, to) in [(0, SIGNED), (SIGNED, ENTRIES)] {
            for n in from..to {
                let entry = Entry::new(Action::Admitted).by(&format!("person-{}", n % 7));
                let entry = entry.package(&format!("npm:p{n}"));
                store.commit(Batch::default().note(entry, at(n))).await.unwrap();
            }
            log.watch().wait_for(|size| *size == to).await.unwrap();
            if to == SIGNED {
                let path = data.path().join(CHECKPOINT_FILE);
                replace_file(&path, &log.checkpoint().await.unwrap()).unwrap();
            }
        }
        drop(keeping);
        Self { data, store }
    }

    pub async fn value(&self, key: &[u8]) -> Bytes {
        self.store.get(key).await.unwrap().unwrap()
    }

    pub async fn put(&self, key: &[u8], value: Bytes) {
        self.store.commit(Batch::default().put(key.to_vec(), value)).await.unwrap();
    }

    pub async fn remove(&self, key: &[u8]) {
        self.store.commit(Batch::default().remove(key.to_vec())).await.unwrap();
    }

    /// With one text in the place of another.
    pub async fn edit(&self, key: &[u8], from: &str, to: &str) {
        let text = String::from_utf8(self.value(key).await.to_vec()).unwrap();
        assert!(text.contains(from), "{text}");
        self.put(key, Bytes::from(text.replacen(from, to, 1))).await;
    }

    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.data.path().join(name)
    }
}
