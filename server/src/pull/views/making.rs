//! From what the gate let through to a finished answer.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::pieces::{Pieces, TextName};
use super::{Answer, Bound, Encoding, Sections, View, ViewKey};
use crate::gate::{Refused, Screened};
use crate::pull::PullError;

/// A shorter text is sent as it is: with the head around it, it is one packet in any case.
const SMALL: u64 = 1024;

/// Where one view is made.
#[derive(Debug)]
pub struct Bindery {
    pub(super) key: ViewKey,
    /// Of the document.
    pub(super) size: usize,
    /// What was answered until now, to this and to the twin.
    pub(super) before: [Option<Answer>; 2],
    pub(super) pieces: Pieces,
}

impl Bindery {
    /// Nothing may be shown.
    pub fn refuse(self, screened: &Screened, refused: Refused) -> Bound {
        Bound { until: screened.until(), answer: Answer::Refused(Arc::new(refused)) }
    }

    /// The view of what the gate let through. A notice is one line for the client.
    pub fn bind(
        self,
        screened: &Screened,
        notice: Option<String>,
        sections: &dyn Sections,
    ) -> Result<Bound, PullError> {
        let recipe = self.recipe(sections)?;
        let effect = screened.effect();
        let view = if let Some(before) = self.same(recipe) {
            View {
                body: before.body.clone(),
                encoding: before.encoding,
                notice,
                etag: before.etag.clone(),
                recipe,
                effect,
            }
        } else {
            let Packed { body, encoding, crc, length } = self.pack(sections)?;
            let etag = etag(&recipe, crc, length, encoding);
            View { body, encoding, notice, etag, recipe, effect }
        };
        Ok(Bound { until: screened.until(), answer: Answer::View(Arc::new(view)) })
    }

    /// What was answered until now, where its text was this.
    pub(super) fn same(&self, recipe: [u8; 32]) -> Option<&View> {
        self.before.iter().flatten().find_map(|before| match before {
            Answer::View(before) if before.recipe == recipe => Some(before.as_ref()),
            _ => None,
        })
    }

    /// Where this is the same, the text is.
    pub(super) fn recipe(&self, sections: &dyn Sections) -> Result<[u8; 32], PullError> {
        let mut hash = Sha256::new();
        let mut add = |kind: u8, part: &[u8]| {
            hash.update([kind]);
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        };
        add(0, self.key.content.text().as_bytes());
        add(0, self.key.form.as_bytes());
        add(0, self.key.base.as_bytes());
        let mut text = Vec::new();
        for section in 0..sections.count() {
            if let Some(key) = sections.key(section) {
                add(1, &key);
            } else {
                text.clear();
                sections.write(section, &mut text)?;
                add(2, &text);
            }
        }
        Ok(hash.finalize().into())
    }

    pub(super) fn pack(&self, sections: &dyn Sections) -> Result<Packed, PullError> {
        let coding = self.key.coding;
        if coding.encoding == Encoding::Gzip {
            let ViewKey { content, form, base, .. } = self.key.clone();
            let name = TextName { content: content.text(), form, base };
            let member = self.pieces.pack(&name, self.size, sections)?;
            if member.length >= SMALL || !coding.plain {
                let (crc, length) = (member.crc, member.length);
                let body = member.body.into();
                return Ok(Packed { body, encoding: Encoding::Gzip, crc, length });
            }
        }
        let mut text = Vec::new();
        sections.write_all(&mut text)?;
        let (crc, length) = (crc32fast::hash(&text), text.len() as u64);
        let is_small = coding.plain && length < SMALL;
        let encoding = if is_small { Encoding::Identity } else { coding.encoding };
        let body = match encoding {
            Encoding::Zstd => zstd(&text),
            Encoding::Brotli => brotli(&text),
            Encoding::Identity | Encoding::Gzip => {
                text.shrink_to_fit();
                text
            }
        };
        Ok(Packed { body: body.into(), encoding, crc, length })
    }
}

pub(super) struct Packed {
    pub(super) body: Bytes,
    encoding: Encoding,
    /// Of the text.
    crc: u32,
    length: u64,
}

/// The recipe says what the text is made from, and the checksum what this garth makes of it:
/// another one may make another text of the same document.
fn etag(recipe: &[u8; 32], crc: u32, length: u64, encoding: Encoding) -> Bytes {
    let mut hash = Sha256::new();
    hash.update(recipe);
    hash.update(crc.to_be_bytes());
    hash.update(length.to_be_bytes());
    let hash = hex::encode(&hash.finalize()[..16]);
    format!("\"{hash}{}\"", encoding.suffix()).into()
}

/// As quick as the levels below it, on metadata.
const ZSTD_LEVEL: i32 = 3;

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(text, ZSTD_LEVEL).expect("zstd takes any text")
}

/// Above this level brotli takes several times as long, for no fewer bytes of metadata.
const BROTLI_LEVEL: i32 = 4;

fn brotli(text: &[u8]) -> Vec<u8> {
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_LEVEL,
        lgwin: 20,
        size_hint: text.len(),
        ..Default::default()
    };
    let mut packed = Vec::with_capacity(text.len() / 8);
    brotli::BrotliCompress(&mut &text[..], &mut packed, &parameters)
        .expect("writing to a Vec does not fail");
    packed
}
