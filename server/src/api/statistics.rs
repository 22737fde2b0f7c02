//! `/statistics`: how much is asked for and decided, and how much lies in the garden.

use actix_web::web;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Api;
use super::status::Vitals;
use super::table::{Endpoint, READ, get};
use crate::jobs::census::Held;
use crate::observability::metrics::RegistryCounts;

pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("show_statistics", "/statistics", READ, "How much is asked for and stored", show)
            .note(
                "Requests are counted since the start of the program. What is stored is counted by \
                 the job `statistics`, from time to time.",
            )
            .answers::<Statistics>(200, "By registry."),
    ]
}

/// How much is asked for and stored.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Statistics {
    /// Since when requests are counted.
    pub since: Timestamp,
    /// When what is stored was counted; absent until the first time after the start.
    pub counted: Option<Timestamp>,
    /// Requests for packages that stand open.
    pub open_requests: u64,
    /// In the order in which they are asked.
    pub registries: Vec<RegistryStatistics>,
}

/// Of one registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RegistryStatistics {
    /// Its name.
    pub registry: String,
    /// From clients.
    pub requests: u64,
    /// Those of them that failed here, or by the upstream: with a status from 500 on.
    pub failed: u64,
    pub decisions: DecisionCounts,
    pub cache: CacheCounts,
    /// Absent until it was counted.
    pub stored: Option<StoredCounts>,
}

/// What was decided of what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DecisionCounts {
    /// Allowed.
    pub allow: u64,
    /// Refused for now.
    pub hold: u64,
    /// Refused.
    pub deny: u64,
}

/// Where answers came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CacheCounts {
    /// They were here.
    pub hit: u64,
    /// They were fetched.
    pub miss: u64,
    /// They were here, and could not be confirmed by the upstream.
    pub stale: u64,
    /// Somebody else was fetching them already.
    pub joined: u64,
}

/// What is stored of a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoredCounts {
    /// Packages.
    pub packages: u64,
    /// Those of them that are published here.
    pub own: u64,
    /// Versions that are known, whether or not their files are held.
    pub versions: u64,
    /// Files that are held.
    pub files: u64,
    /// Bytes of these; what several of them share counts for each.
    pub bytes: u64,
}

impl From<Held> for StoredCounts {
    fn from(held: Held) -> Self {
        let Held { packages, own, versions, files, bytes } = held;
        Self { packages, own, versions, files, bytes }
    }
}

pub async fn show(api: web::Data<Api>, vitals: web::Data<Vitals>) -> web::Json<Statistics> {
    let counted = vitals.census.counted();
    let requests = vitals.metrics.counted_requests();
    let of_registry = |name: &str| {
        let counts = requests.iter().find(|(known, _)| &**known == name);
        let counts = counts.map(|(_, counts)| *counts).unwrap_or_default();
        let stored = counted.as_ref().and_then(|counted| counted.registries.get(name).copied());
        let RegistryCounts { requests, failed, allow, hold, deny, hit, miss, stale, joined } =
            counts;
        RegistryStatistics {
            registry: name.to_owned(),
            requests,
            failed,
            decisions: DecisionCounts { allow, hold, deny },
            cache: CacheCounts { hit, miss, stale, joined },
            stored: stored.map(StoredCounts::from),
        }
    };
    web::Json(Statistics {
        since: vitals.started,
        counted: counted.as_ref().map(|counted| counted.at),
        open_requests: api.requests.open_count() as u64,
        registries: api.registries.iter().map(|(_, one)| of_registry(&one.name)).collect(),
    })
}
