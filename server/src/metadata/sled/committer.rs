//! The one thread that writes: group commit.
//!
//! While one group is being made durable the next one gathers in the queue, so many writers share
//! an fsync and a lone writer waits for nothing but his own. sled wakes all of its threads for each
//! buffer of its log, so the batches of a group go to it as one.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::super::records::show_key;
use super::super::{Batch, Expectation, MAX_BATCH_BYTES, MAX_BATCH_CHANGES, MetadataError};
use super::opening::{SEGMENT, Store, panic_message};
use super::{OnFatal, Shared, SledOptions, closed, read_error};
use crate::disk::faults::{Faults, Operation};
use crate::disk::space::Space;

/// A group that has reached one of these takes no further batch.
const GROUP_BYTES: usize = 256 * 1024;
const GROUP_CHANGES: usize = 1024;

/// For each so many bytes that are written a page is moved, so that its segment can be used again.
const TIDIED: usize = 1024;
const MOST_TIDIED: usize = 200;

// A group stays well below a segment of sled's log, so that the log never reuses a segment whose
// successor is not durable yet.
const _: () = assert!(GROUP_BYTES + MAX_BATCH_BYTES <= SEGMENT / 2);
const _: () = assert!(GROUP_CHANGES + MAX_BATCH_CHANGES <= 2048);

/// A batch on its way, and where its writer waits.
pub struct Pending {
    pub batch: Batch,
    pub acknowledge: oneshot::Sender<Result<(), MetadataError>>,
}

/// How the thread gets on, for those who wait for it.
#[derive(Debug, Default)]
pub struct Progress {
    commits: AtomicU64,
    syncs: AtomicU64,
    /// Since when it is at work at the present group.
    busy_since: Mutex<Option<Instant>>,
    given_up: AtomicBool,
}

impl Progress {
    pub fn commits_and_syncs(&self) -> (u64, u64) {
        (self.commits.load(Ordering::Relaxed), self.syncs.load(Ordering::Relaxed))
    }

    /// `None` while nothing is to be done.
    pub fn busy_for(&self) -> Option<Duration> {
        self.busy_since.lock().map(|since| since.elapsed())
    }

    /// Whether the caller is the first to say that the engine is stuck.
    pub fn give_up(&self) -> bool {
        !self.given_up.swap(true, Ordering::Relaxed)
    }

    fn begin(&self) {
        *self.busy_since.lock() = Some(Instant::now());
    }

    fn end(&self) {
        *self.busy_since.lock() = None;
    }
}

/// The engine is in a state that nobody knows; nothing more may be written.
struct Broken(String);

pub struct Committer {
    store: Shared,
    space: Space,
    faults: Faults,
    progress: Arc<Progress>,
    tidy_above: u64,
}

impl Committer {
    pub fn new(
        store: Shared,
        directory: &Path,
        progress: &Arc<Progress>,
        options: &SledOptions,
    ) -> Self {
        let faults = options.faults.clone();
        let space = Space::new(directory.to_owned(), options.reserve_bytes, faults.clone());
        Self {
            store,
            space,
            faults,
            progress: Arc::clone(progress),
            tidy_above: options.tidy_above,
        }
    }

    /// The thread ends when the last sender of `waiting` is gone.
    pub fn start(
        self,
        mut waiting: mpsc::Receiver<Pending>,
        on_fatal: &OnFatal,
    ) -> io::Result<JoinHandle<()>> {
        let on_fatal = Arc::clone(on_fatal);
        std::thread::Builder::new()
            .name("metadata-commit".to_owned())
            .spawn(move || self.run(&mut waiting, &on_fatal))
    }

    fn run(&self, waiting: &mut mpsc::Receiver<Pending>, on_fatal: &OnFatal) {
        while let Some(first) = waiting.blocking_recv() {
            self.progress.begin();
            let group = gather(first, waiting);
            let (batches, writers): (Vec<Batch>, Vec<_>) =
                group.into_iter().map(|pending| (pending.batch, pending.acknowledge)).unzip();
            let committed = catch_unwind(AssertUnwindSafe(|| self.commit_group(&batches)))
                .unwrap_or_else(|panic| Err(Broken(panic_message(panic.as_ref()))));
            self.progress.end();
            match committed {
                Ok(results) => {
                    for (writer, result) in writers.into_iter().zip(results) {
                        // A writer that left does not undo his commit.
                        let _gone = writer.send(result);
                    }
                }
                Err(Broken(cause)) => {
                    if self.progress.give_up() {
                        on_fatal(&cause);
                    }
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
        let store = self.store.read();
        let Some(store) = store.as_ref() else { return Ok(vec![Err(closed()); batches.len()]) };
        let bytes: usize = batches.iter().map(Batch::bytes).sum();
        // The log holds a group once, and again when its segments are cleaned.
        if let Err(error) = self.space.check(2 * bytes as u64) {
            let refusal = if crate::disk::is_full(&error) {
                MetadataError::Full(error.to_string())
            } else {
                MetadataError::Unavailable(error.to_string())
            };
            return Ok(vec![Err(refusal); batches.len()]);
        }
        let (changes, results) = gather_changes(store, batches);
        let committed = results.iter().filter(|result| result.is_ok()).count();
        if committed > 0 {
            self.apply(store, changes)?;
            self.tidy(store, bytes)?;
            self.make_durable(store)?;
            self.progress.commits.fetch_add(committed as u64, Ordering::Relaxed);
        }
        Ok(results)
    }

    /// All of the group at once: sled hands the buffer of its log to its threads for each batch.
    fn apply(&self, store: &Store, changes: ::sled::Batch) -> Result<(), Broken> {
        self.faults.check(Operation::Apply).map_err(|error| broken("taking up a group", &error))?;
        let _no_scan = store.applying.write();
        store.db.apply_batch(changes).map_err(|error| broken("taking up a group", &error))
    }

    fn tidy(&self, store: &Store, bytes: usize) -> Result<(), Broken> {
        let failed = |error: &dyn std::error::Error| broken("clearing up the log", error);
        if store.log.metadata().map_err(|error| failed(&error))?.len() <= self.tidy_above {
            return Ok(());
        }
        store.tidy((bytes / TIDIED).clamp(1, MOST_TIDIED)).map_err(|error| failed(&error))
    }

    fn make_durable(&self, store: &Store) -> Result<(), Broken> {
        self.faults.check(Operation::Flush).map_err(|error| broken("writing the log", &error))?;
        store.db.flush().map_err(|error| broken("writing the log", &error))?;
        self.faults.check(Operation::SyncLog).map_err(|error| broken("syncing the log", &error))?;
        store.log.sync_all().map_err(|error| broken("syncing the log", &error))?;
        self.progress.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// What waits already, up to the bounds of a group.
fn gather(first: Pending, waiting: &mut mpsc::Receiver<Pending>) -> Vec<Pending> {
    // An empty batch is a change too, so that a group has an end.
    let weigh = |batch: &Batch| (batch.bytes(), batch.changes.len().max(1));
    let (mut bytes, mut changes) = weigh(&first.batch);
    let mut group = vec![first];
    while bytes < GROUP_BYTES && changes < GROUP_CHANGES {
        let Ok(next) = waiting.try_recv() else { break };
        let (more, further) = weigh(&next.batch);
        (bytes, changes) = (bytes + more, changes + further);
        group.push(next);
    }
    group
}

/// What the group changes as a whole, and one result for each batch: it is in there whole, or
/// not at all.
fn gather_changes(
    store: &Store,
    batches: &[Batch],
) -> (::sled::Batch, Vec<Result<(), MetadataError>>) {
    let mut changes = ::sled::Batch::default();
    // What the earlier batches of the group leave behind them.
    let mut changed: HashMap<&[u8], Option<&[u8]>> = HashMap::new();
    let results = batches.iter().map(|batch| {
        for expectation in &batch.expectations {
            if !is_as_expected(store, &changed, expectation)? {
                return Err(MetadataError::Conflict { key: show_key(&expectation.key) });
            }
        }
        for change in &batch.changes {
            let value = change.value.as_deref();
            changed.insert(&change.key, value);
            match value {
                Some(value) => changes.insert(&*change.key, value),
                None => changes.remove(&*change.key),
            }
        }
        Ok(())
    });
    let results = results.collect();
    (changes, results)
}

fn is_as_expected(
    store: &Store,
    changed: &HashMap<&[u8], Option<&[u8]>>,
    expectation: &Expectation,
) -> Result<bool, MetadataError> {
    let expected = expectation.value.as_deref();
    if let Some(left) = changed.get(&*expectation.key) {
        return Ok(*left == expected);
    }
    match store.db.get(&expectation.key) {
        Ok(found) => Ok(found.as_deref() == expected),
        Err(error) => Err(read_error(show_key(&expectation.key), &error)),
    }
}

fn broken(doing: &str, error: &dyn std::error::Error) -> Broken {
    Broken(format!("{doing}: {error}"))
}
