//! What goes on beside the requests: refusals are written, open ones are held against new rules, and
//! what was closed long ago is taken away.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use super::answering::Looking;
use super::{MAX_COMMENTS, PAGE, Requests};
use crate::audit::{Action, GARTH};
use crate::metadata::records::{Key, RequestComment, RequestRecord, RequestVersions, Stage};
use crate::metadata::{Batch, MetadataError};

/// How long a refusal may wait until it is written.
const WRITE: Duration = Duration::from_secs(2);
/// How often the store is asked what another process changed.
const ASK_STORE: Duration = Duration::from_secs(15);
const PRUNE: Duration = Duration::from_hours(1);

/// The task that writes; it ends with this.
#[derive(Debug)]
pub struct Keeping {
    stop: Arc<Notify>,
    job: JoinHandle<()>,
}

impl Keeping {
    /// Writes what was refused up to now, and ends.
    pub async fn finish(mut self) {
        self.stop.notify_one();
        let _ = (&mut self.job).await;
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.job.abort();
    }
}

impl Requests {
    /// Writes what was refused, from time to time, and takes away what was closed long ago.
    pub fn keep(&self) -> Keeping {
        let (requests, stop) = (self.clone(), Arc::new(Notify::new()));
        let stopping = Arc::clone(&stop);
        let job = tokio::spawn(async move {
            let mut turns = interval(WRITE);
            let (mut asked, mut pruned) = (Instant::now(), None::<Instant>);
            let mut looking = Looking::default();
            let mut ends = false;
            while !ends {
                ends = tokio::select! {
                    _ = turns.tick() => false,
                    () = stopping.notified() => true,
                };
                if let Err(fault) = requests.write_refusals().await {
                    tracing::error!(%fault, "refusals could not be written into requests; they are tried again");
                }
                if ends {
                    return;
                }
                if asked.elapsed() >= ASK_STORE {
                    asked = Instant::now();
                    if let Err(fault) = requests.refresh().await {
                        tracing::error!(%fault, "the requests can not be read");
                    }
                }
                if let Err(fault) = requests.look_again(&mut looking).await {
                    tracing::error!(%fault, "open requests could not be held against the rules; it is tried again");
                }
                if pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE) {
                    pruned = Some(Instant::now());
                    if let Err(fault) = requests.prune().await {
                        tracing::error!(%fault, "old requests could not be taken away");
                    }
                }
            }
        });
        Keeping { stop, job }
    }

    /// Takes away what was closed longer ago than it is kept.
    pub(super) async fn prune(&self) -> Result<(), MetadataError> {
        let kept = SignedDuration::try_from(self.0.config.keep).unwrap_or(SignedDuration::MAX);
        let Ok(before) = self.0.clock.now().checked_sub(kept) else { return Ok(()) };
        for stage in [Stage::Approved, Stage::Rejected, Stage::Answered] {
            let mut after = None;
            loop {
                let page = self.page(stage, after.as_ref()).await?;
                let last = page.len() < PAGE;
                for (key, record) in page {
                    let closed = record.closed.as_ref().map(|closed| closed.at);
                    if closed.is_some_and(|at| at < before)
                        && let Some((_, number)) = RequestRecord::place(&key)
                    {
                        self.drop_closed(&key, number, &record).await?;
                    }
                    after = Some(key);
                }
                if last {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn drop_closed(
        &self,
        key: &Key<RequestRecord>,
        number: u64,
        record: &RequestRecord,
    ) -> Result<(), MetadataError> {
        let mut batch = Batch::default().remove_record(key);
        for n in 0..record.comments.min(MAX_COMMENTS) {
            batch = batch.remove_record(&RequestComment::key(number, n));
        }
        for n in 0..record.closure.as_ref().map_or(0, |closure| closure.parts) {
            batch = batch.remove_record(&RequestVersions::key(number, n));
        }
        let entry = self.entry(Action::RequestDropped, number, record).by(GARTH);
        let entry = entry.why(Some("it was closed long ago"));
        self.0.metadata.commit(batch.note(entry, self.0.clock.now())).await?;
        tracing::info!(request = number, package = %record.package, "a request that was closed long ago is kept no longer");
        if let Ok(package) = record.package.parse() {
            self.post(|board| board.take(&package, number));
        }
        Ok(())
    }
}
