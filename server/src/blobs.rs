//! Bytes by their sha256: where they are kept, and that they are still what they were.
//!
//! An engine keeps blobs ([`disk`]); [`Blobs`] stands above every engine, so no engine can switch
//! a check off: it verifies a blob whenever it is read whole for the first time, never serves a
//! damaged one to its end, and quarantines it. A blob becomes visible only by [`Blobs::put`] of a
//! staged file whose digest was checked. Beside a blob lie its *side files*: one for each metadata
//! record that refers to it, from which `garth check --rebuild` makes those records again.
//!
//! ```text
//! {data}/blobs/...        what the engine keeps; see [`disk`]
//! {data}/stage/{n}        arriving; emptied at every start
//! ```

#[cfg(test)]
pub(crate) mod conformance;
pub mod disk;
pub mod reader;
pub mod scrub;
pub mod side;
pub mod stage;
mod verify;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use policies::package::{Algorithm, Digest};

use crate::disk::faults::Faults;
use crate::disk::space::Space;

pub use self::reader::BlobReader;
pub use self::side::Side;
pub use self::stage::{Digests, Stage, StageProgress, StageReader, StageState, StagedFile};
use self::verify::Verified;

/// By what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Nothing was kept; answer 507.
    #[error("the blob store is full: {0}")]
    Full(String),
    /// Answer 503.
    #[error("the blob store is unavailable: {0}")]
    Unavailable(String),
    /// These bytes are not what their name says: break the transfer, fetch them again.
    #[error("the blob {digest} is damaged: {cause}")]
    Damaged { digest: Digest, cause: String },
    /// The caller asked for at most so much in memory.
    #[error("the blob has {len} bytes, more than {limit}")]
    TooLarge { len: u64, limit: u64 },
}

impl BlobError {
    /// What an I/O error means, said with what was being done.
    pub(crate) fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        let text = format!("{doing}: {error}");
        if crate::disk::is_full(error) { Self::Full(text) } else { Self::Unavailable(text) }
    }
}

/// What a check of a blob holds for: the same mark means that nobody replaced or rewrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    pub len: u64,
    /// The engine's own: a file's inode and time of change, an object's generation.
    pub generation: [u64; 2],
}

/// One blob, open. It stays readable while it is held, whatever happens to its name.
#[async_trait]
pub trait BlobFile: Send + Sync + fmt::Debug {
    fn mark(&self) -> Mark;

    /// Between 1 and `max` bytes from `offset` on; empty only at the end of the file.
    async fn read_at(&self, offset: u64, max: usize) -> Result<Bytes, BlobError>;
}

/// A blob as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub digest: Digest,
    pub len: u64,
}

/// Where blobs are kept. Digests given to an engine are sha256; [`Blobs`] sees to that.
#[async_trait]
pub trait BlobEngine: Send + Sync + fmt::Debug {
    /// `None` where there is no such blob; an I/O error is never a miss.
    async fn open(&self, digest: &Digest) -> Result<Option<Arc<dyn BlobFile>>, BlobError>;

    /// Makes the complete file at `staged` the blob `digest`, durably and at once, and gives its
    /// mark; `sides` become durable with it. A blob that is already there is replaced, since it
    /// may be damaged. When this fails the staged file may still be there.
    async fn publish(
        &self,
        staged: &Path,
        digest: &Digest,
        sides: &[Side],
    ) -> Result<Mark, BlobError>;

    /// Takes the blob and its side files away. Absent is not an error.
    async fn delete(&self, digest: &Digest) -> Result<(), BlobError>;

    /// Takes a blob out of sight but keeps its bytes and its side files, if it still is the one
    /// with that mark.
    async fn quarantine(&self, digest: &Digest, mark: Mark) -> Result<(), BlobError>;

    /// At most `limit` blobs in the order of their digests, beginning behind `after`.
    async fn list(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<Listed>, BlobError>;

    /// Durable when it returns; replaces the side file of the same record. Fails where the blob is
    /// not there: it may have gone since the caller looked.
    async fn put_side(&self, digest: &Digest, side: &Side) -> Result<(), BlobError>;

    /// Absent is not an error.
    async fn delete_side(&self, digest: &Digest, key: &[u8]) -> Result<(), BlobError>;

    /// Takes the side file of that record away, and the blob with it if it was the last one:
    /// in one step, so that whoever publishes the blob anew meanwhile keeps it. Gives whether the
    /// blob went.
    async fn release(&self, digest: &Digest, key: &[u8]) -> Result<bool, BlobError>;

    /// The side files of one blob, damaged ones left out.
    async fn sides(&self, digest: &Digest) -> Result<Vec<Side>, BlobError>;

    /// Bytes of all blobs; `None` until the engine has counted.
    fn total_size(&self) -> Option<u64>;
}

/// Hears of damage, besides the log.
pub trait BlobAlarm: Send + Sync {
    fn damaged(&self, digest: &Digest, cause: &str);
}

impl<F: Fn(&Digest, &str) + Send + Sync> BlobAlarm for F {
    fn damaged(&self, digest: &Digest, cause: &str) {
        self(digest, cause);
    }
}

#[derive(Clone, Debug)]
pub struct BlobsOptions {
    /// Free bytes on the disk below which nothing new is staged; fewer on a disk of less than
    /// 4 GiB. More than the metadata store keeps, so that downloads can not stop its commits.
    pub reserve_bytes: u64,
    /// How many checked blobs are remembered as sound.
    pub verified: u64,
    pub faults: Faults,
}

impl Default for BlobsOptions {
    fn default() -> Self {
        Self { reserve_bytes: 256 * 1024 * 1024, verified: 200_000, faults: Faults::default() }
    }
}

/// The blobs of this garden, above whichever engine keeps them.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    engine: Arc<dyn BlobEngine>,
    stages: Arc<stage::Stages>,
    verified: Verified,
    alarm: Arc<dyn BlobAlarm>,
}

impl Blobs {
    /// Blocks: creates `stage_dir`, which lies on the engine's file system, and empties it of
    /// what a crash left.
    pub fn open(
        engine: Arc<dyn BlobEngine>,
        stage_dir: PathBuf,
        alarm: Arc<dyn BlobAlarm>,
        options: BlobsOptions,
    ) -> Result<Self, BlobError> {
        let space = Space::new(stage_dir.clone(), options.reserve_bytes, options.faults.clone());
        let stages = stage::Stages::open(stage_dir, space, options.faults)?;
        let verified = Verified::new(options.verified);
        Ok(Self(Arc::new(Inner { engine, stages: Arc::new(stages), verified, alarm })))
    }

    /// `None`: not there, or found damaged just now and put into quarantine.
    pub async fn get(&self, digest: &Digest) -> Result<Option<BlobReader>, BlobError> {
        self.get_sized(digest, None).await
    }

    /// Like [`get`](Self::get), for a caller whose record says how long the blob is: damage to the
    /// length shows before the first byte is sent. `None` also where the blob is sound and the
    /// record is wrong, which is in the log; both are mended by fetching again.
    pub async fn get_sized(
        &self,
        digest: &Digest,
        len: Option<u64>,
    ) -> Result<Option<BlobReader>, BlobError> {
        check_name(digest)?;
        match self.0.engine.open(digest).await? {
            None => Ok(None),
            Some(file) => BlobReader::open(self.clone(), digest.clone(), file, len).await,
        }
    }

    /// A place for bytes that arrive. They are hashed by sha256 and by `also`.
    pub async fn stage(&self, also: &[Algorithm]) -> Result<Stage, BlobError> {
        self.0.stages.create(also).await
    }

    /// Makes a finished stage the blob `expected`: durable when this returns.
    pub async fn put(&self, staged: Stage, expected: &Digest) -> Result<(), BlobError> {
        self.put_with_sides(staged, expected, &[]).await
    }

    /// Like [`put`](Self::put), with the side files of the records that will refer to it, which
    /// costs less than one [`put_side`](Self::put_side) each.
    pub async fn put_with_sides(
        &self,
        mut staged: Stage,
        expected: &Digest,
        sides: &[Side],
    ) -> Result<(), BlobError> {
        check_name(expected)?;
        let published = async {
            let path = staged.make_durable(expected).await?;
            let mark = self.0.engine.publish(&path, expected, sides).await?;
            self.0.verified.insert(expected, mark);
            Ok(())
        }
        .await;
        staged.settle(&published);
        published
    }

    /// Complete bytes, durable when this returns, with the side files that `sides` gives for their
    /// name: a stage for what need not be read while it arrives, and cheaper.
    pub async fn put_bytes(
        &self,
        bytes: Bytes,
        sides: impl FnOnce(&Digest) -> Vec<Side>,
    ) -> Result<Digest, BlobError> {
        let staged = self.0.stages.write_whole(bytes).await?;
        let gone = || BlobError::Unavailable("the stage has no file".to_owned());
        let path = staged.path().ok_or_else(gone)?;
        let digest = staged.digest.clone();
        let mark = self.0.engine.publish(path, &digest, &sides(&digest)).await?;
        self.0.verified.insert(&digest, mark);
        staged.published();
        Ok(digest)
    }

    /// Remembers beside the blob that the record `key` with this value refers to it.
    pub async fn put_side(
        &self,
        digest: &Digest,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), BlobError> {
        check_name(digest)?;
        self.0.engine.put_side(digest, &Side::new(key, value)).await
    }

    pub async fn delete_side(&self, digest: &Digest, key: &[u8]) -> Result<(), BlobError> {
        check_name(digest)?;
        self.0.engine.delete_side(digest, key).await
    }

    /// The record `key` refers to the blob no more. A blob that no record refers to goes away;
    /// readers that are open read on.
    pub async fn release(&self, digest: &Digest, key: &[u8]) -> Result<bool, BlobError> {
        check_name(digest)?;
        self.0.engine.release(digest, key).await
    }

    pub async fn sides(&self, digest: &Digest) -> Result<Vec<Side>, BlobError> {
        check_name(digest)?;
        self.0.engine.sides(digest).await
    }

    /// Takes the blob and its side files away; readers that are open read on.
    pub async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        check_name(digest)?;
        self.0.engine.delete(digest).await
    }

    /// At most `limit` blobs in the order of their digests, beginning behind `after`.
    pub async fn list(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Listed>, BlobError> {
        self.0.engine.list(after, limit).await
    }

    /// Bytes of all blobs; `None` until they are counted after the start.
    pub fn total_size(&self) -> Option<u64> {
        self.0.engine.total_size()
    }

    /// Takes a damaged blob out of sight and tells everybody.
    async fn condemn(&self, digest: &Digest, mark: Mark, cause: &str) {
        self.0.verified.forget(digest);
        let quarantined = self.0.engine.quarantine(digest, mark).await;
        tracing::error!(%digest, cause, ?quarantined, "a stored blob is damaged");
        self.0.alarm.damaged(digest, cause);
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blobs").field("engine", &self.0.engine).finish_non_exhaustive()
    }
}

/// Reads the whole blob and compares it with its name. `false`: it is not there.
pub async fn verify_blob(engine: &dyn BlobEngine, digest: &Digest) -> Result<bool, BlobError> {
    match engine.open(digest).await? {
        None => Ok(false),
        Some(file) => verify::hash_whole(digest, &file, None).await.map(|()| true),
    }
}

/// Blobs have sha256 names; whoever asks by another digest has mixed something up.
fn check_name(digest: &Digest) -> Result<(), BlobError> {
    if digest.algorithm() == Algorithm::Sha256 {
        return Ok(());
    }
    Err(BlobError::Unavailable(format!("{digest} can not name a blob: blobs go by sha256")))
}

/// Runs what blocks where it may block.
async fn off_executor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => Err(BlobError::Unavailable(panic.to_string())),
    }
}

#[cfg(test)]
mod tests;
