//! Complete bytes, staged at once.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use policies::package::Digest;
use tokio::sync::OwnedSemaphorePermit;

use super::{OnDisk, Stages};
use crate::blobs::{BlobError, off_executor};
use crate::disk::faults::Operation;

/// A complete file that is on disk. One that did not become a blob is removed when this is dropped.
pub struct WholeStage {
    pub digest: Digest,
    on_disk: OnDisk,
    _turn: OwnedSemaphorePermit,
}

impl WholeStage {
    pub fn path(&self) -> Option<&Path> {
        self.on_disk.path.as_deref()
    }

    /// The name belongs to the blob now.
    pub fn published(mut self) {
        self.on_disk.path = None;
    }
}

impl Stages {
    /// All bytes at once, durably, by one thread: nobody follows them.
    pub async fn write_whole(self: &Arc<Self>, bytes: Bytes) -> Result<WholeStage, BlobError> {
        let turn = self.turn().await?;
        let on_disk = OnDisk { path: Some(self.next_path()), stages: Arc::clone(self) };
        off_executor(move || {
            let written = on_disk.path.as_deref().map_or(Ok(()), |path| {
                let mut file = on_disk.stages.create_file(path, bytes.len() as u64)?;
                on_disk.stages.faults.check(Operation::Write)?;
                file.write_all(&bytes)?;
                on_disk.stages.faults.check(Operation::SyncFile)?;
                file.sync_data()
            });
            written.map_err(|error| BlobError::io("staging", &error))?;
            Ok(WholeStage { digest: Digest::sha256_of(&bytes), on_disk, _turn: turn })
        })
        .await
    }
}
