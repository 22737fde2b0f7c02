//! What the flow keeps, and in which order it is written.
//!
//! Bytes before the record that names them, a side file before the commit: a crash between any two
//! steps leaves bytes that nobody refers to, which `garth gc` and the next fetch clean up, and
//! never a record without its bytes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::package::{Digest, Package, Version};
use tokio::runtime::Handle;

use super::PullError;
use super::format::DocumentFormat;
use super::observe::{Changes, Claims, observe};
use crate::blobs::{BlobError, Blobs, Side, Stage};
use crate::clock::Clock;
use crate::metadata::records::{
    self, ArtifactRecord, DocumentRecord, Key, Observation, Record, VersionRecord,
};
use crate::metadata::{Batch, Metadata, MetadataError};
use crate::observability::{AlarmKind, Metrics};

/// The engines and what goes with them; cheap to clone.
#[derive(Clone, Debug)]
pub struct PullStore {
    pub metadata: Arc<dyn Metadata>,
    pub blobs: Blobs,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Where work goes on when the one who asked has left.
    pub runtime: Handle,
}

/// The newest document of a package.
const NEWEST: &str = "newest";
/// Versions that the upstream took away and whose artifacts we hold.
const RETAINED: &str = "retained";
/// Observations that are kept of one package; the oldest go first.
const OBSERVATIONS_AT_MOST: usize = 1000;
const PAGE: usize = 1000;

/// What lies in the store of one document.
#[derive(Clone, Debug)]
pub struct Saved {
    pub record: DocumentRecord,
    pub retained: Option<DocumentRecord>,
}

/// New bytes of a document.
#[derive(Debug)]
pub struct Update<'a> {
    pub registry: &'a str,
    pub package: &'a Package,
    pub bytes: Bytes,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub media_type: Option<String>,
    pub saved: Option<Saved>,
}

/// What is remembered after an update.
#[derive(Debug)]
pub struct Kept {
    pub bytes: Bytes,
    pub retained: Option<Bytes>,
    pub versions: HashMap<Version, VersionRecord>,
    pub checked: Timestamp,
}

impl PullStore {
    pub async fn read_saved(
        &self,
        registry: &str,
        package: &Package,
    ) -> Result<Option<Saved>, PullError> {
        let read = |document| {
            let key = DocumentRecord::key(registry, package.name(), document);
            async move { self.told(records::read(self.metadata.as_ref(), &key).await) }
        };
        let Some(record) = read(NEWEST).await? else { return Ok(None) };
        Ok(Some(Saved { record, retained: read(RETAINED).await? }))
    }

    /// `None` if it is not there or damaged: both mean that it has to be fetched again.
    pub async fn read_blob(&self, digest: &Digest, size: u64) -> Result<Option<Bytes>, PullError> {
        let Some(reader) = self.blobs.get_sized(digest, Some(size)).await? else { return Ok(None) };
        match reader.read_all(size).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(BlobError::Damaged { .. }) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    pub async fn read_artifact(
        &self,
        registry: &str,
        package: &str,
        file: &str,
    ) -> Result<Option<ArtifactRecord>, PullError> {
        let key = ArtifactRecord::key(registry, package, file);
        self.told(records::read(self.metadata.as_ref(), &key).await)
    }

    pub async fn read_versions(
        &self,
        registry: &str,
        package: &Package,
    ) -> Result<HashMap<Version, VersionRecord>, PullError> {
        let prefix = VersionRecord::of_package(registry, package.name());
        let read = self.read_all(&prefix).await?;
        Ok(read
            .into_iter()
            .filter_map(|(key, record)| Some((Version::new(key.parts().last()?).ok()?, record)))
            .collect())
    }

    async fn read_all<R: Record>(
        &self,
        prefix: &records::Prefix<R>,
    ) -> Result<Vec<(Key<R>, R)>, PullError> {
        let mut all: Vec<(Key<R>, R)> = Vec::new();
        loop {
            let after = all.last().map(|(key, _)| key);
            let page =
                self.told(records::scan(self.metadata.as_ref(), prefix, after, PAGE).await)?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The upstream confirmed the document. A store that can not take the date does not keep
    /// anybody from reading: the document is confirmed again next time.
    pub async fn write_checked(&self, registry: &str, package: &Package, record: &DocumentRecord) {
        let key = DocumentRecord::key(registry, package.name(), NEWEST);
        let batch = Batch::default().put_record(&key, record);
        if let Err(fault) = self.metadata.commit(batch).await {
            tracing::warn!(registry, %package, %fault, "the date of a confirmation could not be kept");
        }
    }

    /// Compares the new document with what is remembered and writes both in one commit.
    pub async fn keep_document<F: DocumentFormat>(
        &self,
        update: Update<'_>,
        parsed: &F::Parsed,
        known: &HashMap<Version, VersionRecord>,
        before: Option<&F::Parsed>,
    ) -> Result<Kept, PullError> {
        let now = self.clock.now();
        let (registry, package) = (update.registry, update.package);
        let (newest, tags) = (F::claims(parsed), F::tags(parsed));
        let old = before.map(|before| (F::claims(before), F::tags(before)));
        let old = old.as_ref().map(|(versions, tags)| Claims { versions, tags });
        let newest = Claims { versions: &newest, tags: &tags };
        let changes = observe(known, old, newest, now);
        self.report(registry, package, &changes);

        let mut versions = known.clone();
        versions.extend(changes.records.iter().cloned());
        let retained = self.retain::<F>(&update, before, &versions).await?;
        let record = DocumentRecord {
            blob: Digest::sha256_of(&update.bytes),
            size: update.bytes.len() as u64,
            etag: update.etag.clone(),
            last_modified: update.last_modified.clone(),
            media_type: update.media_type.clone(),
            fetched: now,
            checked: now,
        };
        let key = |document| DocumentRecord::key(registry, package.name(), document);
        let mut batch = Batch::default().put_record(&key(NEWEST), &record);
        self.put_document(&key(NEWEST), &record, update.bytes.clone()).await?;
        if let Some((record, bytes)) = &retained {
            self.put_document(&key(RETAINED), record, bytes.clone()).await?;
            batch = batch.put_record(&key(RETAINED), record);
        } else if update.saved.as_ref().is_some_and(|saved| saved.retained.is_some()) {
            batch = batch.remove_record(&key(RETAINED));
        }
        for (version, record) in &changes.records {
            let key = VersionRecord::key(registry, package.name(), version.as_str());
            batch = batch.put_record(&key, record);
        }
        batch = self.add_observations(batch, registry, package, &changes.observations, now).await?;
        self.metadata.commit(batch).await?;

        if let Some(saved) = &update.saved {
            self.release(&key(NEWEST), &saved.record, Some(&record)).await;
            if let Some(old) = &saved.retained {
                let newer = retained.as_ref().map(|(record, _)| record);
                self.release(&key(RETAINED), old, newer).await;
            }
        }
        let retained = retained.map(|(_, bytes)| bytes);
        Ok(Kept { bytes: update.bytes, retained, versions, checked: now })
    }

    /// The versions that the upstream lists no more and whose artifacts we hold stay on offer.
    async fn retain<F: DocumentFormat>(
        &self,
        update: &Update<'_>,
        before: Option<&F::Parsed>,
        versions: &HashMap<Version, VersionRecord>,
    ) -> Result<Option<(DocumentRecord, Bytes)>, PullError> {
        let mut gone: HashSet<Version> = versions
            .iter()
            .filter(|(_, record)| record.vanished.is_some())
            .map(|(version, _)| version.clone())
            .collect();
        let Some(before) = before.filter(|_| !gone.is_empty()) else { return Ok(None) };
        let prefix = ArtifactRecord::of_package(update.registry, update.package.name());
        let held: HashSet<Version> = self
            .read_all(&prefix)
            .await?
            .into_iter()
            .filter_map(|(_, record)| Version::new(&record.version).ok())
            .collect();
        gone.retain(|version| held.contains(version));
        if gone.is_empty() {
            return Ok(None);
        }
        let bytes = F::retain(before, &gone);
        let now = self.clock.now();
        let record = DocumentRecord {
            blob: Digest::sha256_of(&bytes),
            size: bytes.len() as u64,
            etag: None,
            last_modified: None,
            media_type: update.media_type.clone(),
            fetched: now,
            checked: now,
        };
        Ok(Some((record, bytes)))
    }

    async fn put_document(
        &self,
        key: &Key<DocumentRecord>,
        record: &DocumentRecord,
        bytes: Bytes,
    ) -> Result<(), PullError> {
        let mut stage = self.blobs.stage(&[]).await?;
        stage.write(bytes).await?;
        stage.finish().await?;
        let side = Side::new(key.as_bytes(), &records::encode(record));
        Ok(self.blobs.put_with_sides(stage, &record.blob, &[side]).await?)
    }

    /// Publishes a staged file whose digests were checked, then writes its record.
    pub async fn keep_artifact(
        &self,
        registry: &str,
        package: &str,
        file: &str,
        stage: Stage,
        record: &ArtifactRecord,
    ) -> Result<(), PullError> {
        let key = ArtifactRecord::key(registry, package, file);
        let side = Side::new(key.as_bytes(), &records::encode(record));
        self.blobs.put_with_sides(stage, &record.blob, &[side]).await?;
        Ok(self.metadata.commit(Batch::default().put_record(&key, record)).await?)
    }

    /// A document's bytes of before, which its record does not name any more. Failing to remove
    /// them costs disk and nothing else.
    async fn release(
        &self,
        key: &Key<DocumentRecord>,
        old: &DocumentRecord,
        newer: Option<&DocumentRecord>,
    ) {
        if newer.is_some_and(|newer| newer.blob == old.blob) {
            return;
        }
        if let Err(fault) = self.blobs.release(&old.blob, key.as_bytes()).await {
            tracing::warn!(blob = %old.blob, %fault, "the bytes of a replaced document could not be removed");
        }
    }

    async fn add_observations(
        &self,
        mut batch: Batch,
        registry: &str,
        package: &Package,
        observations: &[Observation],
        now: Timestamp,
    ) -> Result<Batch, PullError> {
        if observations.is_empty() {
            return Ok(batch);
        }
        let prefix = Observation::of_package(registry, package.name());
        let known = self.read_all(&prefix).await?;
        // Ordered by time; the steps between two microseconds keep those of one moment apart.
        let first = u64::try_from(now.as_microsecond()).unwrap_or(0).saturating_mul(1000);
        let newest = observations.len().min(OBSERVATIONS_AT_MOST);
        let surplus = (known.len() + newest).saturating_sub(OBSERVATIONS_AT_MOST);
        for (key, _) in known.iter().take(surplus) {
            batch = batch.remove_record(key);
        }
        for (n, observation) in (first..).zip(observations.iter().take(newest)) {
            let key = Observation::key(registry, package.name(), n);
            batch = batch.put_record(&key, observation);
        }
        Ok(batch)
    }

    fn report(&self, registry: &str, package: &Package, changes: &Changes) {
        for version in &changes.conflicts {
            self.alarm(
                AlarmKind::BytesChanged,
                &format!(
                    "the upstream of {registry} now promises other bytes for {package}@{version}; the first ones stand"
                ),
            );
        }
        for observation in &changes.observations {
            tracing::info!(registry, %package, version = observation.version, what = ?observation.what, "observed");
        }
    }

    /// A record that can not be read does not get better by itself.
    fn told<T>(&self, read: Result<T, MetadataError>) -> Result<T, PullError> {
        if let Err(fault @ MetadataError::Damaged { .. }) = &read {
            self.alarm(AlarmKind::RecordDamaged, &fault.to_string());
        }
        Ok(read?)
    }

    /// Something that a person has to look at: a loud line in the log, and a metric to page on.
    pub fn alarm(&self, kind: AlarmKind, text: &str) {
        self.metrics.alarm(kind);
        tracing::error!(alarm = kind.as_str(), "{text}");
    }
}
