//! Which versions cargo would lock. Pure.
//!
//! Of a crate there is one version for each range that is compatible by its number (1.x, 2.x, 0.3.x), and
//! the features that any dependent asks for are on in it. Each dependent takes the newest that it may; where
//! two want different ones of one range, all is worked out again with what both accept. What was once
//! wanted of a range holds until the end, so this ends; cargo may go back further and find a newer one. A
//! dependency that no version suits is told, and the rest goes on without it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use policies::package::Package;
use semver::{Version, VersionReq};

use super::manifest::{Dependency, Origin};
use super::stock::{Shelf, Stock};
use crate::pull::PullError;
use crate::registries::closure::Among;

/// What has to be known: the versions of a crate, or what one of them needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Want {
    pub package: Package,
    /// On its shelf.
    pub place: Option<usize>,
}

/// What is asked for in the first place.
#[derive(Clone, Debug)]
pub struct Ask {
    pub package: Package,
    pub requirement: VersionReq,
}

/// How often two dependents may turn out to want different versions.
const CLASHES: usize = 2_000;

/// The numbers that versions of one range have in common.
pub type Compatible = (u64, u64, u64);
/// A crate in one of its ranges.
pub type Key = (Package, Compatible);

pub enum Step {
    Done(Resolution),
    /// What has to be known, and what is known so far.
    Needs(Vec<Want>, Resolution),
    /// Its dependents want too many different versions.
    TooMany,
}

#[derive(Debug, Default)]
pub struct Resolution {
    pub nodes: BTreeMap<Key, Node>,
    pub edges: Vec<Edge>,
}

#[derive(Debug)]
pub struct Node {
    /// On the crate's shelf.
    pub place: usize,
    features: BTreeSet<Box<str>>,
    /// What all dependents want.
    wanted: Vec<VersionReq>,
}

/// A dependency and where it leads.
#[derive(Debug)]
pub struct Edge {
    /// Nobody for what was asked for.
    pub by: Option<Key>,
    pub package: Result<Package, String>,
    pub wanted: VersionReq,
    pub end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Version(Key),
    Elsewhere,
    /// The crate or the version is not there.
    Unmet,
    Conflict,
}

pub fn compatible(version: &Version) -> Compatible {
    match (version.major, version.minor) {
        (0, 0) => (0, 0, version.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    }
}

pub fn resolve(stock: &Stock, root: &Ask, among: Among) -> Step {
    let mut settled: HashMap<Key, Vec<VersionReq>> = HashMap::new();
    for _ in 0..CLASHES {
        let mut walk = Walk::new(stock, among, &settled);
        match walk.walk(root) {
            Err(Clash { key, wanted }) => {
                settled.insert(key, wanted);
            }
            Ok(()) if walk.needs.is_empty() => return Step::Done(walk.resolution),
            Ok(()) => return Step::Needs(walk.needs.into_iter().collect(), walk.resolution),
        }
    }
    Step::TooMany
}

/// A range for which a version was taken that a later dependent can not use, and what all want of it.
struct Clash {
    key: Key,
    wanted: Vec<VersionReq>,
}

struct Walk<'s> {
    stock: &'s Stock,
    among: Among,
    settled: &'s HashMap<Key, Vec<VersionReq>>,
    resolution: Resolution,
    needs: BTreeSet<Want>,
    queue: VecDeque<Key>,
    told: BTreeSet<(Option<Key>, usize)>,
}

impl<'s> Walk<'s> {
    fn new(stock: &'s Stock, among: Among, settled: &'s HashMap<Key, Vec<VersionReq>>) -> Self {
        let (resolution, needs) = (Resolution::default(), BTreeSet::new());
        let (queue, told) = (VecDeque::new(), BTreeSet::new());
        Self { stock, among, settled, resolution, needs, queue, told }
    }

    fn walk(&mut self, root: &Ask) -> Result<(), Clash> {
        let features = BTreeSet::from([Box::from("default")]);
        self.follow((None, 0), Ok(&root.package), &root.requirement, features)?;
        while let Some(key) = self.queue.pop_front() {
            let stock = self.stock;
            let Some(node) = self.resolution.nodes.get(&key) else { continue };
            let place = node.place;
            let Some(manifest) = stock.manifest(&key.0, place) else {
                self.needs.insert(Want { package: key.0.clone(), place: Some(place) });
                continue;
            };
            let Ok(manifest) = manifest else { continue };
            for active in manifest.active(&node.features) {
                let dependency = active.dependency;
                let from = (Some(key.clone()), active.number);
                if self.is_elsewhere(dependency) {
                    let package = dependency.package.clone();
                    self.tell(from, package, &dependency.requirement, End::Elsewhere);
                    continue;
                }
                let package = dependency.package.as_ref();
                self.follow(from, package, &dependency.requirement, active.features)?;
            }
        }
        Ok(())
    }

    /// What comes from cargo's own index is looked for here first: where it is, this registry stands in
    /// for that index, or has what it has.
    fn is_elsewhere(&self, dependency: &Dependency) -> bool {
        let is_absent = |package| {
            let shelf = self.stock.shelf(package);
            matches!(shelf, Some(Err(PullError::Absent)))
        };
        match dependency.origin {
            Origin::Here => false,
            Origin::Public => dependency.package.as_ref().is_ok_and(is_absent),
            Origin::Elsewhere => true,
        }
    }

    /// One dependency, to the version that it takes.
    fn follow(
        &mut self,
        from: (Option<Key>, usize),
        package: Result<&Package, &String>,
        wanted: &VersionReq,
        features: BTreeSet<Box<str>>,
    ) -> Result<(), Clash> {
        let of = package.cloned().map_err(Clone::clone);
        let Ok(package) = package else {
            self.tell(from, of, wanted, End::Unmet);
            return Ok(());
        };
        let Some(shelf) = self.stock.shelf(package) else {
            self.needs.insert(Want { package: package.clone(), place: None });
            return Ok(());
        };
        let taken = shelf.as_ref().ok().and_then(|shelf| Some((shelf, self.take(shelf, wanted)?)));
        let Some((shelf, (key, place))) = taken else {
            self.tell(from, of, wanted, End::Unmet);
            return Ok(());
        };
        let Some(place) = place else {
            self.tell(from, of, wanted, End::Conflict);
            return Ok(());
        };
        match self.resolution.nodes.get_mut(&key) {
            None => {
                let node = Node { place, features, wanted: vec![wanted.clone()] };
                self.resolution.nodes.insert(key.clone(), node);
                self.queue.push_back(key.clone());
            }
            Some(node) => {
                if !shelf.versions[node.place].fits(wanted) {
                    let mut all = node.wanted.clone();
                    all.push(wanted.clone());
                    if let Some(settled) = self.settled.get(&key) {
                        all.extend(settled.iter().cloned());
                    }
                    if self.suiting(shelf, key.1, &all).is_some() {
                        return Err(Clash { key, wanted: all });
                    }
                    self.tell(from, of, wanted, End::Conflict);
                    return Ok(());
                }
                if !node.wanted.contains(wanted) {
                    node.wanted.push(wanted.clone());
                }
                let before = node.features.len();
                node.features.extend(features);
                if node.features.len() > before {
                    self.queue.push_back(key.clone());
                }
            }
        }
        self.tell(from, of, wanted, End::Version(key));
        Ok(())
    }

    /// The range that is meant, and the version in it that suits all who want one of it.
    fn take(&self, shelf: &Shelf, wanted: &VersionReq) -> Option<(Key, Option<usize>)> {
        let best = shelf.pick(self.among, |one| one.fits(wanted))?;
        let range = compatible(&shelf.versions[best].number);
        let key = (shelf.package.clone(), range);
        let Some(settled) = self.settled.get(&key) else { return Some((key, Some(best))) };
        let all: Vec<VersionReq> = settled.iter().chain([wanted]).cloned().collect();
        let place = self.suiting(shelf, range, &all);
        Some((key, place))
    }

    /// The newest of a range that all of these accept.
    fn suiting(&self, shelf: &Shelf, range: Compatible, all: &[VersionReq]) -> Option<usize> {
        shelf.pick(self.among, |one| {
            compatible(&one.number) == range && all.iter().all(|wanted| one.fits(wanted))
        })
    }

    fn tell(
        &mut self,
        from: (Option<Key>, usize),
        package: Result<Package, String>,
        wanted: &VersionReq,
        end: End,
    ) {
        if self.told.insert(from.clone()) {
            let wanted = wanted.clone();
            self.resolution.edges.push(Edge { by: from.0, package, wanted, end });
        }
    }
}

#[cfg(test)]
mod tests;
