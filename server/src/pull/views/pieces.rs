//! Gzip, put together from pieces that are kept.
//!
//! ```text
//! gzip header │ piece │ piece │ … │ empty last block │ crc32, length
//! ```
//!
//! One gzip member, as every client reads it. A piece holds the packed text of one section and
//! ends at a byte's border. It may refer back to the text of the section before it, so pieces pack
//! as well as the whole does, and it is kept under the keys of both: a version that comes or goes
//! costs its own piece and the one behind it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::sections::{SectionKey, Sections};
use crate::pull::PullError;
use crate::pull::content::TextId;

/// Whose sections: no two documents, forms or addresses share them. Twins do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TextName {
    pub(super) content: TextId,
    pub(super) form: Cow<'static, str>,
    pub(super) base: Arc<str>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PieceKey {
    of: TextName,
    /// The section that the text refers back to.
    before: Option<SectionKey>,
    section: SectionKey,
}

#[derive(Clone, Debug)]
struct Piece {
    packed: Bytes,
    crc: u32,
    /// Of the text.
    length: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Pieces(Cache<PieceKey, Piece>);

/// How far deflate refers back.
const WINDOW: usize = 32 << 10;
/// No flags, no date, an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A last block without anything in it.
const END: [u8; 2] = [3, 0];
/// A document below this is packed as a whole: to keep its pieces costs more than they save.
const WORTH_KEEPING: usize = 128 << 10;
/// A larger document is packed with less effort: half the time, and a fifth more bytes.
const LARGE: usize = 512 << 10;

impl Pieces {
    pub(super) fn new(memory: u64) -> Self {
        let weigh = |key: &PieceKey, piece: &Piece| {
            let keys = key.section.len() + key.before.as_ref().map_or(0, |before| before.len());
            u32::try_from(piece.packed.len() + keys + 256).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().weigher(weigh).max_capacity(memory);
        Self(kept.eviction_policy(EvictionPolicy::lru()).build())
    }

    /// How many are kept, and their packed bytes.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        let packed: Vec<usize> = self.0.iter().map(|(_, piece)| piece.packed.len()).collect();
        (packed.len(), packed.iter().sum())
    }

    /// `size` is that of the document.
    pub(super) fn pack(
        &self,
        of: &TextName,
        size: usize,
        sections: &dyn Sections,
    ) -> Result<Member, PullError> {
        let key = |section: usize| sections.key(section).filter(|_| size >= WORTH_KEEPING);
        let mut member = Member::begin();
        let mut packer = Packer::new(size);
        // The kept section before this one, and its text once that is needed.
        let mut before: Option<(usize, SectionKey)> = None;
        let (mut text, mut text_before) = (Vec::new(), Written::default());
        let mut next = 0;
        while next < sections.count() {
            let section = next;
            next += 1;
            let piece_key = key(section).map(|key| PieceKey {
                of: of.clone(),
                before: before.as_ref().map(|(_, key)| key.clone()),
                section: key,
            });
            if let Some(piece) = piece_key.as_ref().and_then(|key| self.0.get(key)) {
                member.add(&piece);
                if piece.length > 0 {
                    before = piece_key.map(|key| (section, key.section));
                }
                continue;
            }
            text.clear();
            sections.write(section, &mut text)?;
            // What is not kept goes together.
            while piece_key.is_none() && next < sections.count() && key(next).is_none() {
                sections.write(next, &mut text)?;
                next += 1;
            }
            let dictionary = match &before {
                Some((place, _)) => Some(text_before.of(sections, *place)?),
                None => None,
            };
            let piece = packer.pack(&text, dictionary.unwrap_or_default());
            member.add(&piece);
            match piece_key {
                Some(key) => {
                    if !text.is_empty() {
                        before = Some((section, key.section.clone()));
                        text_before.keep(section, &mut text);
                    }
                    self.0.insert(key, piece);
                }
                None if !text.is_empty() => before = None,
                None => {}
            }
        }
        Ok(member.end())
    }
}

/// The text of a section that the next one refers back to.
#[derive(Debug, Default)]
struct Written {
    section: Option<usize>,
    text: Vec<u8>,
}

impl Written {
    fn keep(&mut self, section: usize, text: &mut Vec<u8>) {
        self.section = Some(section);
        std::mem::swap(&mut self.text, text);
    }

    /// As much of its end as can be referred to.
    fn of(&mut self, sections: &dyn Sections, section: usize) -> Result<&[u8], PullError> {
        if self.section != Some(section) {
            self.text.clear();
            self.section = None;
            sections.write(section, &mut self.text)?;
            self.section = Some(section);
        }
        Ok(&self.text[self.text.len().saturating_sub(WINDOW)..])
    }
}

/// A finished body, and what tells its text from others.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) body: Vec<u8>,
    pub(super) crc: u32,
    /// Of the text.
    pub(super) length: u64,
}

impl Member {
    fn begin() -> Self {
        Self { body: HEADER.to_vec(), crc: 0, length: 0 }
    }

    fn add(&mut self, piece: &Piece) {
        self.body.extend_from_slice(&piece.packed);
        let mut crc = Hasher::new_with_initial_len(self.crc, self.length);
        crc.combine(&Hasher::new_with_initial_len(piece.crc, piece.length));
        self.crc = crc.finalize();
        self.length += piece.length;
    }

    fn end(mut self) -> Self {
        self.body.extend_from_slice(&END);
        self.body.extend_from_slice(&self.crc.to_le_bytes());
        // Modulo 2^32, as the format has it.
        #[allow(clippy::cast_possible_truncation, reason = "see above")]
        self.body.extend_from_slice(&(self.length as u32).to_le_bytes());
        self
    }
}

/// Made when the first piece has to be, because its tables are large.
struct Packer {
    level: Compression,
    deflate: Option<Compress>,
}

impl Packer {
    fn new(size: usize) -> Self {
        Self { level: Compression::new(if size >= LARGE { 2 } else { 6 }), deflate: None }
    }

    fn pack(&mut self, text: &[u8], dictionary: &[u8]) -> Piece {
        let mut packed = Vec::new();
        if !text.is_empty() {
            match &mut self.deflate {
                Some(deflate) => deflate.reset(),
                None => self.deflate = Some(Compress::new(self.level, false)),
            }
            if let Some(deflate) = &mut self.deflate {
                flush(deflate, text, dictionary, &mut packed);
            }
        }
        let crc = crc32fast::hash(text);
        packed.shrink_to_fit();
        Piece { packed: packed.into(), crc, length: text.len() as u64 }
    }
}

/// All of the text, up to a byte's border.
fn flush(deflate: &mut Compress, text: &[u8], dictionary: &[u8], packed: &mut Vec<u8>) {
    // Neither fails on a stream of its own that was just begun.
    if !dictionary.is_empty() {
        deflate.set_dictionary(dictionary).expect("a raw stream takes a dictionary at its begin");
    }
    packed.reserve(text.len() / 4 + 64);
    let mut taken = 0;
    loop {
        let before = deflate.total_in();
        deflate
            .compress_vec(&text[taken..], packed, FlushCompress::Sync)
            .expect("deflate takes any text");
        // As much as a slice is long.
        taken += usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
        if taken == text.len() && packed.len() < packed.capacity() {
            return;
        }
        packed.reserve(text.len() / 4 + 64);
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").field("level", &self.level).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
