//! What came of comparing an artifact with what is said of it, kept with its version.

use std::sync::Arc;

use policies::package::{Package, Version};

use super::PullStore;
use crate::metadata::Batch;
use crate::metadata::MetadataError;
use crate::metadata::records::{
    Compared, InsideRecord, Observation, ObservationKind, VersionRecord,
};
use crate::pull::PullError;

/// Where other processes write the versions of the same package, it is tried so often.
const TRIES: usize = 8;

/// What came of opening an artifact.
#[derive(Debug)]
pub struct Comparing {
    pub compared: Compared,
    /// Of the artifact.
    pub size: u64,
    /// What it says and no document does, where artifacts say such things.
    pub inside: Option<InsideRecord>,
    /// What a person should see, if anything.
    pub seen: Option<ObservationKind>,
}

impl PullStore {
    /// What is remembered of the version from now on, with what was seen if it was not seen just
    /// like that before; `None` if nothing is remembered of it any more. Of what is published here
    /// only what its artifact says is kept, and with it `own` where the store has no record of it. The
    /// caller has the turn of the package.
    pub async fn keep_comparison(
        &self,
        registry: &str,
        package: &Package,
        version: &Version,
        comparing: Comparing,
        own: Option<VersionRecord>,
    ) -> Result<Option<VersionRecord>, PullError> {
        let Comparing { compared, size, inside, seen } = comparing;
        let inside = inside.map(Arc::new);
        let key = InsideRecord::key(registry, package.name(), version.as_str());
        for _ in 0..TRIES {
            let (mut versions, mut places) = self.read_version_places(registry, package).await?;
            let is_told = inside.is_some();
            let stored = versions.remove(version);
            let is_lost = stored.is_none();
            let found = stored.or_else(|| own.clone()).filter(|record| !record.own || is_told);
            let Some(mut record) = found else { return Ok(None) };
            record.inside.clone_from(&inside);
            let now = self.clock.now();
            let mut batch = Batch::default();
            if !record.own {
                record.compared = Some(compared.clone());
                record.size = Some(size);
            }
            if !record.own || is_lost {
                batch = self.told(places.put([(version, &record)]))?;
            }
            if let Some(inside) = &inside {
                batch = batch.put_record(&key, inside.as_ref());
            }
            if let Some(what) = &seen
                && !record.own
                && !self.is_last_seen(registry, package, version, what).await?
            {
                let version = Some(version.to_string());
                let observation = Observation { at: now, what: what.clone(), version };
                batch =
                    self.add_observations(batch, registry, package, &[observation], now).await?;
            }
            match self.metadata.commit(batch).await {
                Ok(()) => return Ok(Some(record)),
                Err(MetadataError::Conflict { .. }) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(PullError::Busy)
    }

    /// Whether the last comparison of this version that found something found this.
    async fn is_last_seen(
        &self,
        registry: &str,
        package: &Package,
        version: &Version,
        what: &ObservationKind,
    ) -> Result<bool, PullError> {
        let observations =
            self.read_all(&Observation::of_package(registry, package.name())).await?;
        let of_version =
            observations.iter().rev().map(|(_, observation)| observation).find(|one| {
                let is_found = matches!(
                    one.what,
                    ObservationKind::Contradicts { .. } | ObservationKind::Unreadable { .. }
                );
                is_found && one.version.as_deref() == Some(version.as_str())
            });
        Ok(of_version.is_some_and(|observation| observation.what == *what))
    }
}
