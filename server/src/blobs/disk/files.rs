//! The engine's work on files. Everything here blocks.
#![allow(clippy::disallowed_methods, reason = "runs off the executor")]

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use policies::package::{Algorithm, Digest};

use super::super::side::MAX_SIDE;
use super::super::{Listed, Mark, Side};
use super::shards::{Locked, Shards};
use crate::disk::faults::{Faults, Operation};
use crate::disk::{create_directories, sync_directory};

#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    quarantine: PathBuf,
    stage: PathBuf,
    shards: Shards,
    faults: Faults,
    next: AtomicU64,
}

impl Files {
    pub fn open(data: &Path, faults: Faults) -> io::Result<Self> {
        let root = data.join("blobs").join("sha256");
        let (quarantine, stage) = (data.join("quarantine"), super::DiskBlobs::stage_dir(data));
        for directory in [&root, &quarantine, &stage] {
            create_directories(directory, &faults)?;
        }
        let files = Self {
            root,
            quarantine,
            stage,
            shards: Shards::new(),
            faults,
            next: AtomicU64::new(0),
        };
        files.create_shards()?;
        Ok(files)
    }

    /// All at once, so that a later blob makes only its own entry durable.
    fn create_shards(&self) -> io::Result<()> {
        let missing: Vec<PathBuf> = (0..=u8::MAX)
            .map(|shard| self.shard_path(shard))
            .filter(|path| !path.is_dir())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        for path in &missing {
            self.faults.check(Operation::Create)?;
            std::fs::create_dir(path)?;
        }
        sync_directory(&self.root, &self.faults)
    }

    pub fn open_blob(&self, digest: &Digest) -> io::Result<Option<(File, Mark)>> {
        let Some(file) = found(File::open(self.path(digest)))? else { return Ok(None) };
        let mark = mark(&file.metadata()?);
        Ok(Some((file, mark)))
    }

    pub fn publish(&self, staged: &Path, digest: &Digest, sides: &[Side]) -> io::Result<Mark> {
        let sides = self.write_sides(digest, sides)?;
        let path = self.path(digest);
        let new = std::fs::metadata(staged)?;
        {
            let mut shard = self.shards.lock(first(digest));
            let old = found(std::fs::metadata(&path))?.map_or(0, |old| old.len());
            self.faults.check(Operation::Rename)?;
            std::fs::rename(staged, &path)?;
            shard.replace(old, new.len());
            self.name_sides(sides)?;
        }
        sync_directory(&self.shard_path(first(digest)), &self.faults)?;
        Ok(mark(&new))
    }

    pub fn put_sides(&self, digest: &Digest, sides: &[Side]) -> io::Result<()> {
        let sides = self.write_sides(digest, sides)?;
        {
            let _shard = self.shards.lock(first(digest));
            let known = self.path(digest).exists() || self.quarantine.join(digest.hex()).exists();
            if !known {
                discard(&sides);
                return Err(io::Error::new(io::ErrorKind::NotFound, "the blob is not there"));
            }
            self.name_sides(sides)?;
        }
        sync_directory(&self.shard_path(first(digest)), &self.faults)
    }

    pub fn delete(&self, digest: &Digest) -> io::Result<()> {
        let mut shard = self.shards.lock(first(digest));
        // Side files first: one without its blob is only litter, never a wrong answer.
        for path in self.side_paths(digest)? {
            self.remove(&path)?;
        }
        self.remove_blob(digest, &mut shard)
    }

    pub fn release(&self, digest: &Digest, key: &[u8]) -> io::Result<bool> {
        let mut shard = self.shards.lock(first(digest));
        self.remove(&self.side_path(digest, key))?;
        let last = self.side_paths(digest)?.is_empty();
        if last {
            self.remove_blob(digest, &mut shard)?;
        }
        Ok(last)
    }

    fn remove_blob(&self, digest: &Digest, shard: &mut Locked<'_>) -> io::Result<()> {
        let path = self.path(digest);
        if let Some(old) = found(std::fs::metadata(&path))? {
            self.remove(&path)?;
            shard.replace(old.len(), 0);
        }
        Ok(())
    }

    pub fn quarantine(&self, digest: &Digest, found_damaged: Mark) -> io::Result<()> {
        let path = self.path(digest);
        {
            let mut shard = self.shards.lock(first(digest));
            let Some(old) = found(std::fs::metadata(&path))? else { return Ok(()) };
            // Truncating keeps the inode; a file that replaced the damaged one has another.
            if old.ino() != found_damaged.generation[0] {
                return Ok(());
            }
            self.faults.check(Operation::Rename)?;
            std::fs::rename(&path, self.quarantine.join(digest.hex()))?;
            shard.replace(old.len(), 0);
        }
        sync_directory(&self.quarantine, &self.faults)?;
        sync_directory(&self.shard_path(first(digest)), &self.faults)
    }

    pub fn list(&self, after: Option<&Digest>, limit: usize) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for shard in after.map_or(0, first)..=u8::MAX {
            let mut blobs = self.blobs_of(shard)?;
            blobs.retain(|blob| after.is_none_or(|after| blob.digest > *after));
            blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
            blobs.truncate(limit - listed.len());
            listed.append(&mut blobs);
            if listed.len() == limit {
                break;
            }
        }
        Ok(listed)
    }

    pub fn delete_side(&self, digest: &Digest, key: &[u8]) -> io::Result<()> {
        self.remove(&self.side_path(digest, key))
    }

    pub fn sides(&self, digest: &Digest) -> io::Result<Vec<Side>> {
        let mut sides = Vec::new();
        for path in self.side_paths(digest)? {
            let Some(file) = found(File::open(&path))? else { continue };
            let mut bytes = Vec::new();
            file.take(MAX_SIDE as u64 + 1).read_to_end(&mut bytes)?;
            let Some(side) = Side::decode(&bytes) else {
                tracing::error!(path = %path.display(), "a side file is damaged");
                continue;
            };
            sides.push(side);
        }
        Ok(sides)
    }

    pub fn total_size(&self) -> Option<u64> {
        self.shards.total()
    }

    /// Counts every shard once; changes meanwhile are counted by who makes them.
    pub fn count(&self) {
        for shard in 0..=u8::MAX {
            let mut counted = self.shards.lock(shard);
            match self.blobs_of(shard) {
                Ok(blobs) => counted.count(blobs.iter().map(|blob| blob.len).sum()),
                Err(error) => tracing::warn!(%error, shard, "the blobs could not be counted"),
            }
        }
    }

    fn blobs_of(&self, shard: u8) -> io::Result<Vec<Listed>> {
        let mut blobs = Vec::new();
        for entry in std::fs::read_dir(self.shard_path(shard))? {
            let entry = entry?;
            let name = entry.file_name();
            let hex = format!("{shard:02x}{}", name.to_string_lossy());
            let Ok(digest) = Digest::from_hex(Algorithm::Sha256, &hex) else { continue };
            // It may have been taken away meanwhile.
            if let Some(metadata) = found(entry.metadata())? {
                blobs.push(Listed { digest, len: metadata.len() });
            }
        }
        Ok(blobs)
    }

    /// Durable under names of their own, with the names that they shall have.
    fn write_sides(&self, digest: &Digest, sides: &[Side]) -> io::Result<Vec<(PathBuf, PathBuf)>> {
        sides
            .iter()
            .map(|side| {
                let n = self.next.fetch_add(1, Ordering::Relaxed);
                let staged = self.stage.join(format!("side-{n}"));
                let encoded = side.encode().ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidInput, "the record is too large")
                })?;
                let written = self.write_durably(&staged, &encoded);
                if let Err(error) = written {
                    let _left_for_the_next_start = std::fs::remove_file(&staged);
                    return Err(error);
                }
                Ok((staged, self.side_path(digest, &side.key)))
            })
            .collect()
    }

    fn write_durably(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.faults.check(Operation::Create)?;
        let mut file = File::create(path)?;
        self.faults.check(Operation::Write)?;
        file.write_all(bytes)?;
        self.faults.check(Operation::SyncFile)?;
        file.sync_data()
    }

    fn name_sides(&self, sides: Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
        for (staged, path) in sides {
            self.faults.check(Operation::Rename)?;
            std::fs::rename(staged, path)?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.check(Operation::Remove)?;
        found(std::fs::remove_file(path)).map(|_| ())
    }

    fn side_paths(&self, digest: &Digest) -> io::Result<Vec<PathBuf>> {
        let prefix = format!("{}.", &digest.hex()[2..]);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(self.shard_path(first(digest)))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&prefix) && name.ends_with(".side") {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn shard_path(&self, shard: u8) -> PathBuf {
        self.root.join(format!("{shard:02x}"))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.shard_path(first(digest)).join(&digest.hex()[2..])
    }

    fn side_path(&self, digest: &Digest, key: &[u8]) -> PathBuf {
        let name = format!("{}.{}.side", &digest.hex()[2..], Side::name_of(key));
        self.shard_path(first(digest)).join(name)
    }
}

/// Side files that get no name after all. What is left is gone after the next start.
fn discard(sides: &[(PathBuf, PathBuf)]) {
    for (staged, _) in sides {
        let _left = std::fs::remove_file(staged);
    }
}

/// The shard of a blob. A digest is never empty.
fn first(digest: &Digest) -> u8 {
    digest.bytes()[0]
}

fn mark(metadata: &Metadata) -> Mark {
    let seconds = metadata.mtime().wrapping_mul(1_000_000_000);
    let changed = seconds.wrapping_add(metadata.mtime_nsec()).cast_unsigned();
    Mark { len: metadata.len(), generation: [metadata.ino(), changed] }
}

/// Absence is an answer, not an error.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
