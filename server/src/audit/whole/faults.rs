//! What was found wrong with a log: the first faults of each part by name, the others by their number.

use super::Fault;

/// Faults of one part that are named.
pub const NAMED: u64 = 20;

/// What a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Entry,
    Tree,
    Index,
}

/// What was found, the first ones of each part by name.
#[derive(Default)]
pub struct Faults {
    named: Vec<(Part, String, String)>,
    more: Vec<(Part, u64)>,
}

impl Faults {
    pub fn tell(&mut self, part: Part, place: String, what: String) {
        let named = self.named.iter().filter(|(other, _, _)| *other == part).count() as u64;
        if named < NAMED {
            self.named.push((part, place, what));
        } else if let Some((_, count)) = self.more.iter_mut().find(|(other, _)| *other == part) {
            *count += 1;
        } else {
            self.more.push((part, 1));
        }
    }

    /// Nothing, where the last one was of the same place.
    pub fn tell_once(&mut self, part: Part, place: String, what: String) {
        if self.named.last().is_none_or(|(_, last, _)| *last != place) {
            self.tell(part, place, what);
        }
    }

    pub fn has(&self, part: Part) -> bool {
        self.named.iter().any(|(other, _, _)| *other == part)
    }

    pub fn told(self, remedy: impl Fn(Part) -> &'static str) -> Vec<Fault> {
        let mut told: Vec<Fault> = self
            .named
            .into_iter()
            .map(|(part, place, what)| Fault { place, what, remedy: remedy(part) })
            .collect();
        told.extend(self.more.into_iter().map(|(part, count)| {
            let place = match part {
                Part::Entry => "entries",
                Part::Tree => "tree",
                Part::Index => "index",
            };
            let what = format!("{count} more of this kind");
            Fault { place: place.to_owned(), what, remedy: remedy(part) }
        }));
        told
    }
}
