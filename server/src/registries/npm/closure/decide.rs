//! Many versions at once, as a lockfile names them: each with the decision that an install meets.

use std::collections::HashMap;

use policies::package::PackageVersion;
use tokio::sync::OwnedSemaphorePermit;

use super::stock::{Found, Gathering, Stock};
use crate::pull::PullError;
use crate::registries::closure::{Among, Chosen, ClosureError, Terms, Verdict};

/// Of those that could be looked up. The place is taken until it is done, whoever waits for it.
pub async fn decide(
    chosen: Chosen,
    terms: Terms,
    asked: Vec<PackageVersion>,
    place: OwnedSemaphorePermit,
) -> Result<HashMap<PackageVersion, Verdict>, ClosureError> {
    chosen.clone().work(place, look_up(chosen, terms, asked)).await
}

async fn look_up(
    chosen: Chosen,
    terms: Terms,
    asked: Vec<PackageVersion>,
) -> HashMap<PackageVersion, Verdict> {
    let gate = chosen.main.garden.gate.clone();
    let gathering = Gathering::new(chosen, terms.clone(), Among::Everything, false);
    let asks = asked.iter().map(|one| (one.package.name().into(), one.version.as_str().into()));
    let mut stock = Stock::default();
    gathering.gather(&mut stock, asks.collect()).await;
    let verdict = |subject: PackageVersion| {
        let found = stock.find(subject.package.name(), subject.version.as_str());
        let unknown = match found {
            Some(Found::Version(id)) => {
                let picked = &stock.versions[*id];
                let decision = picked.shelf.decision(picked.place).clone();
                let verdict = Verdict { subject: subject.clone(), decision, unknown: None };
                return Some((subject, verdict));
            }
            Some(Found::NoVersion(_)) => "the registry has no such version".to_owned(),
            Some(Found::Failed(_, PullError::Absent)) => {
                "the registry has no such package".to_owned()
            }
            Some(Found::Failed(_, fault)) => fault.to_string(),
            Some(Found::Odd(_)) => "it is no version that npm knows".to_owned(),
            None => {
                let why = stock.incomplete.first().cloned();
                why.unwrap_or_else(|| "it was not asked for".to_owned())
            }
        };
        let verdict = terms.unknown(&gate, subject.clone(), unknown)?;
        Some((subject, verdict))
    };
    asked.into_iter().filter_map(verdict).collect()
}
