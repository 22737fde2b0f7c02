//! Which blobs were found sound since the start, and the check itself.
//!
//! The memory is only a cache: a blob that fell out of it is checked once more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use policies::package::Digest;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{BlobError, BlobFile, Mark, off_executor};

/// Whole blobs that are read and hashed at once for the sake of a range.
const AT_ONCE: usize = 4;
pub const CHUNK: usize = 256 * 1024;

pub struct Verified {
    marks: Cache<Digest, Mark>,
    turns: Semaphore,
}

impl Verified {
    pub fn new(remembered: u64) -> Self {
        Self { marks: Cache::new(remembered), turns: Semaphore::new(AT_ONCE) }
    }

    pub fn contains(&self, digest: &Digest, mark: Mark) -> bool {
        self.marks.get(digest) == Some(mark)
    }

    pub fn insert(&self, digest: &Digest, mark: Mark) {
        self.marks.insert(digest.clone(), mark);
    }

    pub fn forget(&self, digest: &Digest) {
        self.marks.invalidate(digest);
    }

    /// Reads and hashes the whole blob, unless somebody did meanwhile.
    pub async fn check(&self, digest: &Digest, file: &Arc<dyn BlobFile>) -> Result<(), BlobError> {
        let mark = file.mark();
        let _turn = self.turns.acquire().await;
        if self.contains(digest, mark) {
            return Ok(());
        }
        hash_whole(digest, file, None).await?;
        self.insert(digest, mark);
        Ok(())
    }
}

/// Reads and hashes the whole blob, at most at `pace` bytes a second where one is given.
pub async fn hash_whole(
    digest: &Digest,
    file: &Arc<dyn BlobFile>,
    pace: Option<u64>,
) -> Result<(), BlobError> {
    let len = file.mark().len;
    let mut check = Check::default();
    while check.seen < len {
        let chunk = file.read_at(check.seen, CHUNK).await?;
        if chunk.is_empty() {
            break;
        }
        let read = chunk.len() as u64;
        check = check.update(chunk).await?;
        if let Some(pace) = pace {
            tokio::time::sleep(Duration::from_micros(read * 1_000_000 / pace.max(1))).await;
        }
    }
    check.conclude(digest, len)
}

/// A check in progress.
#[derive(Default)]
pub struct Check {
    pub seen: u64,
    hash: Sha256,
}

impl Check {
    pub async fn update(mut self, chunk: Bytes) -> Result<Self, BlobError> {
        off_executor(move || {
            self.hash.update(&chunk);
            self.seen += chunk.len() as u64;
            Ok(self)
        })
        .await
    }

    /// Whether what was seen is the blob `digest` of length `len`.
    pub fn conclude(self, digest: &Digest, len: u64) -> Result<(), BlobError> {
        let damaged = |cause| BlobError::Damaged { digest: digest.clone(), cause };
        if self.seen != len {
            return Err(damaged(format!("it ends after {} of {len} bytes", self.seen)));
        }
        if self.hash.finalize()[..] != *digest.bytes() {
            return Err(damaged("its bytes have another digest".to_owned()));
        }
        Ok(())
    }
}
