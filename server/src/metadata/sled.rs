//! Metadata in sled 0.34: one directory, one process.
//!
//! Reads go straight to sled, on a thread that may block. Commits go through one thread
//! ([`committer`]) that takes what is waiting as a group: each batch is checked against the state
//! that the earlier ones left and is applied whole, then the log is flushed and fsynced once for
//! all, and only then is anything acknowledged. sled's own flush ends in `sync_file_range`, which
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
//! never syncs. An I/O error of the engine ends the process ([`SledOptions::on_fatal`]), since
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
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use self::committer::{Committer, Counts, Pending};
pub use self::opening::OpenError;
use self::opening::Store;
use super::records::show_key;
use super::{Batch, Entry, Metadata, MetadataError};
use crate::disk::faults::Faults;

/// The longest key. A node of sled's index holds up to 256 of them.
pub const MAX_KEY: usize = 1024;
/// The largest value. A leaf holds up to 17 of them and must stay below a quarter of a segment.
pub const MAX_VALUE: usize = 16 * 1024;

/// Commits that may wait for their turn before the next writer waits to be let in.
const QUEUE: usize = 1024;
/// A commit that takes longer than this will not come to its end: sled waits for ever for a
/// thread of its own that died.
const STALLED: Duration = Duration::from_mins(1);

type OnFatal = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
pub struct SledOptions {
    /// sled's page cache; count on twice as much memory.
    pub cache_bytes: u64,
    /// Free bytes on the disk below which commits are refused; fewer on a disk of less than 4 GiB.
    pub reserve_bytes: u64,
    /// How long to wait for another process to let go of the directory.
    pub patience: Duration,
    /// Called once, when the engine can not be trusted any more. The default ends the process.
    pub on_fatal: OnFatal,
    pub faults: Faults,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 * 1024 * 1024,
            reserve_bytes: 64 * 1024 * 1024,
            patience: Duration::from_secs(5),
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
            .field("patience", &self.patience)
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

/// An open store. Cheap to clone; the directory is let go when the last clone is gone and the
/// commits that wait are done.
#[derive(Clone)]
pub struct Sled {
    store: Arc<Store>,
    queue: mpsc::Sender<Pending>,
    counts: Arc<Counts>,
    on_fatal: OnFatal,
    committer: Arc<Mutex<Option<std::thread::JoinHandle<()>>>>,
}

impl Sled {
    /// Opens or creates the store in `directory`. Blocks: for the recovery of the log, and up to
    /// [`SledOptions::patience`] for another process to let go.
    pub fn open(directory: &Path, options: SledOptions) -> Result<Self, OpenError> {
        let store = Arc::new(Store::open(directory, &options)?);
        let (queue, waiting) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let thread = Committer::start(Arc::clone(&store), waiting, Arc::clone(&counts), &options)
            .map_err(|error| OpenError::Io { directory: directory.to_owned(), error })?;
        let committer = Arc::new(Mutex::new(Some(thread)));
        Ok(Self { store, queue, counts, on_fatal: options.on_fatal, committer })
    }

    /// Waits until the commits that wait are done and the directory is let go. Where there are
    /// other clones it is they who keep it.
    pub async fn close(self) {
        let Self { store, queue, committer, .. } = self;
        drop(queue);
        let Some(committer) = Arc::into_inner(committer) else { return };
        let closed = tokio::task::spawn_blocking(move || {
            if let Some(thread) = committer.into_inner()
                && thread.join().is_err()
            {
                tracing::error!("the thread that commits panicked");
            }
            drop(store);
        });
        if let Err(panic) = closed.await {
            tracing::error!(%panic, "closing the metadata store");
        }
    }

    /// Where the store lies in a data directory.
    pub fn directory_in(data: &Path) -> PathBuf {
        data.join("metadata")
    }

    /// Batches committed and fsyncs paid for them since the store was opened.
    pub fn commits_and_syncs(&self) -> (u64, u64) {
        self.counts.read()
    }

    async fn read<T: Send + 'static>(
        &self,
        what: String,
        read: impl FnOnce(&::sled::Db) -> ::sled::Result<T> + Send + 'static,
    ) -> Result<T, MetadataError> {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || read(&store.db)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(read_error(what, &error)),
            Err(panic) => Err(MetadataError::Unavailable(format!("reading {what}: {panic}"))),
        }
    }
}

impl fmt::Debug for Sled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sled").field("directory", &self.store.directory).finish_non_exhaustive()
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

fn check_sizes(batch: &Batch) -> Result<(), MetadataError> {
    for change in &batch.changes {
        let value = change.value.as_ref().map_or(0, Bytes::len);
        if change.key.len() > MAX_KEY || value > MAX_VALUE {
            return Err(MetadataError::Unavailable(format!(
                "the record {} has a key of {} bytes and a value of {value}; at most {MAX_KEY} \
                 and {MAX_VALUE} are stored",
                show_key(&change.key),
                change.key.len(),
            )));
        }
    }
    Ok(())
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
        let found = self.read(show_key(key), move |db| db.get(wanted)).await?;
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
        let store = Arc::clone(&self.store);
        self.read(show_key(prefix), move |db| {
            // A page is one moment: no batch is half in it.
            let _no_commit = store.applying.read();
            db.range::<Vec<u8>, _>((start, end))
                .take(limit)
                .map(|found| {
                    found.map(|(key, value)| Entry {
                        key: Bytes::copy_from_slice(&key),
                        value: Bytes::copy_from_slice(&value),
                    })
                })
                .collect()
        })
        .await
    }

    async fn commit(&self, batch: Batch) -> Result<(), MetadataError> {
        check_sizes(&batch)?;
        let stopped = || MetadataError::Unavailable("the store has stopped".to_owned());
        let (acknowledge, acknowledged) = oneshot::channel();
        let committed = async {
            self.queue.send(Pending { batch, acknowledge }).await.map_err(|_| stopped())?;
            acknowledged.await.map_err(|_| stopped())?
        };
        if let Ok(result) = tokio::time::timeout(STALLED, committed).await {
            return result;
        }
        let cause = format!("a commit did not end within {} s", STALLED.as_secs());
        (self.on_fatal)(&cause);
        Err(MetadataError::Unavailable(cause))
    }

    async fn size(&self) -> Result<u64, MetadataError> {
        self.read("the size".to_owned(), ::sled::Db::size_on_disk).await
    }
}

#[cfg(test)]
mod tests;
