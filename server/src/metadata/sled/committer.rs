//! The one thread that writes: group commit.
//!
//! While one group is being made durable the next one gathers in the queue, so many writers share
//! an fsync and a lone writer waits for nothing but his own.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::super::records::show_key;
use super::super::{Batch, MetadataError};
use super::opening::{Store, panic_message};
use super::{OnFatal, SledOptions, read_error};
use crate::disk::faults::{Faults, Operation};
use crate::disk::space::Space;

/// A group stays well below a segment of sled's log, so that the log never reuses a segment whose
/// successor is not durable yet.
const GROUP_BYTES: usize = 256 * 1024;
const GROUP_BATCHES: usize = 512;

/// A batch on its way, and where its writer waits.
pub struct Pending {
    pub batch: Batch,
    pub acknowledge: oneshot::Sender<Result<(), MetadataError>>,
}

#[derive(Debug, Default)]
pub struct Counts {
    commits: AtomicU64,
    syncs: AtomicU64,
}

impl Counts {
    pub fn read(&self) -> (u64, u64) {
        (self.commits.load(Ordering::Relaxed), self.syncs.load(Ordering::Relaxed))
    }
}

/// The engine is in a state that nobody knows; nothing more may be written.
struct Broken(String);

pub struct Committer {
    store: Arc<Store>,
    space: Space,
    faults: Faults,
    counts: Arc<Counts>,
}

impl Committer {
    /// The thread ends when the last sender of `waiting` is gone.
    pub fn start(
        store: Arc<Store>,
        mut waiting: mpsc::Receiver<Pending>,
        counts: Arc<Counts>,
        options: &SledOptions,
    ) -> io::Result<JoinHandle<()>> {
        let space =
            Space::new(store.directory.clone(), options.reserve_bytes, options.faults.clone());
        let committer = Self { store, space, faults: options.faults.clone(), counts };
        let on_fatal = Arc::clone(&options.on_fatal);
        std::thread::Builder::new()
            .name("metadata-commit".to_owned())
            .spawn(move || committer.run(&mut waiting, &on_fatal))
    }

    fn run(&self, waiting: &mut mpsc::Receiver<Pending>, on_fatal: &OnFatal) {
        while let Some(first) = waiting.blocking_recv() {
            let group = gather(first, waiting);
            let (batches, writers): (Vec<Batch>, Vec<_>) =
                group.into_iter().map(|pending| (pending.batch, pending.acknowledge)).unzip();
            let committed = catch_unwind(AssertUnwindSafe(|| self.commit_group(&batches)))
                .unwrap_or_else(|panic| Err(Broken(panic_message(panic.as_ref()))));
            match committed {
                Ok(results) => {
                    for (writer, result) in writers.into_iter().zip(results) {
                        // A writer that left does not undo his commit.
                        let _gone = writer.send(result);
                    }
                }
                Err(Broken(cause)) => {
                    on_fatal(&cause);
                    let refusal = MetadataError::Unavailable(cause);
                    for writer in writers {
                        let _gone = writer.send(Err(refusal.clone()));
                    }
                    // Whoever comes next finds the queue closed.
                    return;
                }
            }
        }
    }

    /// One result for each batch, all of them durable.
    fn commit_group(&self, batches: &[Batch]) -> Result<Vec<Result<(), MetadataError>>, Broken> {
        let bytes: usize = batches.iter().map(bytes_of).sum();
        // The log holds a group once, and again when its segments are cleaned.
        if let Err(error) = self.space.check(2 * bytes as u64) {
            let refusal = if crate::disk::is_full(&error) {
                MetadataError::Full(error.to_string())
            } else {
                MetadataError::Unavailable(error.to_string())
            };
            return Ok(vec![Err(refusal); batches.len()]);
        }
        let mut results = Vec::with_capacity(batches.len());
        for batch in batches {
            results.push(self.apply(batch)?);
        }
        if results.iter().any(Result::is_ok) {
            self.make_durable()?;
            let committed = results.iter().filter(|result| result.is_ok()).count();
            self.counts.commits.fetch_add(committed as u64, Ordering::Relaxed);
        }
        Ok(results)
    }

    /// The batch is in sled's memory whole, or not at all.
    fn apply(&self, batch: &Batch) -> Result<Result<(), MetadataError>, Broken> {
        for expectation in &batch.expectations {
            let found = match self.store.db.get(&expectation.key) {
                Ok(found) => found,
                Err(error) => return Ok(Err(read_error(show_key(&expectation.key), &error))),
            };
            if found.as_deref() != expectation.value.as_deref() {
                return Ok(Err(MetadataError::Conflict { key: show_key(&expectation.key) }));
            }
        }
        let mut changes = ::sled::Batch::default();
        for change in &batch.changes {
            match &change.value {
                Some(value) => changes.insert(&*change.key, &**value),
                None => changes.remove(&*change.key),
            }
        }
        self.faults.check(Operation::Apply).map_err(|error| broken("taking up a batch", &error))?;
        let _no_scan = self.store.applying.write();
        self.store.db.apply_batch(changes).map_err(|error| broken("taking up a batch", &error))?;
        Ok(Ok(()))
    }

    fn make_durable(&self) -> Result<(), Broken> {
        self.faults.check(Operation::Flush).map_err(|error| broken("writing the log", &error))?;
        self.store.db.flush().map_err(|error| broken("writing the log", &error))?;
        self.faults.check(Operation::SyncLog).map_err(|error| broken("syncing the log", &error))?;
        self.store.log.sync_all().map_err(|error| broken("syncing the log", &error))?;
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// What waits already, up to the bounds of a group.
fn gather(first: Pending, waiting: &mut mpsc::Receiver<Pending>) -> Vec<Pending> {
    let mut bytes = bytes_of(&first.batch);
    let mut group = vec![first];
    while group.len() < GROUP_BATCHES && bytes < GROUP_BYTES {
        let Ok(next) = waiting.try_recv() else { break };
        bytes += bytes_of(&next.batch);
        group.push(next);
    }
    group
}

fn bytes_of(batch: &Batch) -> usize {
    batch
        .changes
        .iter()
        .map(|change| change.key.len() + change.value.as_ref().map_or(0, Bytes::len))
        .sum()
}

fn broken(doing: &str, error: &dyn std::error::Error) -> Broken {
    Broken(format!("{doing}: {error}"))
}
