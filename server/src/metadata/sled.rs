//! Metadata in sled 0.34: one directory, one process.
//!
//! Reads go straight to sled, on a thread that may block. Commits go through one thread
//! ([`committer`]) that takes what is waiting as a group: each batch is checked against the state
//! that the earlier ones left and is in the group whole or not at all; the group is applied at once,
//! then the log is flushed and fsynced, and only then is anything acknowledged. sled's own flush ends in `sync_file_range`, which
//! commits neither the file's length nor its extents; the fsync on a second handle does.
//!
//! ```text
//! {directory}/
//!   lock                        held by the process that has the store open
//!   new                         there until the store is made; then it may be made anew
//!   conf  db  snap.*  blobs/    sled's
//! ```
//!
//! Values stay small ([`MAX_VALUE`]): sled puts large nodes into files beside its log, which it
//! never syncs. Groups stay small too ([`committer`]). An I/O error of the engine ends the process ([`SledOptions::on_fatal`]), since
//! what is in memory may no longer be what is on disk.

mod committer;
mod opening;

use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use self::committer::{Committer, Pending, Progress};
pub use self::opening::OpenError;
use self::opening::{SEGMENT, Store};
use super::records::show_key;
use super::{Batch, Entry, MAX_KEY, MAX_VALUE, Metadata, MetadataError};
use crate::disk::faults::Faults;

// A node of sled's index holds up to 256 keys and a leaf up to 17 values; both stay below a
// quarter of a segment.
const _: () = assert!(256 * MAX_KEY < SEGMENT / 4 && 17 * (MAX_KEY + MAX_VALUE) < SEGMENT / 4);

/// Bytes of a leaf for which sled is told of it once more.
const TOLD: usize = 2048;
/// Values of most leaves.
const OF_A_LEAF: usize = 16;
/// However large a leaf is.
const TOLD_AT_MOST: usize = 64;

/// Commits that may wait for their turn before the next writer waits to be let in.
const QUEUE: usize = 1024;

type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
pub struct SledOptions {
    /// sled's page cache; count on twice as much memory.
    pub cache_bytes: u64,
    /// Free bytes on the disk below which commits are refused; fewer on a disk of less than 4 GiB.
    pub reserve_bytes: u64,
    /// A log that is larger is cleared of what is gone, as it is written ([`Store::tidy`]), which makes
    /// commits dearer: below it the room is worth less.
    pub tidy_above: u64,
    /// How long to wait for another process to let go of the directory.
    pub patience: Duration,
    /// How long the engine may work at one group before it counts as stuck: sled waits for ever
    /// for a thread of its own that died. How long the queue is makes no difference.
    pub stalled: Duration,
    /// Called once, when the engine can not be trusted any more. The default ends the process.
    pub on_fatal: OnFatal,
    pub faults: Faults,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 * 1024 * 1024,
            reserve_bytes: 64 * 1024 * 1024,
            tidy_above: 256 * 1024 * 1024,
            patience: Duration::from_secs(5),
            stalled: Duration::from_mins(1),
            on_fatal: Arc::new(stop_process),
            faults: Faults::default(),
        }
    }
}

impl fmt::Debug for SledOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledOptions")
            .field("cache_bytes", &self.cache_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("tidy_above", &self.tidy_above)
            .field("patience", &self.patience)
            .field("stalled", &self.stalled)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// Ends the process with code 3: a supervisor starts it again, and opening the store recovers
/// what was acknowledged.
fn stop_process(cause: &str) {
    let message = format!(
        "the metadata store failed and garth stops, so that nothing is acknowledged that is not \
         on disk: {cause}"
    );
    tracing::error!("{message}");
    eprintln!("garth: {message}");
    std::process::exit(3);
}

/// An open store, shared by its clones. The directory is let go when it is closed, or when the
/// last clone is gone and the commits that wait are done.
#[derive(Clone)]
pub struct Sled {
    store: Shared,
    queue: mpsc::Sender<Pending>,
    progress: Arc<Progress>,
    stalled: Duration,
    on_fatal: OnFatal,
    directory: Arc<Path>,
}

/// `None` once it is closed. Whoever works with it holds the lock, so closing waits for him.
type Shared = Arc<RwLock<Option<Store>>>;

impl Sled {
    /// Opens or creates the store in `directory`. Blocks: for the recovery of the log, and up to
    /// [`SledOptions::patience`] for another process to let go.
    pub fn open(directory: &Path, options: SledOptions) -> Result<Self, OpenError> {
        let store = Arc::new(RwLock::new(Some(Store::open(directory, &options)?)));
        let (queue, waiting) = mpsc::channel(QUEUE);
        let progress = Arc::new(Progress::default());
        let directory: Arc<Path> = directory.into();
        let committer = Committer::new(Arc::clone(&store), &directory, &progress, &options);
        committer
            .start(waiting, &options.on_fatal)
            .map_err(|error| OpenError::Io { directory: directory.to_path_buf(), error })?;
        let SledOptions { stalled, on_fatal, .. } = options;
        Ok(Self { store, queue, progress, stalled, on_fatal, directory })
    }

    /// Where the store lies in a data directory.
    pub fn directory_in(data: &Path) -> PathBuf {
        data.join("metadata")
    }

    /// Batches committed and fsyncs paid for them since the store was opened.
    pub fn commits_and_syncs(&self) -> (u64, u64) {
        self.progress.commits_and_syncs()
    }

    async fn read<T: Send + 'static>(
        &self,
        what: String,
        read: impl FnOnce(&Store) -> ::sled::Result<T> + Send + 'static,
    ) -> Result<T, MetadataError> {
        let store = Arc::clone(&self.store);
        let reading = move || store.read().as_ref().map(read);
        match tokio::task::spawn_blocking(reading).await {
            Ok(Some(Ok(found))) => Ok(found),
            Ok(Some(Err(error))) => Err(read_error(what, &error)),
            Ok(None) => Err(closed()),
            Err(panic) => Err(MetadataError::Unavailable(format!("reading {what}: {panic}"))),
        }
    }

    /// Waits for the end of a commit for as long as the engine makes progress.
    async fn wait_for<T>(&self, commit: impl Future<Output = T>) -> Result<T, MetadataError> {
        let mut commit = std::pin::pin!(commit);
        loop {
            if let Ok(ended) = tokio::time::timeout(self.stalled, &mut commit).await {
                return Ok(ended);
            }
            if self.progress.busy_for().is_some_and(|busy| busy >= self.stalled) {
                let cause = format!("no commit ended within {} s", self.stalled.as_secs());
                if self.progress.give_up() {
                    (self.on_fatal)(&cause);
                }
                return Err(MetadataError::Unavailable(cause));
            }
        }
    }
}

impl fmt::Debug for Sled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sled").field("directory", &self.directory).finish_non_exhaustive()
    }
}

fn read_error(key: String, error: &::sled::Error) -> MetadataError {
    match error {
        ::sled::Error::Corruption { .. } => {
            MetadataError::Damaged { key, cause: error.to_string() }
        }
        _ => MetadataError::Unavailable(error.to_string()),
    }
}

/// sled looks at what it holds only when pages of the same 256th were used 64 times, whatever their size,
/// so that 16,384 pages which are read once stay in memory beside its cache. A page of large values is
/// therefore used as often as it is large.
fn tell_of(store: &Store, key: &[u8], largest: usize) -> ::sled::Result<()> {
    for _ in 0..(OF_A_LEAF * largest / TOLD).min(TOLD_AT_MOST) {
        store.db.contains_key(key)?;
    }
    Ok(())
}

fn closed() -> MetadataError {
    MetadataError::Unavailable("the store is closed".to_owned())
}

/// The first key behind all that start with `prefix`; `None` where there is none.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[async_trait]
impl Metadata for Sled {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, MetadataError> {
        let wanted = key.to_vec();
        // Not in memory for certain: sled reads evicted pages from the disk.
        let reading = move |store: &Store| {
            let found = store.db.get(&wanted)?;
            tell_of(store, &wanted, found.as_ref().map_or(0, |value| value.len()))?;
            Ok(found)
        };
        let found = self.read(show_key(key), reading).await?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, MetadataError> {
        let end = behind(prefix);
        let start = match after {
            Some(after) if after >= prefix => {
                if end.as_ref().is_some_and(|end| after >= end.as_slice()) {
                    return Ok(Vec::new());
                }
                Bound::Excluded(after.to_vec())
            }
            _ => Bound::Included(prefix.to_vec()),
        };
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        self.read(show_key(prefix), move |store| {
            // A page is one moment: no batch is half in it.
            let no_commit = store.applying.read();
            let found = store.db.range::<Vec<u8>, _>((start, end)).take(limit).map(|found| {
                found.map(|(key, value)| Entry {
                    key: Bytes::copy_from_slice(&key),
                    value: Bytes::copy_from_slice(&value),
                })
            });
            let found = found.collect::<::sled::Result<Vec<Entry>>>()?;
            drop(no_commit);
            for of_a_leaf in found.chunks(OF_A_LEAF) {
                let largest = of_a_leaf.iter().map(|entry| entry.value.len()).max();
                tell_of(store, &of_a_leaf[0].key, largest.unwrap_or_default())?;
            }
            Ok(found)
        })
        .await
    }

    async fn commit(&self, batch: Batch) -> Result<(), MetadataError> {
        batch.check_size()?;
        let stopped = || MetadataError::Unavailable("the store has stopped".to_owned());
        let (acknowledge, acknowledged) = oneshot::channel();
        let committed = async {
            self.queue.send(Pending { batch, acknowledge }).await.map_err(|_| stopped())?;
            acknowledged.await.map_err(|_| stopped())?
        };
        self.wait_for(committed).await?
    }

    async fn size(&self) -> Result<u64, MetadataError> {
        self.read("the size".to_owned(), |store| store.db.size_on_disk()).await
    }

    async fn close(&self) {
        if self.store.try_read().is_some_and(|store| store.is_none()) {
            return;
        }
        // Commits are done in their order, so with this one all that waited before are done.
        if let Err(error) = self.commit(Batch::default()).await {
            tracing::warn!(%error, "the last commit before the metadata store is closed");
        }
        let store = Arc::clone(&self.store);
        let closing = tokio::task::spawn_blocking(move || drop(store.write().take()));
        if let Err(panic) = closing.await {
            tracing::error!(%panic, "closing the metadata store");
        }
    }
}

#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod tests;
