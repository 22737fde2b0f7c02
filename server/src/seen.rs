//! What this garden remembers of a version: its dates, by two clocks, and what changed upstream.
//!
//! The upstream's date is the publisher's word, ours is when we first saw it. Both are shown, so
//! that a date that was forged is seen for what it is.

use std::sync::Arc;

use jiff::Timestamp;
use policies::facts::Comparison;
use policies::package::{Ecosystem, Package, Version};
use serde::{Deserialize, Serialize};

use crate::metadata::records::{self, DocumentRecord, Observation, ObservationKind, VersionRecord};
use crate::metadata::{Metadata, MetadataError};
use crate::pull::comparing;

/// Where it is remembered.
#[derive(Clone, Debug)]
pub struct Memory {
    pub metadata: Arc<dyn Metadata>,
    /// Every registry, with the ecosystem of its packages.
    pub registries: Arc<[(Arc<str>, Ecosystem)]>,
}

/// One registry's memory of one version.
#[derive(Clone, Debug)]
pub struct Recalled {
    pub registry: Arc<str>,
    /// Absent where the version was never offered.
    pub record: Option<VersionRecord>,
    observations: Vec<Observation>,
}

/// The same, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Seen {
    /// Its name.
    pub registry: String,
    /// It was published here.
    pub own: bool,
    /// By our own clock; absent where the version was never offered.
    pub first_seen: Option<Timestamp>,
    /// By the upstream's word.
    pub published: Option<Timestamp>,
    /// Since when the upstream does not list it any more.
    pub vanished: Option<Timestamp>,
    /// Since when the upstream promises other bytes for it; the first ones stand.
    pub other_bytes: Option<Timestamp>,
    /// What came of comparing its artifact with what the upstream says of it; absent until then.
    pub compared: Option<Comparison>,
    /// What else was observed, the latest last.
    pub observed: Vec<Observed>,
}

/// What was observed, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Observation)]
pub struct Observed {
    pub at: Timestamp,
    /// For a person.
    pub what: String,
}

/// As many as are kept of a package.
const PAGE: usize = 1000;
/// As many as a person reads.
const OBSERVED_AT_MOST: usize = 20;

impl Memory {
    /// What the registries of the package's ecosystem remember, in their order; of those that have
    /// never seen the version, nothing.
    pub async fn recall(
        &self,
        package: &Package,
        version: &Version,
    ) -> Result<Vec<Recalled>, MetadataError> {
        let mut all = Vec::new();
        for (registry, ecosystem) in self.registries.iter() {
            if *ecosystem != package.ecosystem() {
                continue;
            }
            let (mut versions, _) =
                records::read_versions(self.metadata.as_ref(), registry, package).await?;
            let record = versions.remove(version);
            let prefix = Observation::of_package(registry, package.name());
            let observations = records::scan(self.metadata.as_ref(), &prefix, None, PAGE).await?;
            let observations: Vec<Observation> = observations
                .into_iter()
                .map(|(_, observation)| observation)
                .filter(|observation| observation.version.as_deref() == Some(version.as_str()))
                .collect();
            if record.is_some() || !observations.is_empty() {
                all.push(Recalled { registry: Arc::clone(registry), record, observations });
            }
        }
        Ok(all)
    }
}

impl Memory {
    /// Whether the package is published here: in this registry, or in the first one that knows it.
    pub async fn is_own(&self, package: &Package, of: Option<&str>) -> Result<bool, MetadataError> {
        for (registry, ecosystem) in self.registries.iter() {
            if *ecosystem != package.ecosystem() || of.is_some_and(|of| *of != **registry) {
                continue;
            }
            let key = DocumentRecord::key(registry, package.name(), DocumentRecord::NEWEST);
            if let Some(record) = records::read(self.metadata.as_ref(), &key).await? {
                return Ok(record.own);
            }
        }
        Ok(false)
    }
}

impl From<Recalled> for Seen {
    fn from(recalled: Recalled) -> Self {
        let Recalled { registry, record, observations } = recalled;
        let record = record.as_ref();
        let surplus = observations.len().saturating_sub(OBSERVED_AT_MOST);
        Self {
            registry: registry.to_string(),
            own: record.is_some_and(|record| record.own),
            first_seen: record.map(|record| record.first_seen),
            published: record.and_then(|record| record.published),
            vanished: record.and_then(|record| record.vanished),
            other_bytes: record.and_then(|record| record.conflict),
            compared: record
                .and_then(|record| record.compared.as_ref())
                .map(|compared| compared.found),
            observed: observations
                .into_iter()
                .skip(surplus)
                .map(|Observation { at, what, .. }| Observed { at, what: in_words(&what) })
                .collect(),
        }
    }
}

fn in_words(what: &ObservationKind) -> String {
    match what {
        ObservationKind::Appeared => "the upstream lists it".to_owned(),
        ObservationKind::Vanished => "the upstream lists it no more".to_owned(),
        ObservationKind::Returned => "the upstream lists it again".to_owned(),
        ObservationKind::Deprecated => "it is deprecated".to_owned(),
        ObservationKind::Undeprecated => "it is deprecated no more".to_owned(),
        ObservationKind::Yanked => "it is yanked".to_owned(),
        ObservationKind::Unyanked => "it is yanked no more".to_owned(),
        ObservationKind::LeftOut { why } => format!("it is left out here: {why}"),
        ObservationKind::TagMoved { tag, .. } => format!("the tag {tag} was moved"),
        ObservationKind::BytesChanged { .. } => {
            "the upstream promises other bytes for it; the first ones stand".to_owned()
        }
        ObservationKind::Contradicts { .. } | ObservationKind::Unreadable { .. } => {
            comparing::in_words(what)
        }
    }
}
