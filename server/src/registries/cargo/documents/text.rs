//! Whole lines, as the upstream wrote them.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use policies::package::Version;

use super::{Entry, IndexFile};
use crate::pull::PullError;
use crate::pull::views::{SectionKey, Sections};

/// The view of an index file. It is one section: the files are short, and which lines are in it says
/// what its text is.
#[derive(Debug)]
pub struct IndexText<'a> {
    file: &'a IndexFile,
    /// Places in the file's entries, in its order.
    shown: Vec<usize>,
}

impl<'a> IndexText<'a> {
    pub fn new(file: &'a IndexFile, shown: Vec<usize>) -> Self {
        Self { file, shown }
    }
}

impl Sections for IndexText<'_> {
    fn count(&self) -> usize {
        1
    }

    fn key(&self, _: usize) -> Option<SectionKey> {
        let mut bits = vec![0_u8; self.file.entries.len().div_ceil(8)];
        for place in &self.shown {
            if let Some(byte) = bits.get_mut(place / 8) {
                *byte |= 1 << (place % 8);
            }
        }
        Some(bits.into())
    }

    fn write(&self, _: usize, out: &mut Vec<u8>) -> Result<(), PullError> {
        let original = self.file.original.hold()?;
        for entry in self.shown.iter().filter_map(|place| self.file.entries.get(*place)) {
            out.extend_from_slice(&original.read(entry.part, entry.line.clone())?);
            out.push(b'\n');
        }
        Ok(())
    }
}

impl IndexFile {
    /// The line of a version, without its end. Blocking.
    pub fn line(&self, version: &Version) -> Result<Option<Bytes>, PullError> {
        let entry = self.entry(version);
        entry.map(|entry| self.original.read(entry.part, entry.line.clone())).transpose()
    }
}

/// A file of these versions alone.
pub fn retained(file: &IndexFile, versions: &HashSet<Version>) -> Result<Bytes, PullError> {
    let original = file.original.hold()?;
    let mut text = BytesMut::new();
    let is_retained = |entry: &&Entry| versions.contains(&entry.version);
    for entry in file.entries.iter().filter(is_retained) {
        text.extend_from_slice(&original.read(entry.part, entry.line.clone())?);
        text.extend_from_slice(b"\n");
    }
    Ok(text.freeze())
}
