//! How npm lays versions out in `node_modules`, which decides what is installed at all: what is
//! there already and fits serves the next dependent, too. Pure.
//!
//! The flow is that of npm's own client. Dependents are taken nearest to the root first, then by
//! name. What one of them misses, or finds and can not use, is placed as far up as nothing is
//! disturbed, together with the peers that it needs beside it ([`placing`]). At the end counts what
//! the root reaches.

mod order;
mod placing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::manifest::{Need, NeedKind};
use super::spec::{Choice, Wanted};
use super::stock::{Ask, Found, Id, Stock};

/// A larger tree is not laid out: the largest ones known have some thousand folders.
const NODES: usize = 20_000;
/// Steps from folder to folder, of which each one takes some hundred.
const LOOKS: usize = 10_000_000;

/// A folder in `node_modules`.
pub type Place = usize;
const ROOT: Place = 0;

pub enum Step {
    Done(Tree),
    /// It goes on when these are known.
    Needs(Vec<Ask>),
    TooLarge,
}

/// What is installed, and why.
#[derive(Debug, Default)]
pub struct Tree {
    pub versions: BTreeMap<Id, Uses>,
    pub edges: Vec<Edge>,
    /// It was not laid out: each dependent has what it would take by itself.
    pub is_rough: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    pub is_optional: bool,
}

#[derive(Debug)]
pub struct Edge {
    /// Absent for the root.
    pub from: Option<Id>,
    pub name: Box<str>,
    pub spec: Box<str>,
    pub kind: NeedKind,
    pub end: End,
    pub is_optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Version(Id),
    Unmet,
    /// Another version is there, and this one can not be beside it.
    Conflict,
}

struct Node {
    /// Absent for the root.
    id: Option<Id>,
    name: Box<str>,
    parent: Option<Place>,
    depth: usize,
    /// Orders it among those of its depth.
    path: Vec<u8>,
    children: BTreeMap<Box<str>, Place>,
    is_there: bool,
    /// Leads to the same version further up, so it has nothing of its own.
    is_link: bool,
}

struct Layout<'s> {
    stock: &'s Stock,
    root: Need,
    nodes: Vec<Node>,
    /// Who needs something of this name.
    dependents: HashMap<&'s str, Vec<Place>>,
    of_root: Vec<Place>,
    /// What was ever placed under a name.
    named: HashMap<Box<str>, Vec<Place>>,
    queue: BTreeSet<(usize, Vec<u8>, Place)>,
    seen: HashSet<Place>,
    /// Needs that are left as they are.
    given_up: HashSet<(Place, usize)>,
    missing: Vec<Ask>,
    choices: HashMap<(Option<Id>, usize), Option<Choice>>,
    looks: usize,
}

/// Lays out one dependency of an empty project.
pub fn lay(stock: &Stock, name: &str, spec: &str, kind: NeedKind) -> Step {
    let root = Need { name: name.into(), spec: spec.into(), kind };
    let mut layout = Layout {
        stock,
        root,
        nodes: vec![Node {
            id: None,
            name: "".into(),
            parent: None,
            depth: 0,
            path: Vec::new(),
            children: BTreeMap::new(),
            is_there: true,
            is_link: false,
        }],
        dependents: HashMap::new(),
        of_root: vec![ROOT],
        named: HashMap::new(),
        queue: BTreeSet::from([(0, Vec::new(), ROOT)]),
        seen: HashSet::new(),
        given_up: HashSet::new(),
        missing: Vec::new(),
        choices: HashMap::new(),
        looks: 0,
    };
    while let Some((_, _, place)) = layout.queue.pop_first() {
        if layout.is_too_large() {
            return Step::TooLarge;
        }
        if layout.nodes[place].is_there && layout.seen.insert(place) {
            layout.settle(place);
        }
    }
    if layout.is_too_large() {
        return Step::TooLarge;
    }
    if layout.missing.is_empty() {
        return Step::Done(layout.reached());
    }
    layout.missing.sort();
    layout.missing.dedup();
    Step::Needs(layout.missing)
}

impl<'s> Layout<'s> {
    fn is_too_large(&self) -> bool {
        self.nodes.len() > NODES || self.looks > LOOKS
    }

    fn needs(&self, place: Place) -> &[Need] {
        let node = &self.nodes[place];
        match node.id {
            None => std::slice::from_ref(&self.root),
            Some(_) if node.is_link => &[],
            Some(id) => self.needs_of(id),
        }
    }

    fn needs_of(&self, id: Id) -> &'s [Need] {
        &self.stock.versions[id].manifest.needs
    }

    fn need_named(&self, place: Place, name: &str) -> Option<usize> {
        let needs = self.needs(place);
        needs.binary_search_by(|need| (*need.name).cmp(name)).ok()
    }

    /// Whether this version will do for that need.
    fn suits(&mut self, of: Option<Id>, need: usize, version: Id) -> bool {
        self.looks += 1;
        let said = match of {
            None => &self.root,
            Some(id) => &self.needs_of(id)[need],
        };
        let parse = || Wanted::parse(&said.name, &said.spec).ok().map(|wanted| wanted.choice);
        let choice = self.choices.entry((of, need)).or_insert_with(parse);
        let version = self.stock.versions[version].subject.version.as_str();
        choice.as_ref().is_some_and(|choice| choice.takes(version))
    }

    /// The version that a need takes by itself.
    fn pick(&mut self, name: &str, spec: &str) -> Option<Id> {
        match self.stock.find(name, spec) {
            Some(Found::Version(id)) => Some(*id),
            Some(Found::Odd(_) | Found::NoVersion(_) | Found::Failed(..)) => None,
            None => {
                self.missing.push((name.into(), spec.into()));
                None
            }
        }
    }

    fn ancestry(&self, place: Place) -> impl Iterator<Item = Place> + '_ {
        std::iter::successors(Some(place), |place| self.nodes[*place].parent)
    }

    /// What is found under this name from there.
    fn resolve(&self, from: Place, name: &str) -> Option<Place> {
        self.ancestry(from).find_map(|place| self.nodes[place].children.get(name).copied())
    }

    fn is_below(&self, place: Place, above: Place) -> bool {
        self.ancestry(place).any(|one| one == above)
    }

    /// Who finds this folder by its name, and by which need.
    fn users(&mut self, place: Place) -> Vec<(Place, usize)> {
        let name = self.nodes[place].name.clone();
        let mut dependents = self.dependents.get(&*name).cloned().unwrap_or_default();
        if self.root.name == name {
            dependents.extend(&self.of_root);
        }
        // Each is followed from its folder up to the root.
        self.looks += dependents.iter().map(|&user| self.nodes[user].depth + 1).sum::<usize>();
        dependents
            .into_iter()
            .filter(|&user| self.nodes[user].is_there && self.resolve(user, &name) == Some(place))
            .filter_map(|user| Some((user, self.need_named(user, &name)?)))
            .collect()
    }

    fn is_met(&mut self, user: Place, need: usize) -> bool {
        let name = self.needs(user)[need].name.clone();
        let Some(found) = self.resolve(user, &name) else { return false };
        let (of, id) = (self.nodes[user].id, self.nodes[found].id);
        id.is_some_and(|id| self.suits(of, need, id))
    }

    /// Places what this one misses.
    fn settle(&mut self, place: Place) {
        let mut problems = Vec::new();
        for need in 0..self.needs(place).len() {
            let Need { name, kind, .. } = &self.needs(place)[need];
            let (name, kind) = (name.clone(), *kind);
            let is_absent = self.resolve(place, &name).is_none();
            let is_wanted = !is_absent || kind != NeedKind::PeerOptional;
            if is_wanted && !self.given_up.contains(&(place, need)) && !self.is_met(place, need) {
                problems.push((order::key(&name), need));
            }
        }
        problems.sort();
        for (_, need) in problems {
            if self.is_too_large() {
                return;
            }
            if self.nodes[place].is_there && !self.is_met(place, need) {
                self.meet(place, need);
            }
        }
    }

    fn meet(&mut self, place: Place, need: usize) {
        let Need { name, spec, .. } = self.needs(place)[need].clone();
        match self.pick(&name, &spec) {
            Some(id) => {
                let peers = self.peers_of(place, &name, id);
                self.place(place, need, id, &peers);
            }
            None => {
                self.given_up.insert((place, need));
            }
        }
    }

    fn enqueue(&mut self, place: Place) {
        let node = &self.nodes[place];
        self.queue.insert((node.depth, node.path.clone(), place));
    }

    fn ask_again(&mut self, place: Place) {
        self.seen.remove(&place);
        self.enqueue(place);
    }

    fn add(&mut self, parent: Place, name: &str, id: Id) -> Place {
        let place = self.nodes.len();
        let is_link =
            self.ancestry(parent).any(|above| above != ROOT && self.nodes[above].id == Some(id));
        let mut path = self.nodes[parent].path.clone();
        path.push(0);
        path.extend(order::key(name));
        self.nodes.push(Node {
            id: Some(id),
            name: name.into(),
            parent: Some(parent),
            depth: self.nodes[parent].depth + 1,
            path,
            children: BTreeMap::new(),
            is_there: true,
            is_link,
        });
        self.nodes[parent].children.insert(name.into(), place);
        self.named.entry(name.into()).or_default().push(place);
        if !is_link {
            for need in self.needs_of(id) {
                self.dependents.entry(&need.name).or_default().push(place);
            }
        }
        place
    }

    /// With all that lies in it.
    fn remove(&mut self, place: Place) {
        if let Some(parent) = self.nodes[place].parent {
            let name = self.nodes[place].name.clone();
            if self.nodes[parent].children.get(&name) == Some(&place) {
                self.nodes[parent].children.remove(&name);
            }
        }
        let mut gone = vec![place];
        while let Some(place) = gone.pop() {
            self.nodes[place].is_there = false;
            gone.extend(std::mem::take(&mut self.nodes[place].children).into_values());
        }
    }

    /// What the root reaches; the rest is in nobody's way, and not installed.
    fn reached(mut self) -> Tree {
        let mut tree = Tree::default();
        let mut required = HashSet::from([ROOT]);
        self.walk(&mut required, VecDeque::from([ROOT]), false);
        let mut all = required.clone();
        self.walk(&mut all, required.iter().copied().collect(), true);
        let mut places: Vec<Place> = all.into_iter().collect();
        places.sort_unstable();
        for place in places {
            let is_optional = !required.contains(&place);
            if let Some(id) = self.nodes[place].id {
                let uses = tree.versions.entry(id).or_insert(Uses { is_optional });
                uses.is_optional &= is_optional;
            }
            for need in 0..self.needs(place).len() {
                let Need { name, spec, kind } = self.needs(place)[need].clone();
                let found = self.resolve(place, &name).and_then(|found| self.nodes[found].id);
                let end = match found {
                    None if kind == NeedKind::PeerOptional => continue,
                    None => End::Unmet,
                    Some(id) if self.suits(self.nodes[place].id, need, id) => End::Version(id),
                    Some(_)
                        if self
                            .stock
                            .find(&name, &spec)
                            .is_none_or(|found| !matches!(found, Found::Version(_))) =>
                    {
                        End::Unmet
                    }
                    Some(_) => End::Conflict,
                };
                let is_optional = is_optional || kind == NeedKind::Optional;
                let from = self.nodes[place].id;
                tree.edges.push(Edge { from, name, spec, kind, end, is_optional });
            }
        }
        tree
    }

    fn walk(&self, reached: &mut HashSet<Place>, mut from: VecDeque<Place>, optional: bool) {
        while let Some(place) = from.pop_front() {
            for need in self.needs(place) {
                let follows = match need.kind {
                    NeedKind::Required | NeedKind::Peer => true,
                    NeedKind::Optional => optional,
                    NeedKind::PeerOptional => false,
                };
                if follows
                    && let Some(found) = self.resolve(place, &need.name)
                    && reached.insert(found)
                {
                    from.push_back(found);
                }
            }
        }
    }
}

impl Tree {
    /// What each dependent would take by itself: all that npm would install, and maybe more.
    pub fn of_everything(stock: &Stock, name: &str, spec: &str, is_rough: bool) -> Self {
        let mut tree = Self { is_rough, ..Self::default() };
        let root = Need { name: name.into(), spec: spec.into(), kind: NeedKind::Required };
        let mut from: VecDeque<(Option<Id>, bool)> = VecDeque::from([(None, false)]);
        while let Some((by, is_optional)) = from.pop_front() {
            let needs = match by {
                None => std::slice::from_ref(&root),
                Some(id) => &stock.versions[id].manifest.needs,
            };
            for Need { name, spec, kind } in needs {
                if *kind == NeedKind::PeerOptional {
                    continue;
                }
                let is_optional = is_optional || *kind == NeedKind::Optional;
                let end = match stock.find(name, spec) {
                    Some(Found::Version(id)) => {
                        let known = tree.versions.get(id).copied();
                        // Again where it turns out to be required.
                        if known.is_none_or(|known| known.is_optional && !is_optional) {
                            tree.versions.insert(*id, Uses { is_optional });
                            from.push_back((Some(*id), is_optional));
                        }
                        End::Version(*id)
                    }
                    _ => End::Unmet,
                };
                let (name, spec, kind) = (name.clone(), spec.clone(), *kind);
                tree.edges.push(Edge { from: by, name, spec, kind, end, is_optional });
            }
        }
        tree
    }
}
