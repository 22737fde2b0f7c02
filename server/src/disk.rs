//! What both engines must know about a disk: how its errors read, how much room is left, and how
//! a change of a directory becomes durable.
//!
//! [`faults`] is the seam by which a test makes the Nth operation fail; [`space`] keeps the
//! engines away from a full disk. Everything here blocks: callers are on a thread that may.
#![allow(clippy::disallowed_methods, reason = "callers are on a thread that may block")]

pub mod faults;
pub mod space;

use std::fs::File;
use std::io;
use std::path::Path;

use faults::{Faults, Operation};

/// Whether the disk, or this user's share of it, is used up: the caller answers 507, not 503.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes entries that were created, renamed or removed in `directory` durable.
pub fn sync_directory(directory: &Path, faults: &Faults) -> io::Result<()> {
    faults.check(Operation::SyncDirectory)?;
    File::open(directory)?.sync_all()
}

/// Creates `directory` with its parents; every entry that was made is durable afterwards.
pub fn create_directories(directory: &Path, faults: &Faults) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    create_directories(parent, faults)?;
    faults.check(Operation::Create)?;
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(parent, faults)
}
