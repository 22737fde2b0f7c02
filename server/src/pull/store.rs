//! What the flow keeps, and in which order it is written.
//!
//! Bytes before the record that names them, a side file before the commit: a crash between any two
//! steps leaves bytes that nobody refers to, which `garth gc` and the next fetch clean up, and
//! never a record without its bytes.

mod compared;
mod files;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::advisories::Advisory;
use policies::package::{Digest, Package, Version};
use tokio::runtime::Handle;

pub(super) use self::compared::Comparing;
pub(super) use self::files::NewDocument;

use super::content::Content;
use super::format::DocumentFormat;
use super::observe::{Changes, Claims, bound_observations, observe};
use super::summaries::Summaries;
use super::{PullError, SMALL_WORK, Source};
use crate::advisories;
use crate::blobs::{BlobError, Blobs};
use crate::clock::Clock;
use crate::metadata::records::{
    self, ArtifactRecord, DocumentRecord, Key, Observation, OwnRecord, Prefix, Record,
    SummaryRecord, VersionPlaces, VersionRecord,
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
    /// What a search goes by, once one was made.
    pub summaries: Summaries,
    /// Where work goes on when the one who asked has left.
    pub runtime: Handle,
}

const NEWEST: &str = DocumentRecord::NEWEST;
/// Versions that the upstream took away and whose artifacts we hold.
const RETAINED: &str = "retained";
/// Observations that are kept of one package.
const OBSERVATIONS_AT_MOST: usize = 1000;
/// Of what changed in one document, so many lines are in the log.
const OBSERVATIONS_TOLD: usize = 50;
/// Versions that are remembered of one package, those that are gone included.
const VERSIONS_AT_MOST: usize = 200_000;
/// Records that are read at once.
const PAGE: usize = 1000;

/// What lies in the store of one document.
#[derive(Clone, Debug)]
pub struct Saved {
    pub record: DocumentRecord,
    pub retained: Option<DocumentRecord>,
}

impl Saved {
    /// Published here.
    pub fn is_own(&self) -> bool {
        self.record.own
    }
}

/// New bytes of a document, and what was known before they came.
pub struct Update<'a, F: DocumentFormat> {
    pub registry: &'a str,
    pub package: &'a Package,
    /// The address that they came from.
    pub upstream: Option<String>,
    pub bytes: Bytes,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub media_type: Option<String>,
    pub parsed: Arc<F::Parsed>,
    pub known: Arc<HashMap<Version, VersionRecord>>,
    /// Where those lie.
    pub places: VersionPlaces,
    pub before: Option<Arc<Content<F::Parsed>>>,
    /// The versions that were taken away, where `before` can not tell.
    pub remains: Option<F::Parsed>,
    pub saved: Option<Arc<Saved>>,
}

/// What is remembered after an update.
#[derive(Debug)]
pub struct Kept {
    pub saved: Saved,
    pub retained: Option<Bytes>,
    pub versions: HashMap<Version, VersionRecord>,
}

impl PullStore {
    /// What was imported under this id.
    pub async fn advisory(&self, id: &str) -> Result<Option<Advisory>, MetadataError> {
        let found = advisories::find(self.metadata.as_ref(), id).await?;
        Ok(found.map(|(advisory, _)| advisory))
    }

    pub async fn read_saved(
        &self,
        source: &Source,
        package: &Package,
    ) -> Result<Option<Saved>, PullError> {
        let key = |document| DocumentRecord::key(&source.registry, package.name(), document);
        let record = if source.upstream.is_some() {
            self.read_or_fetch_again(&key(NEWEST)).await?
        } else {
            self.told(records::read(self.metadata.as_ref(), &key(NEWEST)).await)?
        };
        let Some(record) = record else { return Ok(None) };
        let retained = self.read_or_fetch_again(&key(RETAINED)).await?;
        Ok(Some(Saved { record, retained }))
    }

    /// A damaged record of something that the upstream has counts as not there, loudly.
    pub async fn read_or_fetch_again<R: Record>(
        &self,
        key: &Key<R>,
    ) -> Result<Option<R>, PullError> {
        match records::read(self.metadata.as_ref(), key).await {
            Err(fault @ MetadataError::Damaged { .. }) => {
                self.alarm(AlarmKind::RecordDamaged, &fault.to_string());
                Ok(None)
            }
            other => Ok(other?),
        }
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
        self.read_or_fetch_again(&ArtifactRecord::key(registry, package, file)).await
    }

    /// Whether anything is published in this registry.
    pub async fn has_own(&self, registry: &str) -> Result<bool, PullError> {
        let prefix = Prefix::<OwnRecord>::of_registry(registry);
        Ok(!self.metadata.scan(prefix.as_bytes(), None, 1).await?.is_empty())
    }

    pub async fn read_versions(
        &self,
        registry: &str,
        package: &Package,
    ) -> Result<HashMap<Version, VersionRecord>, PullError> {
        Ok(self.read_version_places(registry, package).await?.0)
    }

    /// Like [`Self::read_versions`], with what writing them wants.
    pub(super) async fn read_version_places(
        &self,
        registry: &str,
        package: &Package,
    ) -> Result<(HashMap<Version, VersionRecord>, VersionPlaces), PullError> {
        self.told(records::read_versions(self.metadata.as_ref(), registry, package).await)
    }

    pub(super) async fn read_all<R: Record>(
        &self,
        prefix: &Prefix<R>,
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

    /// Compares the new document with what is remembered and writes both: what was observed, which
    /// is true in any case, before the document that it was seen in.
    pub async fn keep_document<F: DocumentFormat>(
        &self,
        mut update: Update<'_, F>,
    ) -> Result<Kept, PullError> {
        let now = self.clock.now();
        let (registry, package) = (update.registry, update.package);
        let (changes, mut summary) = compare::<F>(&update, now).await?;
        summary.upstream.clone_from(&update.upstream);
        self.report(registry, package, &changes);
        let mut versions = HashMap::clone(&update.known);
        versions.extend(changes.records.iter().cloned());
        if versions.len() > VERSIONS_AT_MOST {
            return Err(PullError::Broken {
                upstream: update.upstream.unwrap_or_default(),
                cause: format!("it has named more than {VERSIONS_AT_MOST} versions of {package}"),
            });
        }
        let key = |document| DocumentRecord::key(registry, package.name(), document);
        let retained = self.retain(&update, &versions).await?;
        let document = |bytes| NewDocument {
            bytes,
            etag: update.etag.clone(),
            last_modified: update.last_modified.clone(),
            media_type: update.media_type.clone(),
            upstream: update.upstream.clone(),
            folded: None,
        };
        let record = self.put_document(&key(NEWEST), document(update.bytes.clone()), now).await?;
        let mut batch = Batch::default()
            .put_record(&key(NEWEST), &record)
            .put_record(&SummaryRecord::key(registry, package.name()), &summary);
        let old = update.saved.as_deref();
        let retained_record = match &retained {
            Retained::New(bytes) => {
                let record =
                    self.put_document(&key(RETAINED), document(bytes.clone()), now).await?;
                batch = batch.put_record(&key(RETAINED), &record);
                Some(record)
            }
            Retained::AsBefore => old.and_then(|old| old.retained.clone()),
            Retained::Nothing => {
                batch = batch.remove_record(&key(RETAINED));
                None
            }
        };
        let changed = changes.records.iter().map(|(version, record)| (version, record));
        let seen = self.told(update.places.put(changed))?;
        let seen =
            self.add_observations(seen, registry, package, &changes.observations, now).await?;
        records::commit_in_parts(self.metadata.as_ref(), seen, batch).await?;
        self.summaries.note(registry, package.name(), &summary);

        if let Some(old) = old {
            if old.record.blob != record.blob {
                self.release(&old.record.blob, key(NEWEST).as_bytes()).await;
            }
            if let Some(old) = &old.retained
                && retained_record.as_ref().is_none_or(|newer| newer.blob != old.blob)
            {
                self.release(&old.blob, key(RETAINED).as_bytes()).await;
            }
        }
        let retained = match retained {
            Retained::New(bytes) => Some(bytes),
            Retained::AsBefore => match &retained_record {
                Some(record) => self.read_blob(&record.blob, record.size).await?,
                None => None,
            },
            Retained::Nothing => None,
        };
        Ok(Kept { saved: Saved { record, retained: retained_record }, retained, versions })
    }

    /// The versions that the upstream lists no more and whose artifacts we hold stay on offer.
    async fn retain<F: DocumentFormat>(
        &self,
        update: &Update<'_, F>,
        versions: &HashMap<Version, VersionRecord>,
    ) -> Result<Retained, PullError> {
        let mut gone: HashSet<Version> = versions
            .iter()
            .filter(|(_, record)| record.vanished.is_some())
            .map(|(version, _)| version.clone())
            .collect();
        if gone.is_empty() {
            return Ok(Retained::Nothing);
        }
        let prefix = ArtifactRecord::of_package(update.registry, update.package.name());
        let held: HashSet<Version> = self
            .read_all(&prefix)
            .await?
            .into_iter()
            .filter_map(|(_, record)| Version::new(&record.version).ok())
            .collect();
        gone.retain(|version| held.contains(version));
        let before = update.before.as_ref();
        let source = before.map(|before| before.parsed.as_ref()).or(update.remains.as_ref());
        let foreign =
            update.saved.as_ref().is_some_and(|saved| saved.record.upstream != update.upstream);
        match source {
            _ if gone.is_empty() || foreign => Ok(Retained::Nothing),
            // What is written down of a version is not given up because it can not be read now.
            Some(source)
                if gone.iter().all(|version| F::offers(source, version))
                    || update.saved.as_ref().is_none_or(|saved| saved.retained.is_none()) =>
            {
                let retained = match before.cloned() {
                    None => F::retain(source, &gone),
                    Some(before) => {
                        let retaining = move || F::retain(&before.parsed, &gone);
                        let retained = tokio::task::spawn_blocking(retaining).await;
                        retained.map_err(|_| PullError::Internal)?
                    }
                };
                match retained {
                    Err(PullError::Outdated) => Ok(Retained::AsBefore),
                    retained => Ok(Retained::New(retained?)),
                }
            }
            _ => Ok(Retained::AsBefore),
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
        let bounded = bound_observations(known, observations, OBSERVATIONS_AT_MOST);
        if bounded.dropped > 0 {
            tracing::warn!(registry, %package, count = bounded.dropped, "more was observed than is kept of a package");
        }
        for key in &bounded.evicted {
            batch = batch.remove_record(key);
        }
        // Ordered by time; the steps between two microseconds keep those of one moment apart.
        let first = u64::try_from(now.as_microsecond()).unwrap_or(0).saturating_mul(1000);
        for (n, observation) in (first..).zip(bounded.kept) {
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
        for observation in changes.observations.iter().take(OBSERVATIONS_TOLD) {
            tracing::info!(registry, %package, version = observation.version, what = ?observation.what, "observed");
        }
        if changes.observations.len() > OBSERVATIONS_TOLD {
            let more = changes.observations.len() - OBSERVATIONS_TOLD;
            tracing::info!(registry, %package, more, "observed more at once than is told one by one");
        }
    }

    /// A record that can not be read does not get better by itself.
    pub(super) fn told<T>(&self, read: Result<T, MetadataError>) -> Result<T, PullError> {
        if let Err(fault @ MetadataError::Damaged { .. }) = &read {
            self.alarm(AlarmKind::RecordDamaged, &fault.to_string());
        }
        Ok(read?)
    }

    /// Nobody else has it.
    pub(super) fn lost(&self, what: &dyn ToString) -> PullError {
        let fault = PullError::Lost(what.to_string());
        self.alarm(AlarmKind::BlobDamaged, &fault.to_string());
        fault
    }

    /// Something that a person has to look at: a loud line in the log, and a metric to page on.
    pub fn alarm(&self, kind: AlarmKind, text: &str) {
        self.metrics.alarm(kind);
        tracing::error!(alarm = kind.as_str(), "{text}");
    }
}

/// What becomes of the document of versions that were taken away.
enum Retained {
    New(Bytes),
    AsBefore,
    Nothing,
}

/// Off the executor: a document may have a hundred thousand versions.
async fn compare<F: DocumentFormat>(
    update: &Update<'_, F>,
    now: Timestamp,
) -> Result<(Changes, SummaryRecord), PullError> {
    let (parsed, known) = (Arc::clone(&update.parsed), Arc::clone(&update.known));
    let before = update.before.clone();
    let size = update.bytes.len() + before.as_ref().map_or(0, |before| before.size);
    let is_small = size <= SMALL_WORK && known.len() <= 100;
    let is_own = update.upstream.is_none();
    let comparing = move || {
        let claimed = |parsed: &F::Parsed| (F::claims(parsed), F::tags(parsed));
        let ((versions, tags), left_out) = (claimed(&parsed), F::left_out(&parsed));
        let old = before.as_ref().map(|before| (claimed(&before.parsed), &before.parsed));
        let old = old.as_ref().map(|((versions, tags), parsed)| Claims {
            versions,
            left_out: F::left_out(parsed),
            tags,
        });
        let mut changes =
            observe(&known, old, Claims { versions: &versions, left_out, tags: &tags }, now);
        changes.forget_comparisons(&known, |version| F::said(&parsed, version))?;
        Ok((changes, F::summary(&parsed, is_own)))
    };
    if is_small {
        return comparing();
    }
    tokio::task::spawn_blocking(comparing).await.map_err(|_| PullError::Internal)?
}
