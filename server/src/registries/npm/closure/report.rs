//! A tree of versions, as the answer to the question.

use std::collections::BTreeMap;

use policies::decision::Revision;
use policies::package::{Package, PackageVersion};

use super::manifest::NeedKind;
use super::spec::{Odd, Wanted};
use super::stock::{Found, Id, Stock};
use super::tree::{End, Tree};
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
/// Of a manifest's text that is shown.
const SHOWN: usize = 200;

/// The version that was asked about, or why there is none.
pub fn root_of(
    stock: &Stock,
    package: &Package,
    wanted: &str,
    chosen: &Chosen,
) -> Result<PackageVersion, ClosureError> {
    let shown = bounded(wanted, SHOWN);
    match stock.find(package.name(), wanted) {
        Some(Found::Version(id)) => Ok(stock.versions[*id].subject.clone()),
        Some(Found::Odd(odd)) => {
            let why = match odd {
                Odd::Elsewhere(kind) => format!("it means {kind}, and not a registry"),
                Odd::Unreadable(why) => why.clone(),
            };
            Err(ClosureError::Unreadable(format!("{shown:?} can not be used here: {why}")))
        }
        Some(Found::NoVersion(package)) => {
            let none = stock
                .shelves
                .get(package)
                .is_some_and(|shelf| shelf.as_ref().is_ok_and(|shelf| shelf.versions.is_empty()));
            let text = if none {
                format!("{package} has no versions")
            } else {
                format!("{package} has no version for {shown:?}")
            };
            Err(ClosureError::Unknown(text))
        }
        Some(Found::Failed(package, PullError::Absent)) => {
            let registry = chosen.of(package);
            let place = unknown(registry, registry.source_of(package));
            Err(ClosureError::Unknown(format!("{package} is {place}")))
        }
        Some(Found::Failed(package, fault)) => {
            Err(ClosureError::Pull { what: package.to_string(), fault: fault.clone() })
        }
        None => {
            let why = why_not_asked(&stock.incomplete);
            Err(ClosureError::TooMany(format!("{package} is not worked out: {why}")))
        }
    }
}

pub fn report(
    stock: &Stock,
    tree: &Tree,
    root: PackageVersion,
    registry: String,
    among: Among,
    revision: Revision,
) -> Closure {
    let mut members: BTreeMap<&PackageVersion, Member> = BTreeMap::new();
    for (&id, uses) in &tree.versions {
        let member = member(stock, id, uses.is_optional);
        members.insert(&stock.versions[id].subject, member);
    }
    let mut unmet = Vec::new();
    for edge in &tree.edges {
        let by =
            edge.from.map_or_else(String::new, |from| stock.versions[from].subject.to_string());
        match edge.end {
            End::Version(id) => {
                let Some(member) = members.get_mut(&stock.versions[id].subject) else { continue };
                if !by.is_empty() && member.wanted_by.len() < WANTED_BY {
                    let wanted = bounded(&edge.spec, SHOWN);
                    member.wanted_by.push(format!("{by} wants {wanted}"));
                }
                let passed = || passed_over(stock, &edge.name, &edge.spec, id);
                if member.instead_of.is_none() && among != Among::Everything {
                    member.instead_of = passed();
                }
            }
            End::Unmet | End::Conflict if unmet.len() < UNMET => {
                if edge.kind == NeedKind::PeerOptional {
                    continue;
                }
                let (code, why) = match edge.end {
                    End::Conflict => (
                        UnmetCode::Conflict,
                        "another version is where this one has to be; npm may refuse the install"
                            .to_owned(),
                    ),
                    _ => why_unmet(stock, &edge.name, &edge.spec),
                };
                unmet.push(Unmet {
                    by,
                    name: bounded(&edge.name, SHOWN).into_owned(),
                    wanted: bounded(&edge.spec, SHOWN).into_owned(),
                    code,
                    why,
                    optional: edge.is_optional,
                });
            }
            End::Unmet | End::Conflict => {}
        }
    }
    let versions: Vec<Member> = members.into_values().collect();
    let mut counts = Counts::default();
    for member in &versions {
        match member.standing {
            Standing::Allowed => counts.allowed += 1,
            Standing::Open => counts.open += 1,
            Standing::Refused => counts.refused += 1,
        }
    }
    let mut incomplete = stock.incomplete.clone();
    let unanswered = unmet.iter().filter(|unmet| unmet.code == UnmetCode::Unanswered).count();
    if unanswered > 0 {
        incomplete.push(format!("{unanswered} of its dependencies could not be asked for"));
    }
    if tree.is_rough {
        incomplete.push("its tree is too large to be laid out".to_owned());
    }
    Closure { root, registry, among, versions, unmet, incomplete, counts, revision }
}

fn member(stock: &Stock, id: Id, optional: bool) -> Member {
    let picked = &stock.versions[id];
    let manifest = &picked.manifest;
    let decision = picked.shelf.decision(picked.place).clone();
    Member {
        package: picked.subject.package.clone(),
        version: picked.subject.version.clone(),
        standing: Standing::of(&decision),
        decision,
        optional,
        deprecated: picked.shelf.versions[picked.place].deprecated,
        wanted_by: Vec::new(),
        instead_of: None,
        platforms: Platforms {
            os: manifest.os.clone(),
            cpu: manifest.cpu.clone(),
            libc: manifest.libc.clone(),
        },
        engine: manifest.node.clone(),
        bundles: manifest.bundles.clone(),
    }
}

/// What this dependency would take if nothing were refused.
fn passed_over(stock: &Stock, name: &str, spec: &str, taken: Id) -> Option<PassedOver> {
    let choice = Wanted::parse(name, spec).ok()?.choice;
    let picked = &stock.versions[taken];
    let place = picked.shelf.pick(&choice, Among::Everything)?;
    if place == picked.place || !picked.shelf.is_refused(place) {
        return None;
    }
    let version = picked.shelf.versions[place].version.clone();
    Some(PassedOver { version, decision: picked.shelf.decision(place).clone() })
}

fn why_unmet(stock: &Stock, name: &str, spec: &str) -> (UnmetCode, String) {
    match stock.find(name, spec) {
        Some(Found::Odd(Odd::Elsewhere(kind))) => (
            UnmetCode::Elsewhere,
            format!("it comes from {kind}, and not from a registry: nothing here decides about it"),
        ),
        Some(Found::Odd(Odd::Unreadable(why))) => {
            (UnmetCode::Unreadable, bounded(why, SHOWN).into_owned())
        }
        Some(Found::NoVersion(package)) => {
            (UnmetCode::NoVersion, format!("{package} has no such version"))
        }
        Some(Found::Failed(package, PullError::Absent)) => {
            (UnmetCode::UnknownPackage, format!("{package} is unknown at the upstream"))
        }
        Some(Found::Failed(package, fault)) => {
            (UnmetCode::Unanswered, format!("{package}: {fault}"))
        }
        Some(Found::Version(_)) | None => {
            (UnmetCode::Unanswered, "it was not asked for within the bounds".to_owned())
        }
    }
}
