//! The body of a publish, read as it arrives.
//!
//! ```text
//! u32 (little-endian): length of the JSON │ JSON │ u32: length of the crate │ crate │ end
//! ```
//!
//! The JSON is bounded and kept. The crate goes from the connection into the stage, and is never in
//! memory as a whole. A length is believed only as far as bytes follow: what ends before it and what
//! goes on behind it is refused alike.

use actix_web::error::PayloadError;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};

use crate::blobs::{BlobError, Blobs, Digests, Stage};

/// The JSON carries a readme beside what is kept of it.
const JSON_AT_MOST: u32 = 2 << 20;

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("{0}")]
    Malformed(String),
    /// The client's transfer ended early; the edge knows why.
    #[error("the body broke off")]
    Broken,
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// A body that is read from its beginning to its end.
#[derive(Debug)]
pub struct Frame<S> {
    body: S,
    /// What arrived and was not read yet.
    rest: Bytes,
}

/// A crate as it was sent.
#[derive(Debug)]
pub struct SentCrate {
    pub stage: Stage,
    pub digests: Digests,
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Frame<S> {
    pub fn new(body: S) -> Self {
        Self { body, rest: Bytes::new() }
    }

    pub async fn json(&mut self) -> Result<Bytes, FrameError> {
        let length = self.length("its JSON").await?;
        if length > JSON_AT_MOST {
            return Err(FrameError::Malformed(format!(
                "its JSON has {length} bytes, and more than {JSON_AT_MOST} are not taken; the readme is part of it"
            )));
        }
        let mut left = length as usize;
        // Memory follows what arrives, not what is announced.
        let mut json = BytesMut::new();
        while left > 0 {
            let piece = self.piece(left).await?.ok_or_else(|| ends_early("its JSON"))?;
            left -= piece.len();
            json.extend_from_slice(&piece);
        }
        Ok(json.freeze())
    }

    /// The crate, which is the rest of the body.
    pub async fn archive(&mut self, blobs: &Blobs) -> Result<SentCrate, FrameError> {
        let mut left = self.length("the crate").await? as usize;
        let mut stage = blobs.stage(&[]).await?;
        while left > 0 {
            let piece = self.piece(left).await?.ok_or_else(|| ends_early("the crate"))?;
            left -= piece.len();
            stage.write(piece).await?;
        }
        if self.piece(1).await?.is_some() {
            return Err(FrameError::Malformed(
                "the body goes on behind the crate, whose length it says".to_owned(),
            ));
        }
        let digests = stage.finish().await?;
        Ok(SentCrate { stage, digests })
    }

    /// Whoever is still sending would not hear the answer.
    pub async fn drain(&mut self) {
        while let Some(Ok(_)) = self.body.next().await {}
    }

    async fn length(&mut self, of: &str) -> Result<u32, FrameError> {
        let mut length = BytesMut::with_capacity(4);
        while length.len() < 4 {
            let piece = self.piece(4 - length.len()).await?.ok_or_else(|| ends_early(of))?;
            length.extend_from_slice(&piece);
        }
        Ok(length.get_u32_le())
    }

    /// Up to so many of the next bytes; `None` at the end.
    async fn piece(&mut self, most: usize) -> Result<Option<Bytes>, FrameError> {
        while self.rest.is_empty() {
            match self.body.next().await {
                None => return Ok(None),
                Some(Err(_)) => return Err(FrameError::Broken),
                Some(Ok(piece)) => self.rest = piece,
            }
        }
        Ok(Some(self.rest.split_to(most.min(self.rest.len()))))
    }
}

fn ends_early(of: &str) -> FrameError {
    FrameError::Malformed(format!(
        "the body ends before {of} does: it is no publish of cargo, which sends the length of the JSON, the JSON, the length of the crate and the crate"
    ))
}

#[cfg(test)]
mod tests;
