//! Keeps a reserve of free bytes, so that an engine never meets the end of the disk halfway.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::faults::{Faults, Operation};

/// How long an answer of the file system is believed.
const BELIEVED: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Space {
    directory: PathBuf,
    reserve: u64,
    faults: Faults,
    last: Mutex<Option<(Instant, u64)>>,
}

impl Space {
    pub fn new(directory: PathBuf, reserve: u64, faults: Faults) -> Self {
        Self { directory, reserve, faults, last: Mutex::new(None) }
    }

    /// Fails with [`io::ErrorKind::StorageFull`] when `needed` more bytes would eat into the
    /// reserve. Blocks for one `statvfs` at most.
    pub fn check(&self, needed: u64) -> io::Result<()> {
        self.faults.check(Operation::Space)?;
        let free = self.free()?;
        if free < self.reserve.saturating_add(needed) {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "{} has {free} bytes free and {} are kept in reserve",
                    self.directory.display(),
                    self.reserve
                ),
            ));
        }
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        let mut last = self.last.lock();
        let now = Instant::now();
        if let Some((at, free)) = *last
            && now.duration_since(at) < BELIEVED
        {
            return Ok(free);
        }
        let found = rustix::fs::statvfs(&self.directory)?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        *last = Some((now, free));
        Ok(free)
    }
}
