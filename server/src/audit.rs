//! The audit log: what was done here, by whom, from where, when and why; append-only, and provably so.
//!
//! How an entry gets there:
//!
//! 1. Whoever changes something adds an [`Entry`] to the batch of the change ([`Batch::note`]), so
//!    there is no change without its entry: where the entry can not be written, the change is
//!    refused. [`audited`] refuses batches that forget it.
//! 2. Within a second the [`sequencer`] moves it to the end of the log: it gets its number, its
//!    place in a block ([`blocks`]) and its hash in the [`tree`]. With many others it gets into the lists
//!    of the index ([`indexing`], [`listing`]).
//! 3. The root of the tree is signed ([`checkpoint`]), kept beside the key and put where the
//!    administrator wants it ([`anchoring`]). A start over a store with another log is refused
//!    ([`opening`]), and a copy is held against what was signed ([`verify`]). `garth check` looks
//!    whether all of it is there and fits together ([`whole`]).
//!
//! Who wants to know of what happens reads from a number on ([`Log::since`]) and is woken by
//! [`Log::watch`].
//!
//! [`Batch::note`]: crate::metadata::Batch::note

mod anchoring;
mod audited;
mod blocks;
pub mod checkpoint;
mod entry;
mod index;
mod indexing;
mod listing;
pub mod mending;
mod often;
mod opening;
mod proofs;
mod reading;
mod sequencer;
mod settings;
mod tree;
pub mod verify;
mod walking;
pub mod whole;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use self::anchoring::Anchors;
pub use self::audited::Audited;
use self::checkpoint::LogKey;
pub use self::entry::{Action, EXAMPLE, Entry, GARTH};
pub use self::often::Often;
pub use self::opening::{OpenLogError, Opening, open_key, refusal};
pub use self::proofs::{ConsistencyProof, InclusionProof, ProofError, SignedHead};
pub use self::reading::{Filter, Logged, Order, Page};
use self::sequencer::Sequencer;
pub use self::settings::note_settings;
pub use self::tree::TreeError;
use crate::clock::Clock;
use crate::metadata::records::{self, AuditHead, Prefix, WaitingRecord};
use crate::metadata::{Metadata, MetadataError};
use crate::observability::CheckState;

/// So much is looked up at the same time, of what lies in many places.
const TOGETHER: usize = 16;
/// How long a reader waits for what was written just before.
const SETTLE: Duration = Duration::from_secs(2);

/// The log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metadata: Arc<dyn Metadata>,
    key: LogKey,
    size: watch::Receiver<u64>,
    trouble: Trouble,
}

/// Why entries do not get their numbers, while they do not.
type Trouble = Arc<Mutex<Option<String>>>;

/// The log's own work in this process; it ends with it.
#[derive(Debug)]
pub struct Keeping {
    jobs: Vec<JoinHandle<()>>,
    anchoring: Option<Anchoring>,
}

/// Whoever puts checkpoints where they belong, and how it is told that this is the end.
#[derive(Debug)]
struct Anchoring {
    log: Log,
    job: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        let anchoring = self.anchoring.as_ref().map(|anchoring| &anchoring.job);
        for job in self.jobs.iter().chain(anchoring) {
            job.abort();
        }
    }
}

impl Keeping {
    /// Puts checkpoints where they belong, too.
    pub fn anchor(&mut self, log: &Log, anchors: Anchors) {
        let (log, stop) = (log.clone(), Arc::new(Notify::new()));
        let job = tokio::spawn(anchors.run(log.clone(), log.watch(), Arc::clone(&stop)));
        self.anchoring = Some(Anchoring { log, job, stop });
    }

    /// At an orderly end everything that was told is numbered, and signed.
    pub async fn finish(mut self) {
        let Some(Anchoring { log, job, stop }) = self.anchoring.take() else { return };
        if let Err(fault) = log.settle().await {
            tracing::warn!(%fault, "stopped before the last entries of the audit log had their numbers; the next start gives them");
        }
        stop.notify_one();
        if let Err(fault) = job.await {
            tracing::warn!(%fault, "stopped without a checkpoint over the last entries");
        }
    }
}

impl Log {
    /// Over the engine itself. Everybody else is handed the [`Audited`] store that comes with it.
    pub fn open(
        metadata: Arc<dyn Metadata>,
        clock: Clock,
        key: LogKey,
    ) -> (Self, Arc<Audited>, Keeping) {
        let wake = Arc::new(Notify::new());
        let audited = Arc::new(Audited::new(Arc::clone(&metadata), Arc::clone(&wake)));
        let (told, size) = watch::channel(0);
        let trouble = Trouble::default();
        let sequencer =
            Sequencer::new(Arc::clone(&metadata), clock, wake, told, Arc::clone(&trouble));
        let keeping = Keeping { jobs: vec![tokio::spawn(sequencer.run())], anchoring: None };
        (Self(Arc::new(Inner { metadata, key, size, trouble })), audited, keeping)
    }

    /// How many entries there are, and then each time that there are more, whichever process wrote
    /// them. It begins at 0 until the store is read.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.size.clone()
    }

    /// How many entries there are now.
    pub async fn size(&self) -> Result<u64, MetadataError> {
        let head = records::read(self.0.metadata.as_ref(), &AuditHead::key()).await?;
        Ok(head.map_or(0, |head| head.size))
    }

    /// For `/readyz`.
    pub fn check(&self) -> CheckState {
        self.0.trouble.lock().clone().map_or(CheckState::Ok, CheckState::Degraded)
    }

    /// Returns when what was written before the call has its number, or after a while: who changes
    /// something and then looks finds it.
    pub async fn settle(&self) -> Result<(), MetadataError> {
        let begun = tokio::time::Instant::now();
        let prefix = Prefix::<WaitingRecord>::all();
        let last = self.0.metadata.scan(prefix.as_bytes(), None, usize::from(u8::MAX)).await?;
        let Some(last) = last.into_iter().next_back() else { return Ok(()) };
        let mut size = self.watch();
        size.mark_unchanged();
        while begun.elapsed() < SETTLE {
            if self.0.metadata.get(&last.key).await?.is_none() {
                return Ok(());
            }
            let _ = tokio::time::timeout(SETTLE / 20, size.changed()).await;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
