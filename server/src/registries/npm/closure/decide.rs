//! Many versions at once, as a lockfile names them: each with the decision that an install meets.

use std::collections::HashMap;

use policies::package::PackageVersion;
use tokio::sync::OwnedSemaphorePermit;

use super::stock::{Found, Gathering, Stock};
use crate::pull::PullError;
use crate::registries::closure::{
    Among, Chosen, ClosureError, LookedUp, Terms, Verdict, why_not_asked,
};

/// Of those that could be looked up. The place is taken until it is done, whoever waits for it.
pub async fn decide(
    chosen: Chosen,
    terms: Terms,
    asked: Vec<PackageVersion>,
    place: OwnedSemaphorePermit,
) -> Result<HashMap<PackageVersion, Verdict>, ClosureError> {
    chosen.clone().work(place, look_all_up(chosen, terms, asked)).await
}

async fn look_all_up(
    chosen: Chosen,
    terms: Terms,
    asked: Vec<PackageVersion>,
) -> HashMap<PackageVersion, Verdict> {
    let gate = chosen.main.garden.gate.clone();
    let gathering = Gathering::new(chosen, terms.clone(), Among::Everything, false);
    let asks = asked.iter().map(|one| (one.package.name().into(), one.version.as_str().into()));
    let mut stock = Stock::default();
    gathering.gather(&mut stock, asks.collect()).await;
    terms.verdicts(&gate, asked, |subject| look_up(&stock, subject))
}

/// An error says why nothing is known of it.
fn look_up(stock: &Stock, subject: &PackageVersion) -> Result<LookedUp, String> {
    match stock.find(subject.package.name(), subject.version.as_str()) {
        Some(Found::Version(id)) => {
            let picked = &stock.versions[*id];
            let decision = picked.shelf.decision(picked.place).clone();
            Ok(LookedUp { decision, undecided: false })
        }
        Some(Found::NoVersion(_)) => Err("the registry has no such version".to_owned()),
        Some(Found::Failed(_, PullError::Absent)) => {
            Err("the registry has no such package".to_owned())
        }
        Some(Found::Failed(_, fault)) => Err(fault.to_string()),
        Some(Found::Odd(_)) => Err("it is no version that npm knows".to_owned()),
        None => Err(why_not_asked(&stock.incomplete)),
    }
}
