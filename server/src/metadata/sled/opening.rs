//! Opening the directory: is it free, is it ours, and can it be read?
//!
//! Each no names the path and what to do about it. Nothing is written into a directory that
//! holds something else.
#![allow(clippy::disallowed_methods, reason = "the store is opened where blocking is allowed")]

use std::fs::{File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::super::MetadataError;
use super::super::records::{FORMAT, FORMAT_KEY};
use super::SledOptions;
use crate::disk::faults::Faults;
use crate::disk::{create_directories, sync_directory};

/// Nodes above a quarter of this leave the log for files that sled never syncs.
pub const SEGMENT: usize = 2 * 1024 * 1024;
/// A tree of its own, and its key.
const TICKS: &str = "ticks";
const CHANGES_OF_A_PAGE: usize = 10;
const LOCK: &str = "lock";
const NEW: &str = "new";
const RETRY: Duration = Duration::from_millis(50);

/// Why a store could not be opened, by what a person does next.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the metadata store {} is in use by another process; stop that one first, or give this \
         one another data directory with --data",
        directory.display()
    )]
    Held { directory: PathBuf },
    #[error(
        "{} does not hold a metadata store of garth ({found}); give garth a directory of its own \
         with --data",
        directory.display()
    )]
    Foreign { directory: PathBuf, found: String },
    #[error(
        "the metadata store {} was written by another version of garth ({found}, this one writes \
         {}); start that version",
        directory.display(),
        FORMAT.escape_ascii()
    )]
    OtherVersion { directory: PathBuf, found: String },
    #[error(
        "the metadata store {} is damaged and can not be opened ({cause}); run `garth check \
         --rebuild`, which puts it aside and makes a new one from what lies beside the blobs",
        directory.display()
    )]
    Damaged { directory: PathBuf, cause: String },
    #[error("the metadata store {} can not be opened: {error}", directory.display())]
    Io { directory: PathBuf, error: io::Error },
}

impl From<OpenError> for MetadataError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The open engine. Fields are let go in their order: the lock last.
pub struct Store {
    pub db: ::sled::Db,
    /// Holds one key, for [`Store::tidy`].
    ticks: ::sled::Tree,
    /// The second handle, whose fsync makes what sled wrote durable.
    pub log: File,
    pub directory: PathBuf,
    /// Held for writing while a batch is applied.
    pub applying: RwLock<()>,
    _lock: File,
}

impl Store {
    pub fn open(directory: &Path, options: &SledOptions) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Io { directory: directory.to_owned(), error };
        refuse_foreign(directory)?;
        create_directories(directory, &options.faults).map_err(failed)?;
        let until = Instant::now() + options.patience;
        let lock = lock(directory, until)?;
        let is_new = begin(directory, &options.faults).map_err(failed)?;
        clear_half_written_snapshots(directory).map_err(failed)?;
        let db = open_sled(directory, options, until)?;
        let ticks = db.open_tree(TICKS).map_err(|error| opening_error(directory, error))?;
        let log =
            OpenOptions::new().read(true).write(true).open(directory.join("db")).map_err(failed)?;
        let store = Self {
            db,
            ticks,
            log,
            directory: directory.to_owned(),
            applying: RwLock::new(()),
            _lock: lock,
        };
        store.claim(is_new, &options.faults)?;
        Ok(store)
    }

    /// Has so many pages moved out of segments of the log that are half empty, so that those can be written
    /// again: else the log keeps nearly all that was ever written. sled moves one such page whenever it
    /// writes a page anew, which it does for a page that was changed ten times; it has no other way to ask
    /// for it but a thread of its own, which would move more than is synced in between.
    pub fn tidy(&self, pages: usize) -> ::sled::Result<()> {
        for n in 0..pages * CHANGES_OF_A_PAGE {
            // The same value again would be no change.
            self.ticks.insert(TICKS, &[u8::from(n % 2 == 0)])?;
        }
        Ok(())
    }

    /// Sees that the store is ours, or makes a new one ours, durably.
    fn claim(&self, is_new: bool, faults: &Faults) -> Result<(), OpenError> {
        let directory = || self.directory.clone();
        let io = |error| OpenError::Io { directory: self.directory.clone(), error };
        let sled = |error: ::sled::Error| opening_error(&self.directory, error);
        match self.db.get(FORMAT_KEY).map_err(sled)? {
            Some(found) if found == FORMAT => return Ok(()),
            Some(found) => {
                let found = found.escape_ascii().to_string();
                return Err(OpenError::OtherVersion { directory: directory(), found });
            }
            None if is_new => {}
            // Where it can read nothing of its log, sled begins a new one without a word.
            None if self.db.is_empty() => {
                let cause = "nothing of its log can be read".to_owned();
                return Err(OpenError::Damaged { directory: directory(), cause });
            }
            None => {
                let found = "a sled database without garth's mark".to_owned();
                return Err(OpenError::Foreign { directory: directory(), found });
            }
        }
        self.db.insert(FORMAT_KEY, FORMAT).map_err(sled)?;
        self.db.flush().map_err(sled)?;
        self.log.sync_all().map_err(io)?;
        File::open(self.directory.join("conf")).and_then(|conf| conf.sync_all()).map_err(io)?;
        sync_directory(&self.directory, faults).map_err(io)?;
        std::fs::remove_file(self.directory.join(NEW)).map_err(io)?;
        sync_directory(&self.directory, faults).map_err(io)
    }
}

/// Whether the store is yet to be made. What a crash left of the making is cleared away: nothing
/// was acknowledged in it.
fn begin(directory: &Path, faults: &Faults) -> io::Result<bool> {
    let mark = directory.join(NEW);
    if mark.exists() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                std::fs::remove_dir_all(path)?;
            } else if path != mark && path != directory.join(LOCK) {
                std::fs::remove_file(path)?;
            }
        }
        return Ok(true);
    }
    if directory.join("db").exists() {
        return Ok(false);
    }
    File::create(&mark)?.sync_all()?;
    sync_directory(directory, faults)?;
    Ok(true)
}

/// sled writes a snapshot under another name and renames it when it is whole, but takes what it
/// finds under that other name for a snapshot too: a kill in between, at an open or a close, left a
/// store that could not be opened. The one before is there until the new one has its name.
fn clear_half_written_snapshots(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::info!(file = %name, "removed a snapshot that a crash left half written");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A directory with entries that neither we nor sled made is somebody else's.
fn refuse_foreign(directory: &Path) -> Result<(), OpenError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::Io { directory: directory.to_owned(), error }),
    };
    for entry in entries {
        let entry =
            entry.map_err(|error| OpenError::Io { directory: directory.to_owned(), error })?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours =
            matches!(&*name, LOCK | NEW | "conf" | "db" | "blobs") || name.starts_with("snap.");
        if !ours {
            return Err(OpenError::Foreign {
                directory: directory.to_owned(),
                found: format!("there is {}", name.escape_debug()),
            });
        }
    }
    Ok(())
}

/// A supervisor starts the next process before the last one is quite gone, so this waits a while.
fn lock(directory: &Path, until: Instant) -> Result<File, OpenError> {
    let failed = |error| OpenError::Io { directory: directory.to_owned(), error };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK))
        .map_err(failed)?;
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(failed(error.into())),
        }
        if Instant::now() >= until {
            return Err(OpenError::Held { directory: directory.to_owned() });
        }
        std::thread::sleep(RETRY);
    }
}

fn open_sled(
    directory: &Path,
    options: &SledOptions,
    until: Instant,
) -> Result<::sled::Db, OpenError> {
    let config = ::sled::Config::new()
        .path(directory)
        .cache_capacity(options.cache_bytes)
        .segment_size(SEGMENT)
        // The committer flushes; a flush of sled's own would only cost.
        .flush_every_ms(None);
    loop {
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(db),
            // The directory is ours, so this lock is a remnant of the last owner: a thread of sled's
            // own that has not ended, or a program that was being started and has not run yet, which
            // inherits what is open until then.
            Ok(Err(error)) if is_locked(&error) && Instant::now() < until => {
                std::thread::sleep(RETRY);
            }
            Ok(Err(error)) if is_locked(&error) => {
                return Err(OpenError::Held { directory: directory.to_owned() });
            }
            Ok(Err(error)) => return Err(opening_error(directory, error)),
            Err(panic) => {
                let cause = panic_message(panic.as_ref());
                return Err(OpenError::Damaged { directory: directory.to_owned(), cause });
            }
        }
    }
}

/// sled tells that its own lock is taken by its words alone.
fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}

fn opening_error(directory: &Path, error: ::sled::Error) -> OpenError {
    let directory = directory.to_owned();
    match error {
        ::sled::Error::Io(error) => OpenError::Io { directory, error },
        other => OpenError::Damaged { directory, cause: other.to_string() },
    }
}

/// What a panic said, in one line.
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    text.lines().collect::<Vec<_>>().join(" ")
}
