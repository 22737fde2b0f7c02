//! A real store that does not do some of what it is asked, for tests of those who ask.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Batch, Entry, Metadata, MetadataError};

type Refuses<T> = Box<dyn FnMut(&T) -> bool + Send>;

pub struct Refusing {
    store: Arc<dyn Metadata>,
    scans: Mutex<Refuses<[u8]>>,
    commits: Mutex<Refuses<Batch>>,
}

impl Refusing {
    /// It does all of it at first.
    pub fn new(store: impl Metadata + 'static) -> Arc<Self> {
        let store = Arc::new(store);
        let scans = Mutex::new(Box::new(|_: &[u8]| false) as Refuses<[u8]>);
        let commits = Mutex::new(Box::new(|_: &Batch| false) as Refuses<Batch>);
        Arc::new(Self { store, scans, commits })
    }

    /// From now on it reads nothing below such prefixes.
    pub fn refuse_scans(&self, refuses: impl FnMut(&[u8]) -> bool + Send + 'static) {
        *self.scans.lock() = Box::new(refuses);
    }

    /// From now on it takes no such batches.
    pub fn refuse_commits(&self, refuses: impl FnMut(&Batch) -> bool + Send + 'static) {
        *self.commits.lock() = Box::new(refuses);
    }
}

fn refused() -> MetadataError {
    MetadataError::Unavailable("for a test".to_owned())
}

impl fmt::Debug for Refusing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refusing")
    }
}

#[async_trait::async_trait]
impl Metadata for Refusing {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, MetadataError> {
        self.store.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, MetadataError> {
        if (self.scans.lock())(prefix) {
            return Err(refused());
        }
        self.store.scan(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), MetadataError> {
        if (self.commits.lock())(&batch) {
            return Err(refused());
        }
        self.store.commit(batch).await
    }

    async fn size(&self) -> Result<u64, MetadataError> {
        self.store.size().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
