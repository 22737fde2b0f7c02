//! Makes a change durable: blobs first, then everything that names them in one commit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use policies::package::{Digest, Version};

use super::arrivals::Arrivals;
use super::before::Before;
use super::telling::told;
use super::{Edit, OwnError, Target, complete, remembered};
use crate::metadata::records::{
    self, ArtifactRecord, OwnRecord, SummaryRecord, UnpublishingRecord, VersionRecord,
};
use crate::metadata::{Batch, Change, MAX_BATCH_BYTES, MAX_BATCH_CHANGES, MetadataError};
use crate::pull::PullError;
use crate::pull::content::{Content, ContentId};
use crate::pull::format::{DocumentFormat, VersionClaim};
use crate::pull::store::{NewDocument, PullStore, Saved};

/// What has to go once nobody refers to it.
#[derive(Default)]
pub(super) struct Released {
    pub(super) files: Vec<String>,
    pub(super) blobs: Vec<(Digest, Bytes)>,
}

pub(super) struct Changed<F: DocumentFormat> {
    pub(super) content: Content<F::Parsed>,
    pub(super) saved: Saved,
    pub(super) released: Released,
    /// As in [`Written`].
    pub(super) has_rest: bool,
}

pub(super) struct Written {
    id: ContentId,
    versions: HashMap<Version, VersionRecord>,
    size: usize,
    saved: Saved,
    released: Released,
    /// What went out of the document is noted, and still there.
    has_rest: bool,
}

impl Written {
    pub(super) fn with<F: DocumentFormat>(self, parsed: F::Parsed) -> Changed<F> {
        let Self { id, versions, size, saved, released, has_rest } = self;
        Changed {
            content: Content { id, parsed: Arc::new(parsed), versions: versions.into(), size },
            saved,
            released,
            has_rest,
        }
    }
}

/// Blobs first, then everything that names them in one commit.
pub(super) async fn write(
    store: &PullStore,
    target: &Target,
    before: &Before,
    arrivals: &mut Arrivals,
    edit: Edit,
    (claims, summary): (&[VersionClaim], &SummaryRecord),
) -> Result<Option<Written>, OwnError> {
    let now = before.state.now;
    let told = told(target, &edit, now);
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
        // What was taken over from elsewhere may say so already.
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
    batch.changes.extend(told);
    // The document says what there is; what it names no more may go a moment later.
    let fits = batch.changes.len() + gone.batch.changes.len() <= MAX_BATCH_CHANGES
        && batch.bytes() + gone.batch.bytes() <= MAX_BATCH_BYTES;
    let mut first = Batch::default();
    if fits {
        let Batch { mut expectations, changes } = std::mem::take(&mut gone.batch);
        // Of what this very batch writes first, that is expected which was there before it.
        expectations.retain(|gone| batch.changes.iter().all(|change| change.key != gone.key));
        batch.expectations.extend(expectations);
        batch.changes.extend(changes);
    } else {
        // What is still to go is known from this commit on, and found again by that.
        gone = Gone::default();
        let (note, behind) = UnpublishingRecord::of(now, &edit.unpublished);
        batch = batch.put_record(&target.unpublishing(0), &note);
        for (n, record) in (1..).zip(&behind) {
            first = first.put_record(&target.unpublishing(n), record);
        }
    }
    let committed = records::commit_in_parts(store.metadata.as_ref(), first, batch).await;
    if let Err(fault) = committed {
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
    if let Some(old) = &before.document
        && old.record.blob != record.blob
    {
        released.blobs.push((old.record.blob.clone(), key.to_bytes()));
    }
    let id = ContentId::of(&record.blob, None, &versions);
    let saved = Saved { record, retained: None };
    Ok(Some(Written { id, versions, size, saved, released, has_rest: !fits }))
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
