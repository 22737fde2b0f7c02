//! A resolution, as the answer to the question.

use std::collections::{BTreeMap, HashMap};

use policies::decision::Revision;
use policies::package::{Package, PackageVersion};

use super::SHOWN;
use super::resolve::{Ask, End, Key, Resolution};
use super::stock::{Shelf, Stock};
use crate::observability::escape::bounded;
use crate::pull::PullError;
use crate::registries::closure::{
    Among, Chosen, Closure, ClosureError, Counts, Member, PassedOver, Platforms, Standing, Unmet,
    UnmetCode, why_not_asked,
};
use crate::registries::refusal::unknown;

/// Dependents that are told of one version.
const WANTED_BY: usize = 5;
/// What is told of what is not there.
const UNMET: usize = 1000;

/// Or why there is none.
pub fn report(
    stock: &Stock,
    resolution: &Resolution,
    root: &Ask,
    (chosen, registry): (&Chosen, String),
    among: Among,
    revision: Revision,
) -> Result<Closure, ClosureError> {
    let mut incomplete = stock.incomplete.clone();
    let first = resolution.edges.iter().find(|edge| edge.by.is_none()).map(|edge| &edge.end);
    let Some(End::Version(first)) = first else { return Err(no_root(stock, root, chosen)) };
    let members = resolution
        .nodes
        .iter()
        .filter_map(|(key, node)| Some((key, member(stock, shelf(stock, &key.0)?, node.place))));
    let mut members: BTreeMap<&Key, Member> = members.collect();
    let subjects: HashMap<&Key, PackageVersion> = members
        .iter()
        .map(|(key, of)| {
            let (package, version) = (of.package.clone(), of.version.clone());
            (*key, PackageVersion { package, version })
        })
        .collect();
    let called = |key: &Key| subjects.get(key).map(ToString::to_string).unwrap_or_default();
    let mut unmet = Vec::new();
    for edge in &resolution.edges {
        let wanted = edge.wanted.to_string();
        let wanted = bounded(&wanted, SHOWN).into_owned();
        let by = edge.by.as_ref().map(called).unwrap_or_default();
        if let End::Version(key) = &edge.end {
            let Some(member) = members.get_mut(key) else { continue };
            if !by.is_empty() && member.wanted_by.len() < WANTED_BY {
                member.wanted_by.push(format!("{by} wants {wanted}"));
            }
            if member.instead_of.is_none() && among != Among::Everything {
                member.instead_of = passed_over(stock, member, &edge.wanted);
            }
        } else if unmet.len() < UNMET {
            let (code, why) = why_unmet(stock, &edge.package, &edge.end);
            let name = edge.package.as_ref().map_or("a crate", Package::name).to_owned();
            unmet.push(Unmet { by, name, wanted, code, why, optional: false });
        }
    }
    let root = subjects.get(first).cloned().ok_or_else(|| no_root(stock, root, chosen))?;
    let versions: Vec<Member> = members.into_values().collect();
    let mut counts = Counts::default();
    for member in &versions {
        match member.standing {
            Standing::Allowed => counts.allowed += 1,
            Standing::Open => counts.open += 1,
            Standing::Refused => counts.refused += 1,
        }
    }
    let unanswered = unmet.iter().filter(|unmet| unmet.code == UnmetCode::Unanswered).count();
    if unanswered > 0 {
        incomplete.push(format!("{unanswered} of its dependencies could not be asked for"));
    }
    Ok(Closure { root, registry, among, versions, unmet, incomplete, counts, revision })
}

fn shelf<'s>(stock: &'s Stock, package: &Package) -> Option<&'s Shelf> {
    stock.shelf(package)?.as_ref().ok().map(AsRef::as_ref)
}

fn member(stock: &Stock, shelf: &Shelf, place: usize) -> Member {
    let decision = shelf.decision(place).clone();
    let manifest = stock.manifest(&shelf.package, place).and_then(|read| read.as_ref().ok());
    Member {
        package: shelf.package.clone(),
        version: shelf.versions[place].version.clone(),
        standing: shelf.versions[place].standing,
        decision,
        optional: false,
        deprecated: false,
        wanted_by: Vec::new(),
        instead_of: None,
        platforms: Platforms::default(),
        engine: manifest.and_then(|manifest| manifest.rust_version.clone()),
        bundles: Vec::new(),
    }
}

/// What this dependent would take if nothing were refused.
fn passed_over(stock: &Stock, taken: &Member, wanted: &semver::VersionReq) -> Option<PassedOver> {
    let shelf = shelf(stock, &taken.package)?;
    let place = shelf.pick(Among::Everything, |one| one.fits(wanted))?;
    let passed = &shelf.versions[place];
    let is_refused = passed.standing == Standing::Refused && passed.version != taken.version;
    is_refused.then(|| PassedOver {
        version: passed.version.clone(),
        decision: shelf.decision(place).clone(),
    })
}

fn why_unmet(stock: &Stock, package: &Result<Package, String>, end: &End) -> (UnmetCode, String) {
    let package = match package {
        Ok(package) => package,
        Err(fault) => return (UnmetCode::Unreadable, bounded(fault, SHOWN).into_owned()),
    };
    match (end, stock.shelf(package)) {
        (End::Elsewhere, _) => (
            UnmetCode::Elsewhere,
            "it comes from another registry: where this garth serves that, it is asked of by --registry"
                .to_owned(),
        ),
        (End::Conflict, _) => (
            UnmetCode::Conflict,
            "another dependent wants a version that is compatible with it by its number, and no \
             version suits both"
                .to_owned(),
        ),
        (_, Some(Err(PullError::Absent))) => {
            (UnmetCode::UnknownPackage, format!("{package} is unknown at the upstream"))
        }
        (_, Some(Err(fault))) => (UnmetCode::Unanswered, format!("{package}: {fault}")),
        (_, Some(Ok(_))) => {
            (UnmetCode::NoVersion, format!("{package} has no such version that is not yanked"))
        }
        (_, None) => (UnmetCode::Unanswered, "it was not asked for within the bounds".to_owned()),
    }
}

fn no_root(stock: &Stock, root: &Ask, chosen: &Chosen) -> ClosureError {
    let package = &root.package;
    match stock.shelf(package) {
        Some(Ok(_)) => ClosureError::Unknown(format!(
            "{package} has no version for {:?} that is not yanked",
            bounded(&root.requirement.to_string(), SHOWN)
        )),
        Some(Err(PullError::Absent)) => {
            let registry = chosen.of(package);
            let place = unknown(registry, registry.source_of(package));
            ClosureError::Unknown(format!("{package} is {place}"))
        }
        Some(Err(fault)) => ClosureError::Pull { what: package.to_string(), fault: fault.clone() },
        None => {
            let why = why_not_asked(&stock.incomplete);
            ClosureError::TooMany(format!("{package} is not worked out: {why}"))
        }
    }
}
