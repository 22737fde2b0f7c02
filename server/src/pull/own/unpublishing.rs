//! The rest of an unpublish that is more than one commit holds.
//!
//! ```text
//! first commit   the document without the versions, and the note of what is still to go → shown
//! then           versions are remembered as gone → files go, a page at a time, with their bytes
//! last commit    the note goes
//! ```
//!
//! The document alone says what is served, so nothing of the rest is. A kill or a full disk leaves
//! the note, from which each start, the server's upkeep and the next change of the package go on.
//! Each step may be made again. Meanwhile nothing else of the package is changed: a change finishes
//! the rest first, or says why that can not be done.

use std::collections::HashSet;
use std::sync::Arc;

use policies::package::{Ecosystem, Package, Version};
use tokio::sync::MutexGuard;

use super::{OwnError, remembered};
use crate::metadata::records::{
    self, ArtifactRecord, Key, Prefix, Stored, UnpublishingRecord, show_key,
};
use crate::metadata::{Batch, Entry, MAX_BATCH_CHANGES, MetadataError};
use crate::observability::AlarmKind;
use crate::pull::PullError;
use crate::pull::artifacts::Artifacts;
use crate::pull::documents::{DocumentKey, Documents};
use crate::pull::format::DocumentFormat;
use crate::pull::store::PullStore;

/// Files that go in one commit.
const PAGE: usize = MAX_BATCH_CHANGES / 4;

/// What is still to go of one package.
struct Note {
    first: Stored<UnpublishingRecord>,
    versions: Vec<Version>,
    keys: Vec<Key<UnpublishingRecord>>,
}

impl<F: DocumentFormat> Documents<F> {
    /// The packages of which something that was unpublished is still to go.
    pub async fn unpublishing(
        &self,
        registry: &str,
        ecosystem: Ecosystem,
    ) -> Result<Vec<Package>, PullError> {
        let prefix = Prefix::<UnpublishingRecord>::of_registry(registry);
        let mut packages: Vec<Package> = Vec::new();
        let mut last = None;
        loop {
            let page = self.store().metadata.scan(prefix.as_bytes(), last.as_deref(), PAGE).await?;
            let Some(entry) = page.last() else { return Ok(packages) };
            last = Some(entry.key.clone());
            for Entry { key, .. } in page {
                let parts = Key::<UnpublishingRecord>::parse(&key).map(|key| key.parts());
                let name = parts.as_deref().and_then(|parts| parts.get(1));
                let package = name.and_then(|name| Package::new(ecosystem, name).ok());
                match package {
                    Some(package) if packages.last() == Some(&package) => {}
                    Some(package) => packages.push(package),
                    None => self.store().alarm(
                        AlarmKind::RecordDamaged,
                        &format!("the key {} names no package of {registry}", show_key(&key)),
                    ),
                }
            }
        }
    }

    /// Takes away what is still to go of this package. Whether there was anything.
    pub async fn finish_unpublishing(
        &self,
        artifacts: &Arc<Artifacts>,
        registry: &Arc<str>,
        package: &Package,
    ) -> Result<bool, OwnError> {
        let key = (Arc::clone(registry), package.clone());
        let note = {
            let _turn = self.turns.take(&key).await;
            self.begin_to_finish(&key).await?
        };
        // Whoever reads the package does not wait for its files to go: nobody needs them.
        self.finish(artifacts, &key, note).await
    }

    /// The turn of a package of which nothing is still to go. It is given back while files go.
    pub(super) async fn take_when_finished(
        &self,
        artifacts: &Arc<Artifacts>,
        key: &DocumentKey,
    ) -> Result<MutexGuard<'_, ()>, OwnError> {
        loop {
            let turn = self.turns.take(key).await;
            let note = self.begin_to_finish(key).await?;
            if note.is_none() {
                return Ok(turn);
            }
            drop(turn);
            self.finish(artifacts, key, note).await?;
        }
    }

    /// What is still to go, from now on remembered as gone.
    async fn begin_to_finish(&self, key: &DocumentKey) -> Result<Option<Note>, OwnError> {
        let store = self.store();
        let (registry, package) = (key.0.as_ref(), &key.1);
        let Some(note) = Note::read(store, registry, package).await? else { return Ok(None) };
        let remembered = remember_as_gone(store, registry, package, &note).await;
        remembered.map_err(|fault| note.unfinished(package, fault))?;
        // It was read when they were not yet remembered as gone.
        self.drop_from_memory(key);
        Ok(Some(note))
    }

    async fn finish(
        &self,
        artifacts: &Arc<Artifacts>,
        key: &DocumentKey,
        note: Option<Note>,
    ) -> Result<bool, OwnError> {
        let store = self.store();
        let Some(note) = note else { return Ok(false) };
        let finished = async {
            remove_files(store, artifacts, key, &note).await?;
            note.remove(store).await
        };
        finished.await.map(|()| true).map_err(|fault| note.unfinished(&key.1, fault))
    }
}

impl Note {
    fn unfinished(&self, package: &Package, fault: PullError) -> OwnError {
        OwnError::Unfinished {
            package: Box::new(package.clone()),
            since: self.first.record.since,
            fault: Box::new(fault),
        }
    }

    async fn read(
        store: &PullStore,
        registry: &str,
        package: &Package,
    ) -> Result<Option<Self>, PullError> {
        let metadata = store.metadata.as_ref();
        let key = |n| UnpublishingRecord::key(registry, package.name(), n);
        let first = store.told(records::read_stored(metadata, &key(0)).await)?;
        // What lies behind a first one that was never committed does not count.
        let Some(first) = first else { return Ok(None) };
        let mut keys = vec![key(0)];
        let mut names = first.record.versions.clone();
        for n in 1..=first.record.more.unwrap_or(0) {
            let record = store.told(records::read(metadata, &key(n)).await)?;
            let missing = || MetadataError::Damaged {
                key: show_key(key(n).as_bytes()),
                cause: "it is not there, and the note before it counts on it".to_owned(),
            };
            names.extend(store.told(record.ok_or_else(missing))?.versions);
            keys.push(key(n));
        }
        let versions = names.iter().filter_map(|name| Version::new(name).ok()).collect();
        Ok(Some(Self { first, versions, keys }))
    }

    async fn remove(&self, store: &PullStore) -> Result<(), PullError> {
        let mut batch = Batch::default().expect_unchanged(&self.keys[0], Some(&self.first));
        for key in &self.keys {
            batch = batch.remove_record(key);
        }
        match store.metadata.commit(batch).await {
            // Another process was as far.
            Err(MetadataError::Conflict { .. }) => Ok(()),
            done => Ok(done?),
        }
    }
}

/// Nothing else is ever published under them.
async fn remember_as_gone(
    store: &PullStore,
    registry: &str,
    package: &Package,
    note: &Note,
) -> Result<(), PullError> {
    let since = note.first.record.since;
    let (mut versions, mut places) = store.read_version_places(registry, package).await?;
    let mut gone = Vec::new();
    for version in &note.versions {
        let known = versions.remove(version);
        let mut record = known.unwrap_or_else(|| remembered(since, None, Arc::default()));
        if record.vanished.is_none() {
            record.vanished = Some(since);
            gone.push((version, record));
        }
    }
    let gone = gone.iter().map(|(version, record)| (*version, record));
    let batch = store.told(places.put(gone))?;
    if !batch.changes.is_empty() {
        records::commit_in_parts(store.metadata.as_ref(), batch, Batch::default()).await?;
    }
    Ok(())
}

/// Records first, and then the bytes that none of them names any more.
async fn remove_files(
    store: &PullStore,
    artifacts: &Arc<Artifacts>,
    (registry, package): &DocumentKey,
    note: &Note,
) -> Result<(), PullError> {
    let versions: HashSet<&str> = note.versions.iter().map(Version::as_str).collect();
    let prefix = ArtifactRecord::of_package(registry, package.name());
    let mut last = None;
    loop {
        let page = store.metadata.scan(prefix.as_bytes(), last.as_deref(), PAGE).await?;
        let Some(entry) = page.last() else { return Ok(()) };
        last = Some(entry.key.clone());
        let mut batch = Batch::default();
        let mut blobs = Vec::new();
        for Entry { key, value } in page {
            // A record that can not be read says of no version that it is its own: it stays, and
            // is told.
            let Ok(record) = store.told(records::decode::<ArtifactRecord>(&key, &value)) else {
                continue;
            };
            if record.own && versions.contains(record.version.as_str()) {
                batch = batch.remove(key.clone());
                blobs.push((record.blob, key));
            }
        }
        if !batch.changes.is_empty() {
            store.metadata.commit(batch).await?;
        }
        for (blob, key) in blobs {
            let file = Key::<ArtifactRecord>::parse(&key).and_then(|key| key.parts().pop());
            if let Some(file) = file {
                artifacts.forget(registry, package.name(), &file);
            }
            store.release(&blob, &key).await;
        }
    }
}
