//! Counts what lies in the garden, registry by registry: packages, versions, files.
//!
//! It reads every record, slowly, so that nobody who is served notices it. What it found last is what
//! `/statistics` tells, with the time at which it was counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::Job;
use crate::clock::Clock;
use crate::metadata::records::{
    ArtifactRecord, DocumentRecord, Key, Prefix, Record, VersionsRecord, decode,
};
use crate::metadata::{Metadata, MetadataError};

/// After the start, which has other work.
const FIRST: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_hours(6);
/// Where it failed.
const AGAIN: Duration = Duration::from_mins(10);
const PAGE: usize = 100;
/// Between two pages.
const PAUSE: Duration = Duration::from_millis(5);

/// What lies in one registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub packages: u64,
    /// Of those, published here.
    pub own: u64,
    /// Versions that are known, whether or not their files are held.
    pub versions: u64,
    /// Files that are held.
    pub files: u64,
    /// Bytes of these; what several of them share counts for each.
    pub bytes: u64,
}

/// All that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub at: Timestamp,
    pub registries: BTreeMap<Arc<str>, Held>,
}

/// The counting. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Census(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metadata: Arc<dyn Metadata>,
    registries: Vec<Arc<str>>,
    clock: Clock,
    counted: Mutex<Option<Arc<Counted>>>,
}

/// Ends with it.
#[derive(Debug)]
pub struct Counting(JoinHandle<()>);

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Census {
    pub fn new(metadata: Arc<dyn Metadata>, registries: Vec<Arc<str>>, clock: Clock) -> Self {
        Self(Arc::new(Inner { metadata, registries, clock, counted: Mutex::default() }))
    }

    /// What was counted last; `None` until the first time.
    pub fn counted(&self) -> Option<Arc<Counted>> {
        self.0.counted.lock().clone()
    }

    pub fn start(&self, job: Job) -> Counting {
        let census = self.clone();
        Counting(tokio::spawn(async move {
            job.rest(FIRST).await;
            loop {
                let pause = match job.run(census.count()).await {
                    Ok(()) => EVERY,
                    Err(fault) => {
                        tracing::warn!(%fault, "what lies in the garden could not be counted; it is tried again");
                        AGAIN
                    }
                };
                job.rest(pause).await;
            }
        }))
    }

    /// Counts everything once.
    pub async fn count(&self) -> Result<(), MetadataError> {
        let at = self.0.clock.now();
        let mut registries = BTreeMap::new();
        for registry in &self.0.registries {
            registries.insert(Arc::clone(registry), self.count_in(registry).await?);
        }
        *self.0.counted.lock() = Some(Arc::new(Counted { at, registries }));
        Ok(())
    }

    async fn count_in(&self, registry: &str) -> Result<Held, MetadataError> {
        let mut held = Held::default();
        self.each(registry, |key: &Key<DocumentRecord>, document: DocumentRecord| {
            if key.parts().last().is_some_and(|name| name == DocumentRecord::NEWEST) {
                held.packages += 1;
                held.own += u64::from(document.own);
            }
        })
        .await?;
        self.each(registry, |_: &Key<VersionsRecord>, some: VersionsRecord| {
            held.versions += some.versions.len() as u64;
        })
        .await?;
        self.each(registry, |_: &Key<ArtifactRecord>, artifact: ArtifactRecord| {
            held.files += 1;
            held.bytes += artifact.size;
        })
        .await?;
        Ok(held)
    }

    /// A record that cannot be read counts as none: `garth check` is who tells of it.
    async fn each<R: Record>(
        &self,
        registry: &str,
        mut look: impl FnMut(&Key<R>, R),
    ) -> Result<(), MetadataError> {
        let prefix = Prefix::<R>::of_registry(registry);
        let mut after = None;
        loop {
            let store = self.0.metadata.as_ref();
            let page = store.scan(prefix.as_bytes(), after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|entry| entry.key.clone());
            for entry in page {
                let key = Key::parse(&entry.key);
                if let (Some(key), Ok(record)) = (key, decode::<R>(&entry.key, &entry.value)) {
                    look(&key, record);
                }
            }
            if is_last {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
