//! Blobs as files, on one file system with the stage.
//!
//! ```text
//! {data}/blobs/sha256/ab/cdef…             the blob abcdef…; 62 digits behind the directory's two
//! {data}/blobs/sha256/ab/cdef….{key}.side  what one record says of it; {key} is 32 digits of the
//!                                          hash of the record's key
//! {data}/quarantine/abcdef…                a damaged one, kept for a person to look at
//! {data}/stage/side-{n}                    a side file that is being written
//! ```
//!
//! A blob gets its name by one `rename` of a file that is on disk already, so it is there whole or
//! not at all. No file is mapped into memory: a truncated one would kill the process.

mod files;
mod nowait;
mod shards;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use policies::package::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::files::Files;
pub(super) use self::nowait::pread;
use super::{BlobEngine, BlobError, BlobFile, Listed, Mark, Side, off_executor};
use crate::disk::faults::Faults;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Blobs that are open at once; each has one file descriptor.
    pub open_files: usize,
    pub faults: Faults,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self { open_files: 4096, faults: Faults::default() }
    }
}

/// The engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DiskBlobs {
    files: Arc<Files>,
    turns: Arc<Semaphore>,
}

impl DiskBlobs {
    /// Blocks: creates the directories. The blobs are counted in the background.
    pub fn open(data: &Path, options: DiskOptions) -> Result<Self, BlobError> {
        let files = Arc::new(
            Files::open(data, options.faults)
                .map_err(|error| BlobError::io(format!("opening {}", data.display()), &error))?,
        );
        let counted = Arc::clone(&files);
        std::thread::Builder::new()
            .name("blob-count".to_owned())
            .spawn(move || counted.count())
            .map_err(|error| BlobError::io("counting the blobs", &error))?;
        Ok(Self { files, turns: Arc::new(Semaphore::new(options.open_files)) })
    }

    /// Where [`Blobs::open`](super::Blobs::open) is to stage for this engine.
    pub fn stage_dir(data: &Path) -> PathBuf {
        data.join("stage")
    }

    async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        digest: &Digest,
        work: impl FnOnce(&Files, &Digest) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, BlobError> {
        let files = Arc::clone(&self.files);
        let digest = digest.clone();
        off_executor(move || {
            work(&files, &digest)
                .map_err(|error| BlobError::io(format!("{doing} {digest}"), &error))
        })
        .await
    }
}

#[async_trait]
impl BlobEngine for DiskBlobs {
    async fn open(&self, digest: &Digest) -> Result<Option<Arc<dyn BlobFile>>, BlobError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| BlobError::Unavailable("too many blobs are open at once".to_owned()))?;
        let opened = self.run("opening", digest, Files::open_blob).await?;
        Ok(opened.map(|(file, mark)| {
            Arc::new(DiskFile { file: Arc::new(file), mark, _turn: turn }) as Arc<dyn BlobFile>
        }))
    }

    async fn publish(
        &self,
        staged: &Path,
        digest: &Digest,
        sides: &[Side],
    ) -> Result<Mark, BlobError> {
        let (staged, sides) = (staged.to_owned(), sides.to_vec());
        self.run("publishing", digest, move |files, digest| files.publish(&staged, digest, &sides))
            .await
    }

    async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        self.run("deleting", digest, Files::delete).await
    }

    async fn quarantine(&self, digest: &Digest, mark: Mark) -> Result<(), BlobError> {
        self.run("quarantining", digest, move |files, digest| files.quarantine(digest, mark)).await
    }

    async fn list(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<Listed>, BlobError> {
        let files = Arc::clone(&self.files);
        let after = after.cloned();
        off_executor(move || {
            files
                .list(after.as_ref(), limit)
                .map_err(|error| BlobError::io("listing the blobs", &error))
        })
        .await
    }

    async fn put_side(&self, digest: &Digest, side: &Side) -> Result<(), BlobError> {
        let side = side.clone();
        self.run("putting a side file beside", digest, move |files, digest| {
            files.put_sides(digest, std::slice::from_ref(&side))
        })
        .await
    }

    async fn delete_side(&self, digest: &Digest, key: &[u8]) -> Result<(), BlobError> {
        let key = key.to_vec();
        self.run("deleting a side file of", digest, move |files, digest| {
            files.delete_side(digest, &key)
        })
        .await
    }

    async fn release(&self, digest: &Digest, key: &[u8]) -> Result<bool, BlobError> {
        let key = key.to_vec();
        self.run("releasing", digest, move |files, digest| files.release(digest, &key)).await
    }

    async fn sides(&self, digest: &Digest) -> Result<Vec<Side>, BlobError> {
        self.run("reading the side files of", digest, Files::sides).await
    }

    fn total_size(&self) -> Option<u64> {
        self.files.total_size()
    }
}

#[derive(Debug)]
struct DiskFile {
    file: Arc<std::fs::File>,
    mark: Mark,
    _turn: OwnedSemaphorePermit,
}

#[async_trait]
impl BlobFile for DiskFile {
    fn mark(&self) -> Mark {
        self.mark
    }

    async fn read_at(&self, offset: u64, max: usize) -> Result<Bytes, BlobError> {
        pread(&self.file, offset, max)
            .await
            .map_err(|error| BlobError::io("reading a blob", &error))
    }
}
