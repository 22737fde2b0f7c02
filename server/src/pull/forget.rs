//! Forgetting what an upstream said of a name that is published here.
//!
//! A name may be known from an upstream from before it was own. What was installed under it must
//! not become something else by itself, so nothing is published under it until somebody who
//! answers for this garden has that state dropped. No flight brings it back: own names are asked
//! of nobody.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use policies::package::{Digest, Package, Version};
use serde::{Deserialize, Serialize};

use super::artifacts::Artifacts;
use super::documents::Documents;
use super::format::DocumentFormat;
use super::plain::PlainDocuments;
use super::store::PullStore;
use super::{PullError, Source};
use crate::audit::{Action, Entry};
use crate::metadata::records::{
    self, ArtifactRecord, DocumentRecord, InsideRecord, Prefix, Record, SummaryRecord,
    VersionRecord, VersionsRecord,
};
use crate::metadata::{Batch, Change};

/// How much was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Forgotten {
    /// Documents that were dropped.
    pub documents: usize,
    /// Versions that were dropped.
    pub versions: usize,
    /// Files that were dropped.
    pub files: usize,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum ForgetError {
    /// Nobody else has it.
    #[error("{0} is published here, and what is published here stays")]
    Own(Package),
    #[error(transparent)]
    Pull(#[from] PullError),
}

impl<F: DocumentFormat> Documents<F> {
    /// Drops document, files, versions and summary of a name that the upstream is not asked for any
    /// more. What was observed of it stays on record.
    pub async fn forget(
        &self,
        artifacts: &Arc<Artifacts>,
        plain: &Arc<PlainDocuments>,
        source: &Arc<Source>,
        package: &Package,
    ) -> Result<Forgotten, ForgetError> {
        let key = (Arc::clone(&source.registry), package.clone());
        let _turn = self.turns.take(&key).await;
        let (store, registry) = (self.store(), &source.registry);
        let found = Found::read(store, registry, package).await?;
        if found.is_own() {
            return Err(ForgetError::Own(package.clone()));
        }
        let forgotten = Forgotten {
            documents: found.documents.len(),
            versions: found.versions.len(),
            files: found.artifacts.len(),
        };
        let mut changes =
            keys_below(store, &VersionsRecord::of_package(registry, package.name())).await?;
        changes.extend(
            keys_below(store, &ArtifactRecord::of_package(registry, package.name())).await?,
        );
        changes
            .extend(keys_below(store, &InsideRecord::of_package(registry, package.name())).await?);
        // While a document is there nothing is published, so a crash leaves what can be done again.
        let last = keys_below(store, &DocumentRecord::of_package(registry, package.name())).await?;
        let mut last = Batch { changes: last, ..Batch::default() };
        last = last.remove_record(&SummaryRecord::key(registry, package.name()));
        let entry = Entry::new(Action::Forgotten)
            .package(package)
            .detail("registry", registry)
            .detail("documents", &forgotten.documents)
            .detail("versions", &forgotten.versions)
            .detail("files", &forgotten.files);
        last = last.note(entry, store.clock.now());
        let first = Batch { changes, ..Batch::default() };
        records::commit_in_parts(store.metadata.as_ref(), first, last)
            .await
            .map_err(PullError::from)?;
        store.summaries.forget(registry, package.name());
        self.drop_from_memory(&key);
        for (file, ..) in &found.artifacts {
            artifacts.forget(registry, package.name(), file);
        }
        for (document, ..) in &found.documents {
            plain.forget(registry, package.name(), document);
        }
        for (_, blob, key) in found.documents.into_iter().chain(found.artifacts) {
            store.release(&blob, &key).await;
        }
        Ok(forgotten)
    }
}

impl<F: DocumentFormat> Documents<F> {
    /// Drops files of one version that came from the upstream. What is known of the version stays, so
    /// they are held against the same digests when they come again.
    pub async fn evict(
        &self,
        artifacts: &Arc<Artifacts>,
        source: &Arc<Source>,
        package: &Package,
        version: &Version,
        files: &[String],
    ) -> Result<(), ForgetError> {
        let (store, registry) = (self.store(), &source.registry);
        let _turn = self.turns.take(&(Arc::clone(registry), package.clone())).await;
        let (mut batch, mut blobs) = (Batch::default(), Vec::new());
        for file in files {
            let key = ArtifactRecord::key(registry, package.name(), file);
            let stored = records::read_stored(store.metadata.as_ref(), &key);
            let Some(stored) = stored.await.map_err(PullError::from)? else { continue };
            if stored.record.own {
                return Err(ForgetError::Own(package.clone()));
            }
            batch = batch.expect_unchanged(&key, Some(&stored)).remove_record(&key);
            blobs.push((file, stored.record.blob, key.to_bytes()));
        }
        if blobs.is_empty() {
            return Ok(());
        }
        let entry = Entry::new(Action::Forgotten)
            .package(package)
            .versions(Some(version.as_str()))
            .detail("registry", registry)
            .detail("files", &blobs.len());
        let batch = batch.note(entry, store.clock.now());
        store.metadata.commit(batch).await.map_err(PullError::from)?;
        for (file, blob, key) in blobs {
            artifacts.forget(registry, package.name(), file);
            store.release(&blob, &key).await;
        }
        Ok(())
    }
}

/// Names of documents or files, each with its blob and the key of its record.
type Named = Vec<(String, Digest, Bytes)>;

struct Found {
    documents: Named,
    artifacts: Named,
    versions: HashMap<Version, VersionRecord>,
    has_own: bool,
}

impl Found {
    async fn read(store: &PullStore, registry: &str, package: &Package) -> Result<Self, PullError> {
        let mut has_own = false;
        let (mut documents, mut artifacts) = (Vec::new(), Vec::new());
        for (key, record) in
            store.read_all(&DocumentRecord::of_package(registry, package.name())).await?
        {
            has_own |= record.own;
            let name = key.parts().pop().unwrap_or_default();
            documents.push((name, record.blob, key.to_bytes()));
        }
        for (key, record) in
            store.read_all(&ArtifactRecord::of_package(registry, package.name())).await?
        {
            has_own |= record.own;
            let name = key.parts().pop().unwrap_or_default();
            artifacts.push((name, record.blob, key.to_bytes()));
        }
        let versions = store.read_versions(registry, package).await?;
        Ok(Self { documents, artifacts, versions, has_own })
    }

    /// Also where it was unpublished in all its versions.
    fn is_own(&self) -> bool {
        self.has_own || self.versions.values().any(|record| record.own)
    }
}

/// Removals of all that lies below a prefix, read or not.
async fn keys_below<R: Record>(
    store: &PullStore,
    prefix: &Prefix<R>,
) -> Result<Vec<Change>, PullError> {
    const PAGE: usize = 1000;
    let mut removals: Vec<Change> = Vec::new();
    loop {
        let after = removals.last().map(|change| change.key.clone());
        let page = store.metadata.scan(prefix.as_bytes(), after.as_deref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        removals.extend(page.into_iter().map(|entry| Change { key: entry.key, value: None }));
        if is_last {
            return Ok(removals);
        }
    }
}
