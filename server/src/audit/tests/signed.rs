//! A log of which some is signed, for tests of those who read all of it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::audit::blocks::Block;
use crate::audit::indexing::{STRETCH, indexed};
use crate::audit::listing::Part;
use crate::audit::opening::{CHECKPOINT_FILE, replace_file};
use crate::audit::{Action, Entry, Log, Opening, open_key};
use crate::clock::Clock;
use crate::metadata::records::{AuditEntries, AuditIndex, Key, Prefix, decode, encode};
use crate::metadata::sled::{Sled, SledOptions};
use crate::metadata::{Batch, Metadata};

pub const ENTRIES: u64 = 300;
pub const SIGNED: u64 = 200;
/// The lists of the index have those below.
pub const LISTED: u64 = ENTRIES - ENTRIES % STRETCH;

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
        while indexed(store.as_ref()).await.unwrap() < LISTED {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        drop(keeping);
        Self { data, store }
    }

    /// Puts each entry under a key of its own, and each number of the index: that is the same log, and one
    /// of them can be changed alone.
    pub async fn apart(&self) {
        let all = async |prefix: &[u8]| self.store.scan(prefix, None, 10_000).await.unwrap();
        for entry in all(Prefix::<AuditEntries>::all().as_bytes()).await {
            self.remove(&entry.key).await;
            for (n, line) in Block::read(&entry).unwrap().into_lines() {
                let value = encode(&AuditEntries(vec![line]));
                self.put(AuditEntries::key(n).as_bytes(), value).await;
            }
        }
        for entry in all(Prefix::<AuditIndex>::all().as_bytes()).await {
            self.remove(&entry.key).await;
            let parts = Key::<AuditIndex>::parse(&entry.key).unwrap().parts();
            for n in Part::read(&entry).unwrap().numbers() {
                let key = AuditIndex::key(&parts[0], &parts[1], n);
                self.put(key.as_bytes(), encode(&AuditIndex::default())).await;
            }
        }
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

    /// The same in the block that ends with an entry.
    pub async fn edit_block(&self, last: u64, from: &str, to: &str) {
        let key = AuditEntries::key(last);
        let block: AuditEntries =
            decode(key.as_bytes(), &self.value(key.as_bytes()).await).unwrap();
        let text = serde_json::to_string(&block).unwrap();
        assert!(text.contains(from), "{text}");
        let edited: AuditEntries = serde_json::from_str(&text.replacen(from, to, 1)).unwrap();
        self.put(key.as_bytes(), encode(&edited)).await;
    }

    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.data.path().join(name)
    }
}
