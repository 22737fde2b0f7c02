//! What is there of a package before it is changed, and whether it may be changed at all.

use std::sync::Arc;

use super::{OwnError, OwnState, Target};
use crate::metadata::records::{self, DocumentRecord, OwnRecord, Stored, VersionPlaces};
use crate::pull::PullError;
use crate::pull::store::PullStore;

pub(super) struct Before {
    pub(super) document: Option<Stored<DocumentRecord>>,
    pub(super) own: Option<Stored<OwnRecord>>,
    pub(super) state: OwnState,
    /// Where the versions lie.
    pub(super) places: VersionPlaces,
}

impl Before {
    pub(super) async fn read(store: &PullStore, target: &Target) -> Result<Self, OwnError> {
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
        if own.is_none() {
            for other in (target.spellings)(&target.package) {
                let registry = &target.source.registry;
                let key = DocumentRecord::key(registry, other.name(), DocumentRecord::NEWEST);
                let known = store.told(records::read_stored(metadata, &key).await)?;
                if known.is_some_and(|stored| !stored.record.own) {
                    return Err(OwnError::Clash(other));
                }
            }
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
