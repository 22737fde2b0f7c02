//! Many versions at once, as a Cargo.lock names them: each with the decision that a build meets.

use std::collections::{BTreeSet, HashMap};

use policies::package::{Package, PackageVersion};
use tokio::sync::OwnedSemaphorePermit;

use super::resolve::Want;
use super::stock::{Gathering, Stock};
use crate::pull::PullError;
use crate::registries::closure::{Chosen, ClosureError, LookedUp, Terms, Verdict, why_not_asked};

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
    let gathering = Gathering::new(chosen, terms.clone());
    let packages: BTreeSet<Package> = asked.iter().map(|one| one.package.clone()).collect();
    let wants = packages.into_iter().map(|package| Want { package, place: None });
    let mut stock = Stock::default();
    gathering.gather(&mut stock, wants.collect()).await;
    terms.verdicts(&gate, asked, |subject| look_up(&stock, subject))
}

/// An error says why nothing is known of it.
fn look_up(
    stock: &Stock,
    PackageVersion { package, version }: &PackageVersion,
) -> Result<LookedUp, String> {
    match stock.shelf(package) {
        Some(Ok(shelf)) => {
            let place = shelf.versions.iter().position(|listed| listed.version == *version);
            let place = place.ok_or("the registry has no such version")?;
            let undecided = shelf.versions[place].is_undecided;
            Ok(LookedUp { decision: shelf.decision(place).clone(), undecided })
        }
        Some(Err(PullError::Absent)) => Err("the registry has no such crate".to_owned()),
        Some(Err(fault)) => Err(fault.to_string()),
        None => Err(why_not_asked(&stock.incomplete)),
    }
}
