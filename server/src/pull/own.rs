//! Own packages: documents that are changed here, and files that come from people.
//!
//! ```text
//! handler → staged files ─┐
//!                         ├ change_own: state → format's change → blobs → one commit → in memory
//!           what is there ┘
//! ```
//!
//! An own document is a document without an upstream: the flow serves it, the gate screens it and
//! views are made of it like of any other. It is changed by reading it, having the format make
//! another of it, and writing that where nothing was written meanwhile, in one commit with the
//! records of the files that came or went. Bytes are durable before that commit, so what is
//! acknowledged is whole, and what is not is not there. Changes of one package take turns here, so
//! that the expectation fails only where another process writes; then the change is made anew.
//!
//! Nobody can fetch an own document again: damage is told and never taken for absence.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::package::{Digest, Package, Version};

use super::artifacts::Artifacts;
use super::content::{Content, ContentId};
use super::documents::Documents;
use super::format::{DocumentFormat, VersionClaim};
use super::store::{NEWEST, NewDocument, PullStore, Saved};
use super::{PullError, Source};
use crate::blobs::{Digests, Stage};
use crate::metadata::records::{
    self, ArtifactRecord, DocumentRecord, Key, OwnRecord, Stored, SummaryRecord, VersionPlaces,
    VersionRecord,
};
use crate::metadata::{Batch, Change, MAX_BATCH_BYTES, MAX_BATCH_CHANGES, MetadataError};

/// A change that nobody else should make at the same time is tried so often.
const TRIES: usize = 8;

/// By what whoever publishes does next.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OwnError {
    /// This name is known from an upstream. What was installed under it must not become something
    /// else.
    #[error("{0} is known here from an upstream")]
    Clash(Package),
    /// Its name differs too little from that of another own package.
    #[error("{package} can not be told from {other}")]
    Collides { package: Package, other: String },
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// Which package is changed.
#[derive(Clone, Debug)]
pub struct Target {
    pub source: Arc<Source>,
    pub package: Package,
    /// Its name without what names must not differ by alone.
    pub folded: String,
}

/// A file that came: checked by the format, and kept if the change is.
#[derive(Debug)]
pub struct Arrival {
    pub file: String,
    pub version: Version,
    pub stage: Stage,
    pub digests: Digests,
}

/// What is there before a change.
#[derive(Clone, Debug)]
pub struct OwnState {
    /// The document, as the format made it.
    pub document: Option<Bytes>,
    pub versions: Arc<HashMap<Version, VersionRecord>>,
    /// When the change is made.
    pub now: Timestamp,
}

/// What a format makes of it.
#[derive(Debug)]
pub struct Edit {
    /// The new document.
    pub document: Bytes,
    /// Versions that come, with the digests that are pinned.
    pub published: Vec<(Version, Vec<Digest>)>,
    /// Versions that go, with all their files, and those that went before, of which something may
    /// be left. They stay remembered: nothing else is ever published under them.
    pub unpublished: Vec<Version>,
}

impl<F: DocumentFormat> Documents<F> {
    /// Changes an own document; it is durable and seen by everybody when this returns. Once begun
    /// it is brought to its end, though whoever asked may leave. `change` may be asked again.
    pub async fn change_own<E: From<OwnError> + Send + 'static>(
        self: &Arc<Self>,
        artifacts: &Arc<Artifacts>,
        target: Target,
        arrivals: Vec<Arrival>,
        change: impl Fn(&OwnState) -> Result<Edit, E> + Send + Sync + 'static,
    ) -> Result<(), E> {
        let (this, artifacts) = (Arc::clone(self), Arc::clone(artifacts));
        let changing = async move {
            let key = (Arc::clone(&target.source.registry), target.package.clone());
            let _turn = this.turns.take(&key).await;
            let mut arrivals = Arrivals::Staged(arrivals);
            let change = Arc::new(change);
            for _ in 0..TRIES {
                let tried = this.try_change(&target, &mut arrivals, &change).await;
                match tried {
                    Ok(Some(mut changed)) => {
                        let unfinished = changed.unfinished.take();
                        // What is committed is shown, though the rest of it failed.
                        this.show_own(key, changed, &artifacts).await;
                        return unfinished
                            .map_or(Ok(()), |fault| Err(OwnError::from(fault).into()));
                    }
                    Ok(None) => {}
                    Err(fault) => {
                        arrivals.give_up(this.store()).await;
                        return Err(fault);
                    }
                }
            }
            arrivals.give_up(this.store()).await;
            Err(OwnError::from(PullError::Busy).into())
        };
        let task = self.store().runtime.spawn(changing);
        task.await.map_err(|_| OwnError::from(PullError::Internal).into()).and_then(|done| done)
    }

    /// `None`: somebody else was faster.
    async fn try_change<E: From<OwnError> + Send + 'static>(
        &self,
        target: &Target,
        arrivals: &mut Arrivals,
        change: &Arc<impl Fn(&OwnState) -> Result<Edit, E> + Send + Sync + 'static>,
    ) -> Result<Option<Changed<F>>, E> {
        let store = self.store();
        let before = Before::read(store, target).await.map_err(E::from)?;
        let state = before.state.clone();
        let change = Arc::clone(change);
        let edit = tokio::task::spawn_blocking(move || change(&state))
            .await
            .map_err(|_| E::from(PullError::Internal.into()))??;
        let parsed = self
            .read(&target.package, edit.document.clone(), None)
            .await
            .map_err(|cause| E::from(unreadable(target, &cause).into()))?;
        let (claims, summary) = (F::claims(&parsed), F::summary(&parsed));
        let changed = write(store, target, &before, arrivals, edit, (&claims, &summary)).await;
        let changed = changed.map_err(E::from)?;
        if changed.is_some() {
            let registry = &target.source.registry;
            store.summaries.note(registry, target.package.name(), &summary);
        }
        Ok(changed.map(|changed| changed.with(parsed)))
    }

    async fn show_own(
        &self,
        key: (Arc<str>, Package),
        changed: Changed<F>,
        artifacts: &Arc<Artifacts>,
    ) {
        let Changed { content, saved, released, .. } = changed;
        for file in &released.files {
            artifacts.forget(&key.0, key.1.name(), file);
        }
        self.show(key, Arc::new(content), Arc::new(saved));
        for (blob, key) in released.blobs {
            self.store().release(&blob, &key).await;
        }
    }
}

/// What the format made can not be read by the same format: a fault of ours.
fn unreadable(target: &Target, cause: &str) -> PullError {
    tracing::error!(package = %target.package, cause, "a changed document can not be read; nothing was kept");
    PullError::Internal
}

/// The files of a change, before and after they are blobs.
enum Arrivals {
    Staged(Vec<Arrival>),
    Kept(Vec<(Key<ArtifactRecord>, ArtifactRecord, Version)>),
}

impl Arrivals {
    /// Makes blobs of what is staged.
    async fn keep(
        &mut self,
        store: &PullStore,
        target: &Target,
        now: Timestamp,
    ) -> Result<&[(Key<ArtifactRecord>, ArtifactRecord, Version)], PullError> {
        if let Self::Staged(staged) = self {
            let staged = std::mem::take(staged);
            // Each is known before it is put: where that fails half way, or the next one does, it
            // is given up.
            *self = Self::Kept(Vec::with_capacity(staged.len()));
            for arrival in staged {
                let key = target.artifact(&arrival.file);
                let record = ArtifactRecord {
                    blob: arrival.digests.sha256.clone(),
                    size: arrival.digests.len,
                    digests: arrival.digests.others,
                    version: arrival.version.to_string(),
                    source: None,
                    fetched: now,
                    own: true,
                };
                if let Self::Kept(kept) = self {
                    kept.push((key.clone(), record.clone(), arrival.version));
                }
                store.put_artifact(&key, arrival.stage, &record).await?;
            }
        }
        match self {
            Self::Kept(kept) => Ok(kept),
            Self::Staged(_) => Ok(&[]),
        }
    }

    /// Blobs that no record came to refer to go away again.
    async fn give_up(&mut self, store: &PullStore) {
        let Self::Kept(kept) = self else { return };
        for (key, record, _) in kept.drain(..) {
            let there = records::read(store.metadata.as_ref(), &key).await;
            if matches!(there, Ok(None)) {
                store.release(&record.blob, key.as_bytes()).await;
            }
        }
    }
}

impl Target {
    fn document(&self) -> Key<DocumentRecord> {
        DocumentRecord::key(&self.source.registry, self.package.name(), NEWEST)
    }

    fn artifact(&self, file: &str) -> Key<ArtifactRecord> {
        ArtifactRecord::key(&self.source.registry, self.package.name(), file)
    }

    fn own(&self) -> Key<OwnRecord> {
        OwnRecord::key(&self.source.registry, &self.folded)
    }
}

struct Before {
    document: Option<Stored<DocumentRecord>>,
    own: Option<Stored<OwnRecord>>,
    state: OwnState,
    /// Where the versions lie.
    places: VersionPlaces,
}

impl Before {
    async fn read(store: &PullStore, target: &Target) -> Result<Self, OwnError> {
        let metadata = store.metadata.as_ref();
        let clash = || OwnError::Clash(target.package.clone());
        let document = store.told(records::read_stored(metadata, &target.document()).await)?;
        if document.as_ref().is_some_and(|stored| !stored.record.own) {
            return Err(clash());
        }
        let own = store.told(records::read_stored(metadata, &target.own()).await)?;
        if let Some(own) = &own
            && own.record.package != target.package.name()
        {
            let (package, other) = (target.package.clone(), own.record.package.clone());
            return Err(OwnError::Collides { package, other });
        }
        let (versions, places) =
            store.read_version_places(&target.source.registry, &target.package).await?;
        if versions.values().any(|record| !record.own) {
            return Err(clash());
        }
        let bytes = match &document {
            None => None,
            Some(stored) => {
                let (blob, size) = (&stored.record.blob, stored.record.size);
                let bytes = store.read_blob(blob, size).await?;
                Some(bytes.ok_or_else(|| PullError::Lost(target.package.to_string()))?)
            }
        };
        let now = store.clock.now();
        let state = OwnState { document: bytes, versions: Arc::new(versions), now };
        Ok(Self { document, own, state, places })
    }
}

/// What has to go once nobody refers to it.
#[derive(Default)]
struct Released {
    files: Vec<String>,
    blobs: Vec<(Digest, Bytes)>,
}

struct Changed<F: DocumentFormat> {
    content: Content<F::Parsed>,
    saved: Saved,
    released: Released,
    unfinished: Option<PullError>,
}

struct Written {
    id: ContentId,
    versions: HashMap<Version, VersionRecord>,
    size: usize,
    saved: Saved,
    released: Released,
    /// The document is committed, and not all that goes with it has gone.
    unfinished: Option<PullError>,
}

impl Written {
    fn with<F: DocumentFormat>(self, parsed: F::Parsed) -> Changed<F> {
        let Self { id, versions, size, saved, released, unfinished } = self;
        Changed {
            content: Content { id, parsed: Arc::new(parsed), versions: versions.into(), size },
            saved,
            released,
            unfinished,
        }
    }
}

/// Blobs first, then everything that names them in one commit.
async fn write(
    store: &PullStore,
    target: &Target,
    before: &Before,
    arrivals: &mut Arrivals,
    edit: Edit,
    (claims, summary): (&[VersionClaim], &SummaryRecord),
) -> Result<Option<Written>, OwnError> {
    let now = before.state.now;
    let mut versions = HashMap::clone(&before.state.versions);
    let mut places = before.places.clone();
    let mut published = Vec::with_capacity(edit.published.len());
    let kept = arrivals.keep(store, target, now).await?;
    for (version, digests) in edit.published {
        if versions.contains_key(&version) {
            // As if somebody else had been faster: the format is asked again, and refuses.
            return Ok(None);
        }
        let mut record = remembered(now, Some(now), digests.into());
        let file = kept.iter().find(|(_, file, _)| file.version == version.as_str());
        record.size = file.map(|(_, file, _)| file.size);
        versions.insert(version.clone(), record.clone());
        published.push((version, record));
    }
    complete(&mut versions, claims, before.document.as_ref().map_or(now, |old| old.record.fetched));
    let new = published.iter().map(|(version, record)| (version, record));
    let mut batch = store.told(places.put(new))?;
    for (key, record, _) in kept {
        batch = batch.expect_absent(key).put_record(key, record);
    }
    if before.own.is_none() {
        let record = OwnRecord { package: target.package.name().to_owned(), since: now };
        let key = target.own();
        batch = batch.expect_absent(&key).put_record(&key, &record);
    }
    let mut gone = Gone::default();
    if !edit.unpublished.is_empty() {
        gone = Gone::find(store, target, &edit.unpublished).await?;
        for version in &edit.unpublished {
            versions
                .entry(version.clone())
                .or_insert_with(|| remembered(now, None, Arc::default()));
        }
        // An earlier change may have come this far with some of them.
        let stands = |version: &&Version| {
            versions.get(*version).is_some_and(|record| record.vanished.is_none())
        };
        let vanishing: Vec<&Version> = edit.unpublished.iter().filter(stands).collect();
        for version in &vanishing {
            let Some(record) = versions.get_mut(*version) else { continue };
            record.vanished = Some(now);
        }
        let records = vanishing.into_iter();
        let records = records.filter_map(|version| versions.get_key_value(version));
        let vanished = store.told(places.put(records))?;
        gone.batch.expectations = vanished.expectations;
        gone.batch.changes.extend(vanished.changes);
    }

    let key = target.document();
    let size = edit.document.len();
    let document = NewDocument::own(edit.document, target.folded.clone());
    let record = store.put_document(&key, document, now).await?;
    batch = batch.expect_unchanged(&key, before.document.as_ref()).put_record(&key, &record);
    let key_of_summary = SummaryRecord::key(&target.source.registry, target.package.name());
    batch = batch.put_record(&key_of_summary, summary);
    // The document says what there is; what it names no more may go a moment later.
    let fits = batch.changes.len() + gone.batch.changes.len() <= MAX_BATCH_CHANGES
        && batch.bytes() + gone.batch.bytes() <= MAX_BATCH_BYTES;
    let mut later = Batch::default();
    if fits {
        let Batch { mut expectations, changes } = std::mem::take(&mut gone.batch);
        // Of what this very batch writes first, that is expected which was there before it.
        expectations.retain(|gone| batch.changes.iter().all(|change| change.key != gone.key));
        batch.expectations.extend(expectations);
        batch.changes.extend(changes);
    } else {
        later = std::mem::take(&mut gone.batch);
    }
    if let Err(fault) = store.metadata.commit(batch).await {
        if matches!(
            fault,
            MetadataError::Conflict { .. }
                | MetadataError::Full(_)
                | MetadataError::TooLarge { .. }
        ) && before.document.as_ref().is_none_or(|stored| stored.record.blob != record.blob)
        {
            store.release(&record.blob, key.as_bytes()).await;
        }
        return match fault {
            MetadataError::Conflict { .. } => Ok(None),
            fault => Err(PullError::from(fault).into()),
        };
    }
    let mut released = gone.released;
    let mut unfinished = None;
    if !later.changes.is_empty() {
        let rest = records::commit_in_parts(store.metadata.as_ref(), later, Batch::default());
        if let Err(fault) = rest.await {
            // Their records may still be there, and the next to unpublish something finds them.
            released.blobs.clear();
            unfinished = Some(PullError::from(fault));
        }
    }
    if let Some(old) = &before.document
        && old.record.blob != record.blob
    {
        released.blobs.push((old.record.blob.clone(), key.to_bytes()));
    }
    let id = ContentId::of(&record.blob, None, &versions);
    let saved = Saved { record, retained: None };
    Ok(Some(Written { id, versions, size, saved, released, unfinished }))
}

/// The files of versions that go.
#[derive(Default)]
struct Gone {
    batch: Batch,
    released: Released,
}

impl Gone {
    async fn find(
        store: &PullStore,
        target: &Target,
        versions: &[Version],
    ) -> Result<Self, PullError> {
        let prefix = ArtifactRecord::of_package(&target.source.registry, target.package.name());
        let versions: HashSet<&str> = versions.iter().map(Version::as_str).collect();
        let mut gone = Self::default();
        for (key, record) in store.read_all(&prefix).await? {
            if versions.contains(record.version.as_str()) {
                gone.batch.changes.push(Change::remove_record(&key));
                gone.released.files.extend(key.parts().into_iter().next_back());
                gone.released.blobs.push((record.blob, key.to_bytes()));
            }
        }
        Ok(gone)
    }
}

/// Records of versions that are in the document and nowhere else, as after a rebuild from what
/// lies beside the blobs.
pub(super) fn complete(
    versions: &mut HashMap<Version, VersionRecord>,
    claims: &[VersionClaim],
    written: Timestamp,
) {
    for claim in claims {
        let first_seen = claim.published.unwrap_or(written);
        versions
            .entry(claim.version.clone())
            .or_insert_with(|| remembered(first_seen, claim.published, Arc::clone(&claim.digests)));
    }
}

fn remembered(
    first_seen: Timestamp,
    published: Option<Timestamp>,
    digests: Arc<[Digest]>,
) -> VersionRecord {
    VersionRecord {
        first_seen,
        published,
        digests,
        vanished: None,
        conflict: None,
        own: true,
        compared: None,
        size: None,
    }
}

#[cfg(test)]
mod tests;
