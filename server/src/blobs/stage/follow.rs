//! Reading along while a stage is being written.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use super::{StageProgress, StageState};
use crate::blobs::{BlobError, disk::pread};

const PIECE: u64 = 128 * 1024;

#[derive(Clone)]
pub struct StageReader {
    file: Arc<File>,
    progress: watch::Receiver<StageProgress>,
}

impl StageReader {
    pub(super) fn new(file: Arc<File>, progress: watch::Receiver<StageProgress>) -> Self {
        Self { file, progress }
    }

    pub fn progress(&self) -> StageProgress {
        self.progress.borrow().clone()
    }

    /// At most `max` of the bytes that are written from `offset` on; empty where none are yet.
    pub async fn read(&self, offset: u64, max: usize) -> Result<Bytes, BlobError> {
        let left = self.progress.borrow().written.saturating_sub(offset);
        let max = max.min(usize::try_from(left).unwrap_or(max));
        if max == 0 {
            return Ok(Bytes::new());
        }
        pread(&self.file, offset, max)
            .await
            .map_err(|error| BlobError::io("reading a staged file", &error))
    }

    /// The bytes from `offset` on, as they come. The last byte comes only once the stage is
    /// verified; a stage that fails ends the stream with an error before that.
    pub fn follow(
        self,
        offset: u64,
    ) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static {
        stream::try_unfold((self, offset), |(mut reader, offset)| async move {
            let max = match reader.next_part(offset).await? {
                0 => return Ok(None),
                max => usize::try_from(max.min(PIECE)).unwrap_or(usize::MAX),
            };
            let piece = reader.read(offset, max).await?;
            if piece.is_empty() {
                return Err(BlobError::Unavailable("a staged file was cut".to_owned()));
            }
            let offset = offset + piece.len() as u64;
            Ok(Some((piece, (reader, offset))))
        })
    }

    /// How many bytes behind `offset` may leave now; waits for some. 0 is the end.
    async fn next_part(&mut self, offset: u64) -> Result<u64, BlobError> {
        let failed = |cause: &str| BlobError::Unavailable(cause.to_owned());
        let progress = self
            .progress
            .wait_for(|progress| match progress.state {
                StageState::Running => progress.written > offset.saturating_add(1),
                _ => true,
            })
            .await
            .map_err(|_| failed("the transfer was given up"))?;
        match &progress.state {
            StageState::Running => Ok(progress.written - offset - 1),
            StageState::Verified | StageState::Published => {
                Ok(progress.written.saturating_sub(offset))
            }
            StageState::Failed(cause) => Err(failed(cause)),
        }
    }
}

impl std::fmt::Debug for StageReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StageReader")
            .field("progress", &*self.progress.borrow())
            .finish_non_exhaustive()
    }
}
