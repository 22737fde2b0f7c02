//! The index as bytes, and back: so that it need not be made of every record at each start.
//!
//! It is the index's own text, an [`Outline`] of it, and for each package how long its name and its
//! entries are:
//!
//! ```text
//! {length of the name: u16} {length of the entries: u32}    little-endian, in the order of the text
//! ```
//!
//! Whoever keeps the bytes sees that they come back as they were. What is checked here is that the
//! index can be searched at all; its entries are believed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Index, Place};
use crate::package::Ecosystem;

/// Changes whenever the bytes mean something else: entries, their order, or what is left out of them.
pub const FORMAT: u32 = 1;
const PLACE: usize = 6;

/// What has to be known of the bytes to take them for an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outline {
    /// Names what was gathered.
    pub revision: String,
    pub advisories: usize,
    pub packages: usize,
    /// Bytes of the text.
    pub text: usize,
    /// The last withdrawal that had taken place when it was made.
    pub since: Option<Timestamp>,
    /// The first one that had not.
    pub until: Option<Timestamp>,
}

/// Bytes that are no index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpackable {
    #[error("its lengths do not fit its bytes")]
    Lengths,
    #[error("its packages are not in their order")]
    Order,
}

impl Outline {
    /// Bytes of all places together; `None` where nothing could hold as many.
    pub fn places(&self) -> Option<usize> {
        self.packages.checked_mul(PLACE)
    }

    /// Whether the same would be withdrawn if it were made now.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= now) && self.until.is_none_or(|until| now < until)
    }
}

impl Index {
    pub fn outline(&self) -> Outline {
        Outline {
            revision: self.revision.to_string(),
            advisories: self.advisories,
            packages: self.places.len(),
            text: self.text.len(),
            since: self.since,
            until: self.until,
        }
    }

    pub fn packed_text(&self) -> &[u8] {
        &self.text
    }

    pub fn packed_places(&self) -> impl Iterator<Item = [u8; PLACE]> {
        self.places.iter().map(|place| {
            let mut packed = [0; PLACE];
            packed[..2].copy_from_slice(&place.name.to_le_bytes());
            packed[2..].copy_from_slice(&place.entries.to_le_bytes());
            packed
        })
    }

    /// The index that was packed. `known` as in [`super::Builder::finish`].
    pub fn unpack(
        outline: &Outline,
        places: &[u8],
        text: Box<[u8]>,
        known: &[Ecosystem],
    ) -> Result<Self, Unpackable> {
        let (packed, rest) = places.as_chunks::<PLACE>();
        if packed.len() != outline.packages || !rest.is_empty() || text.len() != outline.text {
            return Err(Unpackable::Lengths);
        }
        let mut start = 0;
        let mut before: &[u8] = &[];
        let mut found = Vec::with_capacity(packed.len());
        for [n0, n1, e0, e1, e2, e3] in packed {
            let name = u16::from_le_bytes([*n0, *n1]);
            let entries = u32::from_le_bytes([*e0, *e1, *e2, *e3]);
            let end = start + usize::from(name) + entries as usize;
            let of_package = text.get(start..end).ok_or(Unpackable::Lengths)?;
            let (named, entries_of) = of_package.split_at(usize::from(name));
            if !entries_of.starts_with(b"[") || !entries_of.ends_with(b"]") {
                return Err(Unpackable::Lengths);
            }
            if named <= before {
                return Err(Unpackable::Order);
            }
            before = named;
            found.push(Place { start, name, entries });
            start = end;
        }
        if start != text.len() {
            return Err(Unpackable::Lengths);
        }
        Ok(Self {
            places: found.into_boxed_slice(),
            text,
            revision: outline.revision.as_str().into(),
            advisories: outline.advisories,
            ecosystems: super::sorted(known),
            since: outline.since,
            until: outline.until,
        })
    }
}

#[cfg(test)]
mod tests;
