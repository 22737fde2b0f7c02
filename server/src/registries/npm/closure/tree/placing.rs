//! Where a version goes: the highest folder in which it disturbs nobody, with its peers beside it.

use std::collections::{BTreeMap, HashSet};

use policies::package::Ecosystem;
use policies::versions::compare;

use super::{Layout, Place, ROOT};
use crate::registries::npm::closure::manifest::{Need, NeedKind};
use crate::registries::npm::closure::stock::Id;

/// What has to be beside each other, by the names that it has there.
pub(super) type Peers = BTreeMap<Box<str>, Id>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// Nothing of the name is there.
    Free,
    /// It takes the place of another version.
    Replace,
    /// What is there will do.
    Keep,
    Conflict,
}

/// Of the version alone, and together with its peers.
#[derive(Clone, Copy)]
struct Fits {
    own: Fit,
    whole: Fit,
}

/// A version on its way to a place.
#[derive(Clone, Copy)]
struct Guest<'a> {
    name: &'a str,
    id: Id,
    /// Whose need it is, and which; a peer on its way with its dependent has no place yet.
    of: Option<Id>,
    need: usize,
    from: Option<Place>,
    is_peer: bool,
    /// Below this it can not go.
    deepest: Place,
    /// It comes as a peer of another guest.
    is_companion: bool,
}

/// A version that is to be placed for a need, with all that has to be beside it.
#[derive(Clone, Copy)]
struct Party<'a> {
    /// Where it began, which stays the same for the peers that are brought along.
    start: Place,
    peers: &'a Peers,
}

/// A look at one place for a guest.
struct Look<'a> {
    target: Place,
    guest: Guest<'a>,
    party: Party<'a>,
}

impl Layout<'_> {
    /// The peers that come with a version for somebody at `from`, and theirs.
    pub(super) fn peers_of(&mut self, from: Place, name: &str, id: Id) -> Peers {
        let mut peers = Peers::from([(Box::from(name), id)]);
        let mut open = vec![id];
        while let Some(dependent) = open.pop() {
            for (need, said) in self.needs_of(dependent).iter().enumerate() {
                if said.kind != NeedKind::Peer {
                    continue;
                }
                let chosen = match peers.get(&said.name).copied() {
                    Some(there) if self.suits(Some(dependent), need, there) => continue,
                    Some(_) => {
                        let other = self.pick(&said.name, &said.spec);
                        other.filter(|other| self.suits_all(&peers, &said.name, *other))
                    }
                    None => self.peer_for(from, dependent, need),
                };
                if let Some(chosen) = chosen {
                    peers.insert(said.name.clone(), chosen);
                    open.push(chosen);
                }
            }
        }
        peers
    }

    /// What the one at `from` wants of the same name counts, too.
    fn peer_for(&mut self, from: Place, dependent: Id, need: usize) -> Option<Id> {
        let said: &Need = &self.needs_of(dependent)[need];
        let (name, spec) = (said.name.clone(), said.spec.clone());
        let Some(beside) = self.need_named(from, &name) else { return self.pick(&name, &spec) };
        let other = self.needs(from)[beside].spec.clone();
        let first = self.pick(&name, &other);
        if first.is_some_and(|first| self.suits(Some(dependent), need, first)) {
            return first;
        }
        let second = self.pick(&name, &spec);
        let of = self.nodes[from].id;
        second.filter(|second| self.suits(of, beside, *second)).or(first)
    }

    fn suits_all(&mut self, peers: &Peers, name: &str, id: Id) -> bool {
        let dependents: Vec<Id> = peers.values().copied().collect();
        dependents.into_iter().all(|dependent| {
            let needs = self.needs_of(dependent);
            match needs.binary_search_by(|need| (*need.name).cmp(name)) {
                Ok(need) if needs[need].kind == NeedKind::Peer => {
                    self.suits(Some(dependent), need, id)
                }
                _ => true,
            }
        })
    }

    /// Places a version for a need, with its peers.
    pub(super) fn place(&mut self, from: Place, need: usize, id: Id, peers: &Peers) {
        self.place_guest(Party { start: from, peers }, (from, need), id, false);
    }

    fn place_guest(
        &mut self,
        party: Party<'_>,
        (user, need): (Place, usize),
        id: Id,
        is_companion: bool,
    ) {
        let Need { name, kind, .. } = self.needs(user)[need].clone();
        let deepest = self.deepest(party.start, &name);
        let guest = Guest {
            name: &name,
            id,
            of: self.nodes[user].id,
            need,
            from: Some(user),
            is_peer: kind.is_peer(),
            deepest,
            is_companion,
        };
        let (mut best, mut alone) = (None, None);
        let above: Vec<Place> = self.ancestry(deepest).collect();
        for target in above {
            if target != ROOT && self.wants_beside(target, &name) {
                continue;
            }
            let fits = self.fits(&Look { target, guest, party }, &mut HashSet::new());
            if fits.own != Fit::Conflict {
                alone = Some((target, fits.own));
            }
            if fits.whole == Fit::Conflict {
                break;
            }
            best = Some((target, fits.whole));
        }
        // Where its peers can not follow, npm warns and goes on.
        let Some((target, fit)) = best.or(alone) else {
            self.given_up.insert((user, need));
            return;
        };
        let placed = match fit {
            Fit::Conflict => return,
            Fit::Keep => {
                if !self.is_met(user, need) {
                    self.given_up.insert((user, need));
                }
                return;
            }
            Fit::Free => self.add(target, &name, id),
            Fit::Replace => {
                if let Some(&old) = self.nodes[target].children.get(&name) {
                    self.remove(old);
                }
                self.add(target, &name, id)
            }
        };
        self.tidy_below(target, &name, placed);
        self.bring_along(party, placed);
        if !self.nodes[placed].is_there {
            return;
        }
        for (other, need) in self.users(placed) {
            let is_disturbed = other != user
                && !self.given_up.contains(&(other, need))
                && !self.is_met(other, need);
            if is_disturbed {
                self.ask_again(other);
            }
        }
        if !self.is_met(user, need) {
            self.given_up.insert((user, need));
        }
        self.enqueue(placed);
    }

    fn bring_along(&mut self, party: Party<'_>, placed: Place) {
        for need in 0..self.needs(placed).len() {
            let Need { name, kind, .. } = self.needs(placed)[need].clone();
            if kind != NeedKind::Peer || self.is_met(placed, need) {
                continue;
            }
            let Some(&peer) = party.peers.get(&name) else { continue };
            if self.suits(self.nodes[placed].id, need, peer) && self.nodes[placed].is_there {
                self.place_guest(party, (placed, need), peer, true);
            }
        }
    }

    /// The folder furthest down in which the name may be: who wants it beside itself has it above.
    fn deepest(&self, start: Place, name: &str) -> Place {
        let mut above = self.ancestry(start);
        above.find(|&place| place == ROOT || !self.wants_beside(place, name)).unwrap_or(ROOT)
    }

    fn wants_beside(&self, place: Place, name: &str) -> bool {
        self.need_named(place, name).is_some_and(|need| self.needs(place)[need].kind.is_peer())
    }

    fn fits(&mut self, look: &Look<'_>, checked: &mut HashSet<Id>) -> Fits {
        let &Look { target, guest, .. } = look;
        self.looks += 1;
        let conflict = Fits { own: Fit::Conflict, whole: Fit::Conflict };
        let wanted_here = self.need_named(target, guest.name);
        if target != ROOT && self.wants_beside(target, guest.name) {
            return conflict;
        }
        let there = self.nodes[target].children.get(guest.name).copied();
        match (there, wanted_here) {
            (None, Some(need)) => {
                let is_same = guest.from == Some(target) && guest.need == need;
                let of = self.nodes[target].id;
                if !is_same && !self.suits(of, need, guest.id) {
                    return conflict;
                }
                self.fits_free(look, checked)
            }
            (None, None) => self.fits_free(look, checked),
            (Some(there), _) => self.fits_over(there, look, checked),
        }
    }

    fn fits_free(&mut self, look: &Look<'_>, checked: &mut HashSet<Id>) -> Fits {
        let &Look { target, guest, party } = look;
        let shadowed = (target != party.start).then(|| self.resolve(target, guest.name)).flatten();
        if let Some(shadowed) = shadowed {
            for (user, need) in self.users(shadowed) {
                if self.is_below(user, target)
                    && self.is_met(user, need)
                    && !self.suits(self.nodes[user].id, need, guest.id)
                {
                    return Fits { own: Fit::Conflict, whole: Fit::Conflict };
                }
            }
        }
        self.with_peers(Fit::Free, look, checked)
    }

    fn fits_over(&mut self, there: Place, look: &Look<'_>, checked: &mut HashSet<Id>) -> Fits {
        let &Look { target, guest, .. } = look;
        let keep = Fits { own: Fit::Keep, whole: Fit::Keep };
        let Some(current) = self.nodes[there].id else { return keep };
        if current == guest.id {
            return keep;
        }
        let version = |id: Id| self.stock.versions[id].subject.version.as_str();
        let order = compare(Ecosystem::Npm, version(guest.id), version(current));
        let is_newer = order.is_some_and(std::cmp::Ordering::is_ge);
        let can_replace = self.can_replace(guest.id, there, current);
        let may = |is_meant: bool| is_meant && can_replace;
        if may(is_newer) {
            let fits = self.with_peers(Fit::Replace, look, checked);
            if fits.whole != Fit::Conflict {
                return fits;
            }
        }
        if self.suits(guest.of, guest.need, current) {
            return keep;
        }
        if may((guest.is_peer || guest.is_companion) && !is_newer) {
            let fits = self.with_peers(Fit::Replace, look, checked);
            if fits.whole != Fit::Conflict {
                return fits;
            }
        }
        if target == guest.deepest && !guest.is_peer && guest.from == Some(target) {
            return self.with_peers(Fit::Replace, look, checked);
        }
        Fits { own: Fit::Conflict, whole: Fit::Conflict }
    }

    /// Everybody who uses what is there could use this.
    fn can_replace(&mut self, id: Id, there: Place, current: Id) -> bool {
        let package = |id: Id| &self.stock.versions[id].subject.package;
        if package(id) != package(current) {
            return false;
        }
        let users = self.users(there);
        users.into_iter().all(|(user, need)| {
            self.is_below(user, there) || self.suits(self.nodes[user].id, need, id)
        })
    }

    fn with_peers(&mut self, own: Fit, look: &Look<'_>, checked: &mut HashSet<Id>) -> Fits {
        let &Look { target, guest, party } = look;
        checked.insert(guest.id);
        let mut whole = own;
        for (need, said) in self.needs_of(guest.id).iter().enumerate() {
            let Some(&peer) = party.peers.get(&said.name).filter(|_| said.kind.is_peer()) else {
                continue;
            };
            // Peers need each other in circles; once is enough.
            if !checked.insert(peer) {
                continue;
            }
            let companion = Guest {
                name: &said.name,
                id: peer,
                of: Some(guest.id),
                need,
                from: None,
                is_peer: true,
                deepest: self.deepest(guest.deepest, &said.name),
                is_companion: true,
            };
            let target = self.deepest(target, &said.name);
            let beside = Look { target, guest: companion, party };
            if self.fits(&beside, checked).whole == Fit::Conflict {
                whole = Fit::Conflict;
            }
        }
        Fits { own, whole }
    }

    /// Takes away, below a new folder, what those who use it can find further up now.
    fn tidy_below(&mut self, target: Place, name: &str, placed: Place) {
        let same_name = self.named.get(name).cloned().unwrap_or_default();
        self.looks += same_name.len();
        for place in same_name {
            if place == placed || !self.nodes[place].is_there {
                continue;
            }
            let Some(parent) = self.nodes[place].parent.filter(|parent| *parent != ROOT) else {
                continue;
            };
            let above = self.nodes[parent].parent.and_then(|above| self.resolve(above, name));
            let Some(above) = above.filter(|_| self.is_below(place, target)) else { continue };
            let (Some(id), Some(current)) = (self.nodes[above].id, self.nodes[place].id) else {
                continue;
            };
            let version = |id: Id| self.stock.versions[id].subject.version.as_str();
            let order = compare(Ecosystem::Npm, version(id), version(current));
            let is_newer = order.is_some_and(std::cmp::Ordering::is_ge);
            if id == current || (is_newer && self.can_replace(id, place, current)) {
                self.remove(place);
            }
        }
    }
}
