//! Reads every blob again, slowly and for ever: damage that nobody reads is found too.

use std::sync::Arc;
use std::time::Duration;

use policies::package::Digest;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::verify::hash_whole;
use super::{BlobError, Blobs};
use crate::jobs::Job;
use crate::random;

const PAGE: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubSettings {
    pub bytes_per_second: u64,
    /// Between the end of one round and the next.
    pub pause: Duration,
}

impl Default for ScrubSettings {
    fn default() -> Self {
        Self { bytes_per_second: 8 * 1024 * 1024, pause: Duration::from_hours(1) }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Rounds that came to their end.
    pub rounds: u64,
    /// Since the start: blobs read whole, and those of them that were damaged.
    pub checked: u64,
    pub damaged: u64,
    /// Blobs or listings that could not be read.
    pub unreadable: u64,
}

/// The job; it ends when this is dropped.
#[derive(Debug)]
pub struct Scrub {
    progress: watch::Receiver<ScrubProgress>,
    job: JoinHandle<()>,
}

impl Scrub {
    pub fn start(blobs: Blobs, settings: ScrubSettings, rounds: Job) -> Self {
        let (reports, progress) = watch::channel(ScrubProgress::default());
        let job = tokio::spawn(async move {
            loop {
                // What could not be done is in the log already.
                let _ = rounds.run(round(&blobs, settings, &reports)).await;
                reports.send_modify(|progress| progress.rounds += 1);
                rounds.rest(settings.pause).await;
            }
        });
        Self { progress, job }
    }

    pub fn progress(&self) -> watch::Receiver<ScrubProgress> {
        self.progress.clone()
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        self.job.abort();
    }
}

async fn round(
    blobs: &Blobs,
    settings: ScrubSettings,
    reports: &watch::Sender<ScrubProgress>,
) -> Result<(), BlobError> {
    // Anywhere, and round: a store whose rounds take longer than its process lives is seen whole
    // all the same.
    let start = Digest::sha256_of(random::name().as_bytes());
    let (mut after, mut wrapped) = (Some(start.clone()), false);
    loop {
        let page = match blobs.list(after.as_ref(), PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "the scrub can not list the blobs");
                reports.send_modify(|progress| progress.unreadable += 1);
                return Err(error);
            }
        };
        match page.last() {
            Some(last) => after = Some(last.digest.clone()),
            None if wrapped => return Ok(()),
            None => (after, wrapped) = (None, true),
        }
        for blob in page {
            if wrapped && blob.digest > start {
                return Ok(());
            }
            let verdict = scrub(blobs, &blob.digest, settings.bytes_per_second).await;
            reports.send_modify(|progress| match &verdict {
                Ok(()) => progress.checked += 1,
                Err(BlobError::Damaged { .. }) => {
                    progress.checked += 1;
                    progress.damaged += 1;
                }
                Err(_) => progress.unreadable += 1,
            });
            if let Err(error @ (BlobError::Unavailable(_) | BlobError::Full(_))) = verdict {
                tracing::error!(%error, digest = %blob.digest, "the scrub can not read a blob");
                blobs.0.alarm.damaged(&blob.digest, &error.to_string());
            }
        }
    }
}

/// Checks the blob even where it was found sound before: what was sound once may have decayed.
async fn scrub(blobs: &Blobs, digest: &Digest, pace: u64) -> Result<(), BlobError> {
    let Some(file) = blobs.0.engine.open(digest).await? else { return Ok(()) };
    let verdict = hash_whole(digest, &Arc::clone(&file), Some(pace)).await;
    match &verdict {
        Ok(()) => blobs.0.verified.insert(digest, file.mark()),
        Err(BlobError::Damaged { cause, .. }) => blobs.condemn(digest, file.mark(), cause).await,
        Err(_) => {}
    }
    verdict
}
