//! The bytes that a document was read from: in memory, or read again where they are needed.
//!
//! What a document means takes much less memory than its text. So of a large one the meaning is kept
//! longer, and what of the text a view takes anew is read from the store.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use policies::package::Digest;
use tokio::runtime::Handle;

use super::PullError;
use super::store::Saved;
use crate::blobs::{BlobError, Blobs};

/// Which of its two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Newest,
    /// Of the versions that the upstream took away.
    Retained,
}

#[derive(Clone, Debug)]
pub enum Original {
    Held { newest: Bytes, retained: Bytes },
    Stored(Box<Stored>),
}

/// Where the texts lie.
#[derive(Clone, Debug)]
pub struct Stored {
    blobs: Blobs,
    runtime: Handle,
    newest: (Digest, u64),
    retained: Option<(Digest, u64)>,
}

impl Stored {
    pub fn new(blobs: Blobs, runtime: Handle, saved: &Saved) -> Self {
        let newest = (saved.record.blob.clone(), saved.record.size);
        let retained = saved.retained.as_ref().map(|record| (record.blob.clone(), record.size));
        Self { blobs, runtime, newest, retained }
    }

    /// [`PullError::Outdated`] where it is gone or damaged.
    async fn read(&self, part: Part, range: Range<usize>) -> Result<Bytes, PullError> {
        let (digest, size) = match (part, &self.retained) {
            (Part::Newest, _) => &self.newest,
            (Part::Retained, Some(retained)) => retained,
            (Part::Retained, None) => return Err(PullError::Outdated),
        };
        let reader = self.blobs.get_sized(digest, Some(*size)).await?;
        let reader = reader.ok_or(PullError::Outdated)?;
        let wanted = range.len();
        let mut pieces = std::pin::pin!(reader.stream(range.start as u64..range.end as u64));
        let mut read = BytesMut::with_capacity(wanted);
        while let Some(piece) = pieces.next().await {
            match piece {
                Err(BlobError::Damaged { .. }) => return Err(PullError::Outdated),
                piece => read.extend_from_slice(&piece?),
            }
        }
        if read.len() == wanted { Ok(read.freeze()) } else { Err(PullError::Outdated) }
    }
}

impl Original {
    /// In memory as a whole.
    pub fn held(newest: Bytes) -> Self {
        Self::Held { newest, retained: Bytes::new() }
    }

    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// What stands there. Blocks where it is not in memory.
    pub fn read(&self, part: Part, range: Range<usize>) -> Result<Bytes, PullError> {
        let text = match (self, part) {
            (Self::Stored(stored), _) => return stored.runtime.block_on(stored.read(part, range)),
            (Self::Held { newest, .. }, Part::Newest) => newest,
            (Self::Held { retained, .. }, Part::Retained) => retained,
        };
        if range.end > text.len() || range.start > range.end {
            return Err(PullError::Outdated);
        }
        Ok(text.slice(range))
    }

    /// The same in memory. Blocks.
    pub fn hold(&self) -> Result<Self, PullError> {
        let Self::Stored(stored) = self else { return Ok(self.clone()) };
        let all = |size: u64| 0..usize::try_from(size).unwrap_or(usize::MAX);
        let newest = self.read(Part::Newest, all(stored.newest.1))?;
        let retained = match &stored.retained {
            Some((_, size)) => self.read(Part::Retained, all(*size))?,
            None => Bytes::new(),
        };
        Ok(Self::Held { newest, retained })
    }
}
