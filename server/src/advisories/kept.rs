//! The index kept as a file, so that a start need not read every record.
//!
//! ```text
//! {data}/advisories.index
//!   garth advisories {format}\n
//!   {outline, as JSON}\n          revision and lengths
//!   places, text                  as the index packs them
//!   sha256 of all that            32 bytes
//! ```
//!
//! The records are what counts. The file is taken only where it is whole, of this format and of the
//! revision in force; else the index is made of the records, and the file anew.
#![allow(clippy::disallowed_methods, reason = "runs on a blocking thread")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use policies::advisories::Index;
use policies::advisories::packed::{FORMAT, Outline};
use policies::package::Ecosystem;
use sha2::{Digest as _, Sha256};

use crate::disk::faults::Faults;
use crate::disk::space::Space;
use crate::disk::sync_directory;
use crate::metadata::records::AdvisoriesRecord;

const FILE: &str = "advisories.index";
const MAX_LINE: u64 = 4096;
const PIECE: usize = 1 << 20;
const DIGEST: usize = 32;
/// Free bytes that are left to what can not be made again.
const RESERVE: u64 = 128 << 20;

/// Why there is no index to be had from it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("there is none")]
    Missing,
    /// Sound, and of another time or another garth.
    #[error("{0}")]
    Outdated(String),
    #[error("{0}")]
    Damaged(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Unusable {
    fn damaged(cause: &(impl ToString + ?Sized)) -> Self {
        Self::Damaged(cause.to_string())
    }

    pub fn differs() -> Self {
        Self::damaged("it is not what the records say")
    }
}

pub fn path_in(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// The index that `state` says is in force. Without `now` it may be one of another day.
pub fn read(
    data: &Path,
    state: &AdvisoriesRecord,
    now: Option<Timestamp>,
) -> Result<Index, Unusable> {
    let file = match File::open(path_in(data)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unusable::Missing),
        opened => opened?,
    };
    let length = file.metadata()?.len();
    let mut file = Hashing { inner: BufReader::with_capacity(PIECE, file), hash: Sha256::new() };
    let first = file.line()?;
    let format = first.strip_prefix(b"garth advisories ".as_slice());
    let Some(format) = format else { return Err(Unusable::damaged("it begins otherwise")) };
    if format != FORMAT.to_string().as_bytes() {
        return Err(Unusable::Outdated("another version of garth wrote it".to_owned()));
    }
    let outline = file.line()?;
    let outline: Outline =
        serde_json::from_slice(&outline).map_err(|fault| Unusable::damaged(&fault))?;
    // Before anything is read: nobody needs all of another revision.
    if outline.revision != state.revision {
        return Err(Unusable::Outdated(format!("it is of the revision {:?}", outline.revision)));
    }
    if now.is_some_and(|now| !outline.holds_at(now)) {
        return Err(Unusable::Outdated("an advisory is withdrawn since".to_owned()));
    }
    let places = outline.places().filter(|places| {
        let all = places.checked_add(outline.text).and_then(|all| all.checked_add(DIGEST));
        all.is_some_and(|all| u64::try_from(all).is_ok_and(|all| all < length))
    });
    let Some(places) = places else { return Err(Unusable::damaged("it is cut off")) };
    let (places, text) = (file.take(places)?, file.take(outline.text)?);
    let expected = file.hash.finalize();
    let mut rest = Vec::with_capacity(DIGEST);
    file.inner.take(DIGEST as u64 + 1).read_to_end(&mut rest)?;
    if rest != expected.as_slice() {
        return Err(Unusable::damaged("its bytes are not those that were written"));
    }
    Index::unpack(&outline, &places, text, &known(state)).map_err(|fault| Unusable::damaged(&fault))
}

/// Those of which more than single records are known.
pub fn known(state: &AdvisoriesRecord) -> Vec<Ecosystem> {
    state.sources.values().flat_map(|source| source.ecosystems.iter().copied()).collect()
}

/// It is there whole, or as it was before. What a crash leaves is overwritten the next time.
pub fn write(data: &Path, index: &Index) -> io::Result<()> {
    let bytes = u64::try_from(index.bytes()).unwrap_or(u64::MAX);
    Space::new(data.to_owned(), RESERVE, Faults::default()).check(bytes)?;
    let stage = data.join(format!(".{FILE}.new"));
    let written = write_staged(&stage, index).and_then(|()| std::fs::rename(&stage, path_in(data)));
    if written.is_err() {
        // It may not even be there.
        let _ = std::fs::remove_file(&stage);
    }
    written?;
    sync_directory(data, &Faults::default())
}

fn write_staged(stage: &Path, index: &Index) -> io::Result<()> {
    let file = BufWriter::with_capacity(PIECE, File::create(stage)?);
    let mut file = Hashing { inner: file, hash: Sha256::new() };
    let outline = serde_json::to_string(&index.outline())?;
    file.put(format!("garth advisories {FORMAT}\n{outline}\n").as_bytes())?;
    for place in index.packed_places() {
        file.put(&place)?;
    }
    for piece in index.packed_text().chunks(PIECE) {
        file.put(piece)?;
    }
    let Hashing { mut inner, hash } = file;
    inner.write_all(&hash.finalize())?;
    inner.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The next start makes it of the records.
pub fn remove(data: &Path) -> io::Result<()> {
    match std::fs::remove_file(path_in(data)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(data, &Faults::default()),
    }
}

fn cut_off(error: io::Error) -> Unusable {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Unusable::damaged("it is cut off"),
        _ => error.into(),
    }
}

/// What passes through it, hashed.
struct Hashing<I> {
    inner: I,
    hash: Sha256,
}

impl Hashing<BufReader<File>> {
    /// Without its end.
    fn line(&mut self) -> Result<Vec<u8>, Unusable> {
        let mut line = Vec::new();
        (&mut self.inner).take(MAX_LINE).read_until(b'\n', &mut line)?;
        self.hash.update(&line);
        match line.pop() {
            Some(b'\n') => Ok(line),
            _ => Err(Unusable::damaged("it has no head")),
        }
    }

    fn take(&mut self, length: usize) -> Result<Box<[u8]>, Unusable> {
        let mut taken = vec![0; length];
        for piece in taken.chunks_mut(PIECE) {
            self.inner.read_exact(piece).map_err(cut_off)?;
            self.hash.update(piece);
        }
        Ok(taken.into_boxed_slice())
    }
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.inner.write_all(bytes)
    }
}

#[cfg(test)]
mod tests;
