//! The audit log: what was done here, by whom, from where, when and why; append-only, and provably so.
//!
//! How an entry gets there:
//!
//! 1. Whoever changes something adds an [`Entry`] to the batch of the change ([`Batch::note`]), so
//!    there is no change without its entry: where the entry can not be written, the change is
//!    refused. [`audited`] refuses batches that forget it.
//! 2. Within a second the [`sequencer`] moves it to the end of the log: it gets its number, its
//!    index keys, and its hash in the [`tree`].
//! 3. The root of the tree is signed, and kept outside.
//!
//! Who wants to know of what happens reads from a number on ([`Log::since`]) and is woken by
//! [`Log::watch`].
//!
//! [`Batch::note`]: crate::metadata::Batch::note

mod audited;
mod entry;
mod index;
mod reading;
mod redact;
mod sequencer;
mod tree;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use self::audited::Audited;
pub use self::entry::{Action, Entry, GARTH};
pub use self::reading::{Filter, Logged, Order, Page};
use self::sequencer::Sequencer;
use crate::clock::Clock;
use crate::metadata::records::{self, AuditHead, Prefix, WaitingRecord};
use crate::metadata::{Metadata, MetadataError};

/// How long a reader waits for what was written just before.
const SETTLE: Duration = Duration::from_secs(2);

/// The log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metadata: Arc<dyn Metadata>,
    size: watch::Receiver<u64>,
}

/// The log's own work in this process; it ends with it.
#[derive(Debug)]
pub struct Keeping(JoinHandle<()>);

impl Drop for Keeping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Log {
    /// Over the engine itself. Everybody else is handed the [`Audited`] store that comes with it.
    pub fn open(metadata: Arc<dyn Metadata>, clock: Clock) -> (Self, Arc<Audited>, Keeping) {
        let wake = Arc::new(Notify::new());
        let audited = Arc::new(Audited::new(Arc::clone(&metadata), Arc::clone(&wake)));
        let (told, size) = watch::channel(0);
        let sequencer = Sequencer::new(Arc::clone(&metadata), clock, wake, told);
        let keeping = Keeping(tokio::spawn(sequencer.run()));
        (Self(Arc::new(Inner { metadata, size })), audited, keeping)
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
mod tests;
