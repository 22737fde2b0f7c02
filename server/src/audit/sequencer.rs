//! Gives waiting entries their numbers and hashes them into the tree: within a second of the change
//! that they tell of, and without anybody waiting for it.
//!
//! There is one order, whoever moves them: each step expects the head as it was read, so of two
//! processes over one store one does it. What a step moves is removed where it waited, written
//! under its number and hashed, in one commit. It gets into the index later, with many others.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use tlog_tiles::tlog::record_hash;
use tokio::sync::{Notify, watch};

use super::Trouble;
use super::blocks::{Filling, line_of};
use super::entry::{Action, Entry, GARTH};
use super::indexing::index_more;
use super::tree::{Edge, TreeError, encode_root};
use crate::clock::Clock;
use crate::metadata::records::{
    self, AuditHead, AuditRecord, Prefix, Stored, WaitingRecord, decode,
};
use crate::metadata::{Batch, MAX_BATCH_BYTES, MAX_BATCH_CHANGES, Metadata, MetadataError};

/// Entries that are looked at in one step.
const AT_ONCE: usize = 256;
/// Where there are no more of them, more are waited for.
const FEW: usize = 64;
/// A step leaves other writers room beside it.
const STEP_BYTES: usize = MAX_BATCH_BYTES / 2;
const STEP_CHANGES: usize = MAX_BATCH_CHANGES / 2;
/// So much is put into the index at once where it is behind.
const STRETCHES: u64 = 4;
/// Entries that other processes wrote are looked for so often.
const LOOK: Duration = Duration::from_millis(500);
/// So long the entries of a moment gather, so that many of them share a step.
const GATHER: Duration = Duration::from_millis(100);
/// After a step that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// The one who numbers, in this process.
#[derive(Debug)]
pub struct Sequencer {
    metadata: Arc<dyn Metadata>,
    clock: Clock,
    wake: Arc<Notify>,
    size: watch::Sender<u64>,
    trouble: Trouble,
    end: Option<End>,
}

/// What a step goes on with.
#[derive(Debug)]
struct End {
    edge: Edge,
    filling: Filling,
}

impl End {
    /// Of a log of that size.
    async fn read(metadata: &dyn Metadata, size: u64) -> Result<Self, TreeError> {
        let edge = Edge::read(metadata, size).await?;
        Ok(Self { edge, filling: Filling::behind(metadata, size).await? })
    }
}

impl Sequencer {
    pub fn new(
        metadata: Arc<dyn Metadata>,
        clock: Clock,
        wake: Arc<Notify>,
        size: watch::Sender<u64>,
        trouble: Trouble,
    ) -> Self {
        Self { metadata, clock, wake, size, trouble, end: None }
    }

    /// Until it is dropped.
    pub async fn run(mut self) {
        loop {
            let done = match self.step().await {
                Ok(moved) => self.index().await.map(|()| moved),
                Err(fault) => Err(fault),
            };
            match done {
                Ok(0) => {
                    *self.trouble.lock() = None;
                    if tokio::time::timeout(LOOK, self.wake.notified()).await.is_ok() {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                Ok(moved) => {
                    *self.trouble.lock() = None;
                    if moved < FEW {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                // Another process was faster.
                Err(TreeError::Metadata(MetadataError::Conflict { .. })) => self.end = None,
                Err(fault) => {
                    self.end = None;
                    let why = format!(
                        "entries of the audit log wait for their numbers, or for the index: {fault}"
                    );
                    if self.trouble.lock().replace(why).is_none() {
                        tracing::error!(%fault, "entries of the audit log wait: they are kept, and are not in its tree yet");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Moves some of those that wait; how many.
    pub async fn step(&mut self) -> Result<usize, TreeError> {
        let store = Arc::clone(&self.metadata);
        let key = AuditHead::key();
        let head = records::read_stored(store.as_ref(), &key).await?;
        let size = head.as_ref().map_or(0, |head| head.record.size);
        self.tell(size);
        let waiting = store.scan(Prefix::<WaitingRecord>::all().as_bytes(), None, AT_ONCE).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let End { mut edge, mut filling } = match self.end.take() {
            Some(end) if end.edge.size() == size => end,
            _ => End::read(store.as_ref(), size).await?,
        };
        let logged = self.logged(head.as_ref());
        let mut batch = Batch::default().expect_unchanged(&key, head.as_ref());
        let mut moved = 0;
        for waiting in waiting {
            if batch.bytes() > STEP_BYTES || batch.changes.len() > STEP_CHANGES {
                break;
            }
            let record = match decode::<WaitingRecord>(&waiting.key, &waiting.value) {
                Ok(WaitingRecord(record)) => record,
                Err(fault) => unreadable(&fault, &waiting.value, logged),
            };
            let n = edge.size();
            let record = AuditRecord { n: Some(n), logged: Some(logged), ..record };
            let line = line_of(&record);
            edge.push(record_hash(line.get().as_bytes()))?;
            batch = batch.remove(waiting.key);
            filling.push(n, line, &mut batch.changes);
            moved += 1;
        }
        filling.finish(&mut batch.changes);
        for (key, hashes) in edge.changed(size) {
            batch = batch.put_record(&key, &hashes);
        }
        let next = AuditHead {
            size: edge.size(),
            root: encode_root(edge.root()?),
            logged,
            key: head.and_then(|head| head.record.key),
        };
        store.commit(batch.put_record(&key, &next)).await?;
        edge.prune();
        self.tell(edge.size());
        self.end = Some(End { edge, filling });
        Ok(moved)
    }

    /// Another process may be at it, too.
    async fn index(&self) -> Result<(), TreeError> {
        match index_more(self.metadata.as_ref(), STRETCHES).await {
            Ok(_) | Err(MetadataError::Conflict { .. }) => Ok(()),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Now, and never earlier than before.
    fn logged(&self, head: Option<&Stored<AuditHead>>) -> Timestamp {
        let now = self.clock.now();
        head.map_or(now, |head| head.record.logged.max(now))
    }

    fn tell(&self, size: u64) {
        self.size.send_if_modified(|told| {
            let newer = *told < size;
            if newer {
                *told = size;
            }
            newer
        });
    }
}

/// What can not be read is kept as it is, and holds up nobody.
fn unreadable(fault: &MetadataError, value: &[u8], at: Timestamp) -> AuditRecord {
    tracing::error!(%fault, "an entry of the audit log can not be read; it is logged as its bytes");
    let bytes = STANDARD.encode(&value[..value.len().min(4096)]);
    let mut record = Entry::new(Action::LogChanged).by(GARTH).why(Some("an entry can not be read"));
    record = record.subject("unreadable");
    let mut record = record.into_record(at);
    record.details.insert("bytes".to_owned(), bytes);
    record
}
