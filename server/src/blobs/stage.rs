//! Where bytes arrive: written and hashed off the executor, readable by others meanwhile.
//!
//! A writer hands in pieces and waits only when the disk falls behind. Followers read what is
//! written already through the same open file, so they read on when the stage became a blob, or
//! its name went away. Dropping a stage that did not become a blob removes it.

mod follow;
mod hashes;
mod whole;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use policies::package::{Algorithm, Digest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

pub use self::follow::StageReader;
pub(super) use self::hashes::Hashes;
use super::{BlobError, off_executor};
use crate::disk::faults::{Faults, Operation};
use crate::disk::space::Space;

/// Bytes that may wait for the disk before the writer does.
const PENDING: usize = 512 * 1024;
/// Stages that are open at once; each has one file descriptor.
pub const AT_ONCE: usize = 512;
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a stage is. `written` bytes can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageProgress {
    pub written: u64,
    pub state: StageState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageState {
    /// More may come; the last byte must not leave yet.
    Running,
    /// Complete, and the bytes are the promised ones.
    Verified,
    /// It is a blob now.
    Published,
    /// These bytes must not be used.
    Failed(String),
}

/// What the bytes of a finished stage hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    pub sha256: Digest,
    pub others: Vec<Digest>,
    pub len: u64,
}

impl Digests {
    /// The digest by that algorithm, if it was asked for.
    pub fn by(&self, algorithm: Algorithm) -> Option<&Digest> {
        std::iter::once(&self.sha256)
            .chain(&self.others)
            .find(|digest| digest.algorithm() == algorithm)
    }
}

/// The directory of all stages.
pub struct Stages {
    directory: PathBuf,
    space: Space,
    faults: Faults,
    turns: Arc<Semaphore>,
}

impl Stages {
    /// Creates the directory and removes what is in it.
    #[allow(clippy::disallowed_methods, reason = "called where blocking is allowed")]
    pub fn open(directory: PathBuf, space: Space, faults: Faults) -> Result<Self, BlobError> {
        let failed = |error| BlobError::io(format!("opening {}", directory.display()), &error);
        crate::disk::create_directories(&directory, &faults).map_err(failed)?;
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(BlobError::io(format!("removing {}", path.display()), &error));
                }
                _ => {}
            }
        }
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { directory, space, faults, turns })
    }

    pub async fn create(self: &Arc<Self>, also: &[Algorithm]) -> Result<Stage, BlobError> {
        let turn = self.turn().await?;
        let (stages, path) = (Arc::clone(self), self.next_path());
        let (file, on_disk, turn) = off_executor(move || {
            let file =
                stages.create_file(&path, 0).map_err(|error| BlobError::io("staging", &error))?;
            // With the file, since whoever waits for it may leave before it is made.
            Ok((file, OnDisk { path: Some(path), stages }, turn))
        })
        .await?;
        let file = Arc::new(file);
        let progress =
            Arc::new(watch::Sender::new(StageProgress { written: 0, state: StageState::Running }));
        let pending = Arc::new(Mutex::new(Pending::default()));
        let writer = Writer {
            pending: Arc::clone(&pending),
            file: Arc::clone(&file),
            hashes: Hashes::new(also),
            written: 0,
            stages: Arc::clone(self),
            progress: Arc::clone(&progress),
        };
        Ok(Stage {
            pending,
            writer: WriterState::Idle(Box::new(writer)),
            digests: None,
            on_disk,
            file,
            progress,
            _turn: turn,
        })
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, BlobError> {
        tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned())
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or_else(|| BlobError::Unavailable("too many transfers at once".to_owned()))
    }

    /// No two in a process are called the same, so that what is removed late is no other one.
    fn next_path(&self) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.directory.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string())
    }

    #[allow(clippy::disallowed_methods, reason = "runs off the executor")]
    fn create_file(&self, path: &Path, length: u64) -> io::Result<File> {
        self.space.check(length)?;
        self.faults.check(Operation::Create)?;
        File::options().read(true).write(true).create_new(true).open(path)
    }
}

pub struct Stage {
    pending: Arc<Mutex<Pending>>,
    writer: WriterState,
    digests: Option<Digests>,
    on_disk: OnDisk,
    file: Arc<File>,
    progress: Arc<watch::Sender<StageProgress>>,
    _turn: OwnedSemaphorePermit,
}

/// What waits for the disk.
#[derive(Default)]
struct Pending {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// A thread is writing and will look here again before it ends.
    attended: bool,
}

enum WriterState {
    Idle(Box<Writer>),
    Busy(JoinHandle<Result<Box<Writer>, BlobError>>),
    Failed(BlobError),
}

impl Stage {
    /// Takes the next bytes; waits only while the disk is behind by more than half a megabyte.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), BlobError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.digests = None;
        let (attended, full) = {
            let mut pending = self.pending.lock();
            pending.bytes += piece.len();
            pending.pieces.push(piece);
            (pending.attended, pending.bytes >= PENDING)
        };
        if !attended || full {
            self.settle_writer().await?;
            self.start_writer();
        }
        Ok(())
    }

    /// Waits until all is written, and says what the bytes hash to. They are not durable yet, and
    /// followers still hold their last byte back: see [`Stage::verified`].
    pub async fn finish(&mut self) -> Result<Digests, BlobError> {
        if let Some(digests) = &self.digests {
            return Ok(digests.clone());
        }
        self.settle_writer().await?;
        self.start_writer();
        self.settle_writer().await?;
        let WriterState::Idle(writer) = &self.writer else {
            return Err(BlobError::Unavailable("the stage has no writer".to_owned()));
        };
        let digests = writer.hashes.digests(writer.written);
        self.digests = Some(digests.clone());
        Ok(digests)
    }

    /// The caller compared the digests with what was promised: followers may have the last byte.
    pub fn verified(&self) {
        self.set_state(StageState::Verified);
    }

    /// These bytes are not to be used; followers end with an error.
    pub fn fail(&self, cause: impl Into<String>) {
        self.set_state(StageState::Failed(cause.into()));
    }

    pub fn subscribe(&self) -> watch::Receiver<StageProgress> {
        self.progress.subscribe()
    }

    /// Somebody who reads what is written so far, and what comes.
    pub fn follower(&self) -> StageReader {
        StageReader::new(Arc::clone(&self.file), self.progress.subscribe())
    }

    /// What is written so far, for a thread that may block.
    pub fn open(&self) -> StagedFile {
        StagedFile { file: Arc::clone(&self.file), offset: 0 }
    }

    /// The path of the complete file, whose bytes are `expected` and on disk.
    pub(super) async fn make_durable(&mut self, expected: &Digest) -> Result<PathBuf, BlobError> {
        let digests = self.finish().await?;
        if digests.sha256 != *expected {
            return Err(BlobError::Damaged {
                digest: expected.clone(),
                cause: format!("what arrived is {}", digests.sha256),
            });
        }
        let file = Arc::clone(&self.file);
        let stages = Arc::clone(&self.on_disk.stages);
        off_executor(move || {
            stages
                .faults
                .check(Operation::SyncFile)
                .and_then(|()| file.sync_data())
                .map_err(|error| BlobError::io("syncing a staged file", &error))
        })
        .await?;
        self.on_disk
            .path
            .clone()
            .ok_or_else(|| BlobError::Unavailable("the stage was published already".to_owned()))
    }

    /// Notes how publishing went.
    pub(super) fn settle(&mut self, published: &Result<(), BlobError>) {
        match published {
            Ok(()) => {
                // The name belongs to the blob now.
                self.on_disk.path = None;
                self.set_state(StageState::Published);
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// The first end counts: a follower that was told that the bytes are sound is not told else.
    fn set_state(&self, state: StageState) {
        self.progress.send_if_modified(|progress| {
            let open = progress.state == StageState::Running;
            let on = progress.state == StageState::Verified && state == StageState::Published;
            if open || on {
                progress.state = state;
            }
            open || on
        });
    }

    /// Afterwards the writer is idle, or this failed.
    async fn settle_writer(&mut self) -> Result<(), BlobError> {
        if let WriterState::Busy(job) = &mut self.writer {
            self.writer = match job.await {
                Ok(Ok(writer)) => WriterState::Idle(writer),
                Ok(Err(error)) => WriterState::Failed(error),
                Err(panic) => WriterState::Failed(BlobError::Unavailable(panic.to_string())),
            };
        }
        match &self.writer {
            WriterState::Failed(error) => {
                self.fail(error.to_string());
                Err(error.clone())
            }
            _ => Ok(()),
        }
    }

    /// Sets an idle writer to work, if there is any.
    fn start_writer(&mut self) {
        {
            let mut pending = self.pending.lock();
            if pending.pieces.is_empty() {
                return;
            }
            pending.attended = true;
        }
        let nobody = WriterState::Failed(BlobError::Unavailable("no writer".to_owned()));
        self.writer = match std::mem::replace(&mut self.writer, nobody) {
            WriterState::Idle(writer) => {
                WriterState::Busy(tokio::task::spawn_blocking(move || writer.run()))
            }
            other => other,
        };
    }
}

/// A staged file from its beginning; reading it blocks.
#[derive(Debug)]
pub struct StagedFile {
    file: Arc<File>,
    offset: u64,
}

impl io::Read for StagedFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(out, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("path", &self.on_disk.path).finish_non_exhaustive()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.fail("the transfer was given up");
    }
}

/// The half that lives on a blocking thread while there is something to write.
struct Writer {
    pending: Arc<Mutex<Pending>>,
    file: Arc<File>,
    hashes: Hashes,
    written: u64,
    stages: Arc<Stages>,
    progress: Arc<watch::Sender<StageProgress>>,
}

impl Writer {
    /// Writes until nothing is pending.
    fn run(mut self: Box<Self>) -> Result<Box<Self>, BlobError> {
        loop {
            let pieces = {
                let mut pending = self.pending.lock();
                pending.bytes = 0;
                pending.attended = !pending.pieces.is_empty();
                if !pending.attended {
                    break;
                }
                std::mem::take(&mut pending.pieces)
            };
            if let Err(error) = self.append(&pieces) {
                self.pending.lock().attended = false;
                return Err(BlobError::io("staging", &error));
            }
        }
        Ok(self)
    }

    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        self.stages.space.check(pieces.iter().map(|piece| piece.len() as u64).sum())?;
        for piece in pieces {
            self.stages.faults.check(Operation::Write)?;
            (&*self.file).write_all(piece)?;
            self.hashes.update(piece);
            self.written += piece.len() as u64;
            self.progress.send_modify(|progress| progress.written = self.written);
        }
        Ok(())
    }
}

/// The file's name, removed when it is not needed any more.
struct OnDisk {
    path: Option<PathBuf>,
    stages: Arc<Stages>,
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else { return };
        let faults = self.stages.faults.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn_blocking(move || remove(&path, &faults));
            }
            Err(_) => remove(&path, &faults),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "runs off the executor")]
fn remove(path: &Path, faults: &Faults) {
    let removed = faults.check(Operation::Remove).and_then(|()| std::fs::remove_file(path));
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        // The next start empties the stage.
        tracing::warn!(path = %path.display(), %error, "a staged file could not be removed");
    }
}

impl io::Seek for StagedFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            io::SeekFrom::Start(offset) => (offset, 0),
            io::SeekFrom::Current(offset) => (self.offset, offset),
            io::SeekFrom::End(offset) => (self.file.metadata()?.len(), offset),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "before the beginning");
        self.offset = base.checked_add_signed(offset).ok_or_else(before)?;
        Ok(self.offset)
    }
}
