//! Reading a blob: in pieces, and never a damaged one to its end.
//!
//! A blob that was checked since the start is just read. Otherwise a small one is checked before
//! it is given out; a whole one is hashed while it streams and its last piece waits for the
//! verdict; and before a part of one is sent, all of it is checked.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use policies::package::{Algorithm, Digest};

use super::stage::Hashes;
use super::verify::{CHUNK, Check};
use super::{BlobError, BlobFile, Blobs, Digests};

/// Up to this length a blob is checked before the first byte leaves, so that a damaged one is
/// fetched again instead of breaking a transfer.
const SMALL: u64 = CHUNK as u64;
/// A checked blob is read in smaller pieces: they come from the page cache without a thread, each
/// into memory that the allocator has at hand. From 128 KiB on it would ask the system each time.
const PIECE: usize = 60 * 1024;

/// An open blob. Holding it keeps its bytes, whatever happens to its name.
#[derive(Clone)]
pub struct BlobReader {
    blobs: Blobs,
    digest: Digest,
    file: Arc<dyn BlobFile>,
}

impl BlobReader {
    /// `None` where the blob turns out to be damaged; it is in quarantine then. Also where it is
    /// sound and has another length than the caller's record says: nothing that the record
    /// promises can be kept with it, and the blob is not at fault.
    pub(super) async fn open(
        blobs: Blobs,
        digest: Digest,
        file: Arc<dyn BlobFile>,
        expected_len: Option<u64>,
    ) -> Result<Option<Self>, BlobError> {
        let reader = Self { blobs, digest, file };
        let len = reader.len();
        let other_length = expected_len.filter(|expected| *expected != len);
        if len > SMALL && other_length.is_none() {
            return Ok(Some(reader));
        }
        match (reader.check().await, other_length) {
            (Ok(()), None) => Ok(Some(reader)),
            (Ok(()), Some(expected)) => {
                let digest = &reader.digest;
                tracing::error!(
                    %digest, len, expected,
                    "a record is wrong: it gives its blob another length than the blob has"
                );
                Ok(None)
            }
            (Err(BlobError::Damaged { .. }), _) => Ok(None),
            (Err(error), _) => Err(error),
        }
    }

    pub fn len(&self) -> u64 {
        self.file.mark().len
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The bytes of `range`, cut to what the blob has. The stream fails with
    /// [`BlobError::Damaged`] before the last byte of a damaged blob.
    pub fn stream(
        &self,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        let reader = self.clone();
        stream::once(async move { reader.begin(range).await }).try_flatten()
    }

    /// What all of its bytes hash to by these algorithms.
    pub async fn hash(&self, also: &[Algorithm]) -> Result<Digests, BlobError> {
        let mut hashes = Hashes::new(also);
        let mut pieces = std::pin::pin!(self.stream(0..self.len()));
        while let Some(piece) = pieces.next().await {
            hashes.update(&piece?);
        }
        Ok(hashes.digests(self.len()))
    }

    /// All bytes at once, if they are at most `limit`.
    pub async fn read_all(&self, limit: u64) -> Result<Bytes, BlobError> {
        let len = self.len();
        if len > limit {
            return Err(BlobError::TooLarge { len, limit });
        }
        let mut pieces = std::pin::pin!(self.stream(0..len));
        let Some(first) = pieces.next().await.transpose()? else { return Ok(Bytes::new()) };
        if first.len() as u64 == len {
            return Ok(first);
        }
        let mut all = BytesMut::with_capacity(usize::try_from(len).unwrap_or(0));
        all.extend_from_slice(&first);
        while let Some(piece) = pieces.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.freeze())
    }

    async fn begin(
        self,
        range: Range<u64>,
    ) -> Result<stream::BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        if self.is_verified() {
            return Ok(self.plain(range).boxed());
        }
        if range == (0..self.len()) {
            return Ok(self.hashed().boxed());
        }
        self.check().await?;
        Ok(self.plain(range).boxed())
    }

    /// Of a blob that is known to be sound.
    fn plain(self, range: Range<u64>) -> impl Stream<Item = Result<Bytes, BlobError>> {
        stream::try_unfold((self, range.start), move |(reader, offset)| async move {
            let left = range.end - offset;
            if left == 0 {
                return Ok(None);
            }
            let max = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let piece = reader.read_at(offset, max).await?;
            let offset = offset + piece.len() as u64;
            Ok(Some((piece, (reader, offset))))
        })
    }

    /// The whole blob; the piece that completes it waits for the digest.
    fn hashed(self) -> impl Stream<Item = Result<Bytes, BlobError>> {
        stream::try_unfold((self, Some(Check::default())), |(reader, check)| async move {
            let Some(check) = check else { return Ok(None) };
            let piece = reader.read_at(check.seen, CHUNK).await?;
            let check = check.update(piece.clone()).await?;
            if check.seen < reader.len() {
                return Ok(Some((piece, (reader, Some(check)))));
            }
            reader.settle(check.conclude(&reader.digest, reader.len())).await?;
            Ok(Some((piece, (reader, None))))
        })
    }

    /// At least one byte: a file that ends early is damaged.
    async fn read_at(&self, offset: u64, max: usize) -> Result<Bytes, BlobError> {
        let piece = self.file.read_at(offset, max).await?;
        if !piece.is_empty() {
            return Ok(piece);
        }
        let cause = format!("it ends after {offset} of {} bytes", self.len());
        self.condemn(&cause).await;
        Err(BlobError::Damaged { digest: self.digest.clone(), cause })
    }

    fn is_verified(&self) -> bool {
        self.blobs.0.verified.contains(&self.digest, self.file.mark())
    }

    async fn check(&self) -> Result<(), BlobError> {
        if self.is_verified() {
            return Ok(());
        }
        let verdict = self.blobs.0.verified.check(&self.digest, &self.file).await;
        self.settle(verdict).await
    }

    async fn settle(&self, verdict: Result<(), BlobError>) -> Result<(), BlobError> {
        match &verdict {
            Ok(()) => self.blobs.0.verified.insert(&self.digest, self.file.mark()),
            Err(BlobError::Damaged { cause, .. }) => self.condemn(cause).await,
            Err(_) => {}
        }
        verdict
    }

    async fn condemn(&self, cause: &str) {
        self.blobs.condemn(&self.digest, self.file.mark(), cause).await;
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("digest", &self.digest).finish_non_exhaustive()
    }
}
