//! What lies on disk for a record: put before the record is written, released when none names it.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::package::{Algorithm, Digest};

use super::PullStore;
use crate::audit::Entry;
use crate::blobs::{Side, Stage};
use crate::metadata::Batch;
use crate::metadata::records::{self, ArtifactRecord, DocumentRecord, Key};
use crate::pull::PullError;

/// A document's bytes, with what the upstream says of them.
#[derive(Debug)]
pub struct NewDocument {
    pub bytes: Bytes,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub media_type: Option<String>,
    /// The address that they came from.
    pub upstream: Option<String>,
    /// Made here: the name of its package without what names must not differ by alone.
    pub folded: Option<String>,
}

impl NewDocument {
    /// Made here.
    pub fn own(bytes: Bytes, folded: String) -> Self {
        Self {
            bytes,
            etag: None,
            last_modified: None,
            media_type: None,
            upstream: None,
            folded: Some(folded),
        }
    }
}

impl PullStore {
    /// The bytes, durably; the record that names them is the caller's to write.
    pub async fn put_document(
        &self,
        key: &Key<DocumentRecord>,
        document: NewDocument,
        now: Timestamp,
    ) -> Result<DocumentRecord, PullError> {
        let size = document.bytes.len() as u64;
        let record_of = |blob: &Digest| DocumentRecord {
            blob: blob.clone(),
            size,
            etag: document.etag.clone(),
            last_modified: document.last_modified.clone(),
            media_type: document.media_type.clone(),
            upstream: document.upstream.clone(),
            fetched: now,
            checked: now,
            own: document.folded.is_some(),
            folded: document.folded.clone(),
        };
        let sides =
            |blob: &Digest| vec![Side::new(key.as_bytes(), &records::encode(&record_of(blob)))];
        let blob = self.blobs.put_bytes(document.bytes.clone(), sides).await?;
        Ok(record_of(&blob))
    }

    /// A staged file whose digests were checked, durably; its record is the caller's to write.
    pub async fn put_artifact(
        &self,
        key: &Key<ArtifactRecord>,
        stage: Stage,
        record: &ArtifactRecord,
    ) -> Result<(), PullError> {
        let side = Side::new(key.as_bytes(), &records::encode(record));
        Ok(self.blobs.put_with_sides(stage, &record.blob, &[side]).await?)
    }

    /// Publishes a staged file whose digests were checked, then writes its record, and the entry that
    /// tells of it.
    pub async fn keep_artifact(
        &self,
        (registry, package, file): (&str, &str, &str),
        stage: Stage,
        record: &ArtifactRecord,
        entry: Entry,
    ) -> Result<(), PullError> {
        let key = ArtifactRecord::key(registry, package, file);
        self.put_artifact(&key, stage, record).await?;
        let batch = Batch::default().put_record(&key, record).note(entry, record.fetched);
        Ok(self.metadata.commit(batch).await?)
    }

    /// Hashes what is held by the algorithms that are promised now, and remembers what came out.
    /// `None` if it is not there any more.
    pub async fn hash_again(
        &self,
        (registry, package, file): &(Arc<str>, String, String),
        record: &ArtifactRecord,
        promised: &[Digest],
    ) -> Result<Option<ArtifactRecord>, PullError> {
        let algorithms: Vec<Algorithm> = promised.iter().map(Digest::algorithm).collect();
        let blob = self.blobs.get_sized(&record.blob, Some(record.size)).await?;
        let Some(blob) = blob else { return Ok(None) };
        let mut newer = record.clone();
        for digest in blob.hash(&algorithms).await?.others {
            if !newer.digests.contains(&digest) {
                newer.digests.push(digest);
            }
        }
        let key = ArtifactRecord::key(registry, package, file);
        self.blobs.put_side(&newer.blob, key.as_bytes(), &records::encode(&newer)).await?;
        self.metadata.commit(Batch::default().put_record(&key, &newer)).await?;
        Ok(Some(newer))
    }

    /// Bytes that the record of that key does not name any more. Failing to remove them costs disk
    /// and nothing else.
    pub async fn release(&self, blob: &Digest, key: &[u8]) {
        if let Err(fault) = self.blobs.release(blob, key).await {
            tracing::warn!(%blob, %fault, "bytes that nothing refers to could not be removed");
        }
    }
}
