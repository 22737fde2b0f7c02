//! Refusals that are not written yet: counted in memory, so that a refusal costs no write.
//!
//! They are few kinds of things: one tally for each package and version that was refused, with who
//! was refused, a few of them by name. What does not fit is counted, and said.

use std::collections::HashMap;

use jiff::Timestamp;
use policies::package::{Package, Version};

use super::who::Who;
use crate::metadata::records::RefusedRecord;

/// So many different ones are counted between two writes.
pub(super) const MOST_PENDING: usize = 10_000;
/// So many who were refused are told apart in one of them.
const MOST_ASKERS: usize = 16;

/// What a client asked for and did not get.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    pub package: Package,
    /// Absent where no version was named.
    pub version: Option<Version>,
}

/// Refusals of one thing.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub refused: RefusedRecord,
    pub askers: Vec<Refusals>,
    /// Of those who are not listed.
    pub others: u64,
}

/// Refusals of one asker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusals {
    pub who: Who,
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<Wanted, Tally>);

impl Pending {
    /// False where there are too many different ones already.
    pub fn note(&mut self, wanted: Wanted, who: Who, refused: RefusedRecord) -> bool {
        let at = refused.at;
        let refusals = Refusals { who, count: 1, first: at, last: at };
        let tally = Tally { refused, askers: vec![refusals], others: 0 };
        self.add(wanted, tally)
    }

    /// The same of many refusals: what could not be written waits for the next time.
    pub fn add(&mut self, wanted: Wanted, tally: Tally) -> bool {
        let full = self.0.len() >= MOST_PENDING;
        match self.0.entry(wanted) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                known.get_mut().join(tally);
                true
            }
            std::collections::hash_map::Entry::Vacant(_) if full => false,
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(tally);
                true
            }
        }
    }

    /// All of them, the first refused first.
    pub fn take(&mut self) -> Vec<(Wanted, Tally)> {
        let mut all: Vec<(Wanted, Tally)> = std::mem::take(&mut self.0).into_iter().collect();
        all.sort_by_key(|(_, tally)| tally.first());
        all
    }
}

impl Tally {
    fn join(&mut self, more: Self) {
        if more.refused.at >= self.refused.at {
            self.refused = more.refused;
        }
        self.others += more.others;
        for refusals in more.askers {
            let has_room = self.askers.len() < MOST_ASKERS;
            match self.askers.iter_mut().find(|known| known.who == refusals.who) {
                Some(known) => {
                    known.count += refusals.count;
                    known.first = known.first.min(refusals.first);
                    known.last = known.last.max(refusals.last);
                }
                None if has_room => self.askers.push(refusals),
                None => self.others += refusals.count,
            }
        }
    }

    pub fn count(&self) -> u64 {
        self.others + self.askers.iter().map(|asker| asker.count).sum::<u64>()
    }

    pub fn first(&self) -> Timestamp {
        self.askers.iter().map(|asker| asker.first).min().unwrap_or(self.refused.at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use policies::decision::Effect;
    use policies::package::Ecosystem;

    use super::*;

    fn wanted(name: &str) -> Wanted {
        Wanted { package: Package::new(Ecosystem::Npm, name).unwrap(), version: None }
    }

    fn refused(second: i64) -> RefusedRecord {
        let at = Timestamp::from_second(second).unwrap();
        RefusedRecord { version: "1.0.0".to_owned(), effect: Effect::Deny, rule: None, at }
    }

    fn at(address: usize) -> Who {
        Who { address: Some(format!("10.0.0.{address}")), ..Who::default() }
    }

    #[test]
    fn refusals_of_one_thing_are_one_tally_and_no_asker_is_lost_from_the_count() {
        let mut pending = Pending::default();
        for second in 0..100 {
            let who = at(usize::try_from(second).unwrap() % 40);
            assert!(pending.note(wanted("left-pad"), who, refused(second)));
        }
        let all = pending.take();
        assert_eq!(all.len(), 1);
        let tally = &all[0].1;
        assert_eq!((tally.count(), tally.askers.len()), (100, MOST_ASKERS));
        assert_eq!(tally.askers[0].count, 3);
        assert_eq!(tally.refused.at, refused(99).at);
        assert!(pending.take().is_empty());
    }

    #[test]
    fn a_flood_of_names_takes_no_more_than_its_room() {
        let mut pending = Pending::default();
        let kept = (0..MOST_PENDING + 500)
            .filter(|n| pending.note(wanted(&format!("x{n}")), Who::default(), refused(0)))
            .count();
        assert_eq!(kept, MOST_PENDING);
        // What is known is still counted.
        assert!(pending.note(wanted("x0"), Who::default(), refused(1)));
        assert_eq!(pending.take().len(), MOST_PENDING);
    }
}
