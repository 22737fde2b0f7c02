//! The files of a change: staged, then blobs that no record names yet, then named or given up.

use jiff::Timestamp;
use policies::package::Version;

use super::{Arrival, Target};
use crate::metadata::records::{self, ArtifactRecord, Key};
use crate::pull::PullError;
use crate::pull::store::PullStore;

/// The files of a change, before and after they are blobs.
pub(super) enum Arrivals {
    Staged(Vec<Arrival>),
    Kept(Vec<(Key<ArtifactRecord>, ArtifactRecord, Version)>),
}

impl Arrivals {
    /// Makes blobs of what is staged.
    pub(super) async fn keep(
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
    pub(super) async fn give_up(&mut self, store: &PullStore) {
        let Self::Kept(kept) = self else { return };
        for (key, record, _) in kept.drain(..) {
            let there = records::read(store.metadata.as_ref(), &key).await;
            if matches!(there, Ok(None)) {
                store.release(&record.blob, key.as_bytes()).await;
            }
        }
    }
}
