//! Where the text of a version stands, and how to get at it.

use std::ops::Range;

use bytes::Bytes;

use super::fields::span;
use crate::pull::PullError;
use crate::pull::original::{Original, Part};

/// Some text of the document.
#[derive(Clone, Debug)]
pub enum Raw {
    /// In one of the upstream's texts.
    At(Part, u64, u32),
    /// Not as the upstream wrote it.
    Changed(Box<[u8]>),
}

impl Raw {
    /// `part` must be a slice of `whole`, which is a newest document.
    pub fn of(whole: &str, part: &str) -> Result<Self, String> {
        let length = u32::try_from(part.len()).map_err(|_| "it has more than 4 GB".to_owned())?;
        Ok(Self::At(Part::Newest, span(whole, part).start as u64, length))
    }

    pub fn len(&self) -> usize {
        match self {
            Self::At(_, _, length) => *length as usize,
            Self::Changed(text) => text.len(),
        }
    }

    /// In memory, besides the document's text.
    pub fn weight(&self) -> usize {
        match self {
            Self::At(..) => 0,
            Self::Changed(text) => text.len(),
        }
    }

    /// The same of a document that is retained from now on.
    pub fn retained(self) -> Self {
        match self {
            Self::At(_, start, length) => Self::At(Part::Retained, start, length),
            changed @ Self::Changed(_) => changed,
        }
    }

    /// Its text. Blocks where that is not in memory.
    pub fn read(&self, original: &Original) -> Result<Bytes, PullError> {
        match self {
            Self::At(part, ..) => original.read(*part, self.range()),
            Self::Changed(text) => Ok(Bytes::copy_from_slice(text)),
        }
    }

    fn range(&self) -> Range<usize> {
        match self {
            Self::At(_, start, length) => {
                let start = usize::try_from(*start).unwrap_or(usize::MAX);
                start..start.saturating_add(*length as usize)
            }
            Self::Changed(text) => 0..text.len(),
        }
    }
}

/// The texts of neighbours, read at once.
#[derive(Debug)]
pub struct Window<'a> {
    original: &'a Original,
    start: usize,
    text: Bytes,
}

impl<'a> Window<'a> {
    pub fn over<'r>(
        original: &'a Original,
        raws: impl Iterator<Item = &'r Raw>,
    ) -> Result<Self, PullError> {
        let newest = raws.filter(|raw| matches!(raw, Raw::At(Part::Newest, ..))).map(Raw::range);
        let whole = newest.reduce(|all, one| all.start.min(one.start)..all.end.max(one.end));
        let whole = whole.filter(|_| !original.is_held()).unwrap_or_default();
        let start = whole.start;
        let text =
            if whole.is_empty() { Bytes::new() } else { original.read(Part::Newest, whole)? };
        Ok(Self { original, start, text })
    }

    pub fn read(&self, raw: &Raw) -> Result<Bytes, PullError> {
        let range = raw.range();
        let is_inside = matches!(raw, Raw::At(Part::Newest, ..))
            && range.start >= self.start
            && range.end <= self.start + self.text.len();
        if is_inside {
            return Ok(self.text.slice(range.start - self.start..range.end - self.start));
        }
        raw.read(self.original)
    }
}
