//! Keeps a reserve of free bytes, so that an engine never meets the end of the disk halfway.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::faults::{Faults, Operation};

/// How long an answer of the file system is believed.
const BELIEVED: Duration = Duration::from_millis(100);
/// On a file system smaller than this a reserve shrinks in proportion,
const ROOMY: u64 = 4 << 30;
/// but not below this part of itself: an engine's files grow in steps.
const SMALLEST_PART: u64 = 8;

#[derive(Debug)]
pub struct Space {
    directory: PathBuf,
    reserve: u64,
    faults: Faults,
    last: Mutex<Option<(Instant, Room)>>,
}

#[derive(Clone, Copy, Debug)]
struct Room {
    free: u64,
    size: u64,
}

impl Space {
    pub fn new(directory: PathBuf, reserve: u64, faults: Faults) -> Self {
        Self { directory, reserve, faults, last: Mutex::new(None) }
    }

    /// Fails with [`io::ErrorKind::StorageFull`] when `needed` more bytes would eat into the
    /// reserve. Blocks for one `statvfs` at most.
    pub fn check(&self, needed: u64) -> io::Result<()> {
        self.faults.check(Operation::Space)?;
        let mut last = self.last.lock();
        let Room { free, size } = self.room(&mut last)?;
        let reserve = scaled(self.reserve, size);
        if free < reserve.saturating_add(needed) {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "{} has {free} bytes free and {reserve} are kept in reserve",
                    self.directory.display(),
                ),
            ));
        }
        // A fast download fills much of a small disk while an answer is believed.
        if let Some((_, room)) = &mut *last {
            room.free -= needed;
        }
        Ok(())
    }

    fn room(&self, last: &mut Option<(Instant, Room)>) -> io::Result<Room> {
        let now = Instant::now();
        if let Some((at, room)) = *last
            && now.duration_since(at) < BELIEVED
        {
            return Ok(room);
        }
        let found = rustix::fs::statvfs(&self.directory)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let room = Room { free: bytes(found.f_bavail), size: bytes(found.f_blocks) };
        *last = Some((now, room));
        Ok(room)
    }
}

/// What of `reserve` is kept free on a file system of `size` bytes, so that a small one is of use.
fn scaled(reserve: u64, size: u64) -> u64 {
    let share = u128::from(reserve) * u128::from(size.min(ROOMY)) / u128::from(ROOMY);
    u64::try_from(share).unwrap_or(reserve).max(reserve / SMALLEST_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_has_a_smaller_reserve_but_never_none() {
        const MIB: u64 = 1 << 20;
        for (name, reserve, size, expected) in [
            ("a usual disk", 256 * MIB, 100 << 30, 256 * MIB),
            ("just large enough", 256 * MIB, ROOMY, 256 * MIB),
            ("half of that", 256 * MIB, 2 << 30, 128 * MIB),
            ("a tiny one", 256 * MIB, 128 * MIB, 32 * MIB),
            ("a tiny one's metadata", 64 * MIB, 128 * MIB, 8 * MIB),
            ("more than any disk has", u64::MAX / 2, u64::MAX, u64::MAX / 2),
            ("none", 0, 1 << 30, 0),
        ] {
            assert_eq!(scaled(reserve, size), expected, "{name}");
        }
    }
}
