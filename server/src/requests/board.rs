//! The requests that matter to a refusal, in memory: those that are open, and those that were
//! rejected. Pure; the store says what is on it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use policies::package::{Package, PackageVersion, Version};
use policies::versions::{Parsed, Range};

use super::pending::Wanted;
use crate::metadata::records::{RequestRecord, Stage};

#[derive(Debug, Default)]
pub(super) struct Board {
    by_package: HashMap<Package, Vec<Posted>>,
    /// Open ones for many versions at once, by number.
    closures: BTreeMap<u64, OpenClosure>,
    /// Which of those speak of a package.
    within: HashMap<Package, Vec<u64>>,
    /// Of the store, when it was last read or written.
    pub changed: Option<u64>,
    open: usize,
    automatic: usize,
}

/// An open request for many versions. Unlike others it never falls away.
#[derive(Debug)]
struct OpenClosure {
    package: Package,
    lockfile: Option<String>,
    /// Sorted.
    versions: Vec<PackageVersion>,
    /// Who opened it, as far as a token says so.
    by: Option<String>,
}

/// A request as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Posted {
    pub number: u64,
    pub stage: Stage,
    pub versions: Option<String>,
    range: Option<Range>,
    pub by_people: bool,
    refusals: u64,
    last: Timestamp,
    /// Of a rejected one.
    pub rejected: Option<(Timestamp, String)>,
}

impl Posted {
    /// `None` for what has no place here, and for a package that can not be read.
    pub fn new(number: u64, stage: Stage, record: &RequestRecord) -> Option<(Package, Self)> {
        let package: Package = record.package.parse().ok()?;
        let range = record.versions.as_deref();
        let range = range.and_then(|text| Range::parse(package.ecosystem(), text).ok());
        let rejected = match (stage, &record.closed) {
            (Stage::Approved | Stage::Answered, _) => return None,
            (Stage::Rejected, Some(closed)) => {
                Some((closed.at, closed.reason.clone().unwrap_or_default()))
            }
            _ => None,
        };
        let posted = Self {
            number,
            stage,
            versions: record.versions.clone(),
            range,
            by_people: record.by_people,
            refusals: record.refusals,
            last: record.last,
            rejected,
        };
        Some((package, posted))
    }

    fn covers(&self, package: &Package, version: &Version) -> bool {
        match (&self.versions, &self.range) {
            (None, _) => true,
            (Some(text), None) => text == version.as_str(),
            (Some(text), Some(range)) => {
                text == version.as_str()
                    || Parsed::new(package.ecosystem(), version.as_str())
                        .is_some_and(|version| range.allows(&version))
            }
        }
    }

    /// Whether it is about what was refused.
    fn is_about(&self, wanted: &Wanted) -> bool {
        match (&wanted.version, self.stage) {
            (Some(version), _) => self.covers(&wanted.package, version),
            // A client that asks for a package says nothing of versions; a person who asked for
            // some of them most likely runs it.
            (None, Stage::Open) => self.versions.is_none() || self.by_people,
            (None, _) => self.versions.is_none(),
        }
    }
}

impl Board {
    pub fn put(&mut self, package: Package, posted: Posted) {
        self.take(&package, posted.number);
        if posted.stage == Stage::Open {
            self.open += 1;
            self.automatic += usize::from(!posted.by_people);
        }
        let of_package = self.by_package.entry(package).or_default();
        of_package.push(posted);
        of_package.sort_by_key(|posted| posted.number);
    }

    pub fn put_record(&mut self, number: u64, stage: Stage, record: &RequestRecord) {
        if let Some(closure) = &record.closure {
            if stage == Stage::Open {
                // It is there by `put_closure`; what is counted on it does not matter here.
                return;
            }
            self.take_closure(number);
            if closure.lockfile.is_some() {
                return;
            }
        }
        if let Some((package, posted)) = Posted::new(number, stage, record) {
            self.put(package, posted);
        } else if let Ok(package) = record.package.parse() {
            self.take(&package, number);
        }
    }

    /// An open request for many versions, which are sorted.
    pub fn put_closure(
        &mut self,
        number: u64,
        record: &RequestRecord,
        versions: Vec<PackageVersion>,
    ) {
        let (Some(closure), Ok(package)) = (&record.closure, record.package.parse::<Package>())
        else {
            return;
        };
        self.take(&package, number);
        let mut last = None;
        for PackageVersion { package, .. } in &versions {
            if last.replace(package) != Some(package) {
                self.within.entry(package.clone()).or_default().push(number);
            }
        }
        let opener = record.askers.first().filter(|asker| asker.verified);
        let by = opener.and_then(|asker| asker.name.clone());
        let lockfile = closure.lockfile.clone();
        self.closures.insert(number, OpenClosure { package, lockfile, versions, by });
    }

    fn take_closure(&mut self, number: u64) {
        let Some(taken) = self.closures.remove(&number) else { return };
        for PackageVersion { package, .. } in &taken.versions {
            if let Some(numbers) = self.within.get_mut(package) {
                numbers.retain(|other| *other != number);
                if numbers.is_empty() {
                    self.within.remove(package);
                }
            }
        }
    }

    pub fn take(&mut self, package: &Package, number: u64) {
        self.take_closure(number);
        let Some(of_package) = self.by_package.get_mut(package) else { return };
        let Some(place) = of_package.iter().position(|posted| posted.number == number) else {
            return;
        };
        let taken = of_package.remove(place);
        if taken.stage == Stage::Open {
            self.open -= 1;
            self.automatic -= usize::from(!taken.by_people);
        }
        if of_package.is_empty() {
            self.by_package.remove(package);
        }
    }

    /// How many are open, and how many of these nobody known asked for by name.
    pub fn counts(&self) -> (usize, usize) {
        (self.open + self.closures.len(), self.automatic)
    }

    /// How many versions are asked for by open closures, and by how many of these that this person
    /// opened; nobody known is one person.
    pub fn versions_in_closures(&self, by: Option<&str>) -> (usize, usize) {
        self.closures.values().fold((0, 0), |(all, theirs), closure| {
            let count = closure.versions.len();
            let is_theirs = closure.by.as_deref() == by;
            (all + count, theirs + if is_theirs { count } else { 0 })
        })
    }

    fn of(&self, package: &Package, stage: Stage) -> impl DoubleEndedIterator<Item = &Posted> {
        let of_package = self.by_package.get(package).map(Vec::as_slice).unwrap_or_default();
        of_package.iter().filter(move |posted| posted.stage == stage)
    }

    /// The number of the open request that a refusal belongs to: of the one that says most exactly
    /// what was asked.
    pub fn open_for(&self, wanted: &Wanted) -> Option<u64> {
        let asked = wanted.version.as_ref().map(Version::as_str);
        let open = || self.of(&wanted.package, Stage::Open);
        let exact = open().find(|posted| posted.versions.as_deref() == asked);
        let exact = exact.map(|posted| posted.number);
        exact
            .or_else(|| self.closure_with(wanted))
            .or_else(|| open().find(|posted| posted.is_about(wanted)).map(|posted| posted.number))
    }

    fn closure_with(&self, wanted: &Wanted) -> Option<u64> {
        let Wanted { package, version } = wanted;
        let numbers = self.within.get(package)?;
        let Some(version) = version else { return numbers.first().copied() };
        let wanted = PackageVersion { package: package.clone(), version: version.clone() };
        let has = |closure: &OpenClosure| closure.versions.binary_search(&wanted).is_ok();
        numbers.iter().copied().find(|number| self.closures.get(number).is_some_and(has))
    }

    /// The open request for the same closure, if all of these versions are in it: an approver
    /// answers what they have seen, so nothing is ever added to one.
    pub fn open_closure(
        &self,
        package: &Package,
        lockfile: Option<&str>,
        versions: &[PackageVersion],
    ) -> Option<u64> {
        let is_same = |closure: &OpenClosure| match lockfile {
            None => closure.lockfile.is_none() && closure.package == *package,
            lockfile => closure.lockfile.as_deref() == lockfile,
        };
        let has_all = |closure: &OpenClosure| {
            versions.iter().all(|version| closure.versions.binary_search(version).is_ok())
        };
        let found = self.closures.iter().find(|(_, open)| is_same(open) && has_all(open));
        found.map(|(number, _)| *number)
    }

    /// The newest rejection of what was refused.
    pub fn rejected_for(&self, wanted: &Wanted) -> Option<&Posted> {
        self.of(&wanted.package, Stage::Rejected).rev().find(|posted| posted.is_about(wanted))
    }

    /// The open request for just these versions; else one that a client's refusal opened without
    /// knowing which versions are meant, which the first person who asks says.
    pub fn open_to(&self, package: &Package, versions: Option<&str>) -> Option<&Posted> {
        let same =
            self.of(package, Stage::Open).find(|posted| posted.versions.as_deref() == versions);
        same.or_else(|| {
            self.of(package, Stage::Open)
                .find(|posted| posted.versions.is_none() && !posted.by_people)
        })
    }

    /// The newest rejection of just these versions.
    pub fn rejected_to(&self, package: &Package, versions: Option<&str>) -> Option<&Posted> {
        self.of(package, Stage::Rejected)
            .rev()
            .find(|posted| posted.versions.is_none() || posted.versions.as_deref() == versions)
    }

    /// Those that fall away so that no more than `most` are left that nobody known asked for by
    /// name: the least asked ones, the oldest of them first.
    pub fn surplus(&self, most: usize) -> Vec<(Package, u64)> {
        let surplus = self.automatic.saturating_sub(most);
        if surplus == 0 {
            return Vec::new();
        }
        let mut automatic: Vec<(u64, Timestamp, u64, &Package)> = self
            .by_package
            .iter()
            .flat_map(|(package, posted)| posted.iter().map(move |posted| (package, posted)))
            .filter(|(_, posted)| posted.stage == Stage::Open && !posted.by_people)
            .map(|(package, posted)| (posted.refusals, posted.last, posted.number, package))
            .collect();
        automatic.sort_unstable_by_key(|(refusals, last, number, _)| (*refusals, *last, *number));
        automatic.truncate(surplus);
        automatic.into_iter().map(|(_, _, number, package)| (package.clone(), number)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use policies::package::Ecosystem;

    use super::*;
    use crate::metadata::records::ClosedRecord;

    fn left_pad() -> Package {
        Package::new(Ecosystem::Npm, "left-pad").unwrap()
    }

    fn record(versions: Option<&str>, by_people: bool, refusals: u64) -> RequestRecord {
        let at = Timestamp::UNIX_EPOCH;
        RequestRecord {
            package: "npm:left-pad".to_owned(),
            versions: versions.map(str::to_owned),
            reason: None,
            since: at,
            last: at,
            refusals,
            by_people,
            askers: Vec::new(),
            by_others: 0,
            refused: None,
            comments: 0,
            closed: None,
            closure: None,
        }
    }

    fn wanted(version: Option<&str>) -> Wanted {
        Wanted { package: left_pad(), version: version.map(|text| Version::new(text).unwrap()) }
    }

    #[test]
    fn a_refusal_belongs_to_the_request_that_is_about_it() {
        let mut board = Board::default();
        board.put_record(1, Stage::Open, &record(Some("^1"), true, 0));
        board.put_record(2, Stage::Open, &record(Some("1.3.0"), false, 0));
        let number = |board: &Board, version| board.open_for(&wanted(version));
        assert_eq!(number(&board, Some("1.3.0")), Some(2), "the exact one");
        assert_eq!(number(&board, Some("1.2.0")), Some(1), "the one whose range has it");
        assert_eq!(number(&board, Some("2.0.0")), None);
        assert_eq!(number(&board, None), Some(1), "a person's");
        board.put_record(3, Stage::Open, &record(None, false, 0));
        assert_eq!(number(&board, None), Some(3));
        assert_eq!(number(&board, Some("2.0.0")), Some(3));
        assert_eq!(board.counts(), (3, 2));
        board.take(&left_pad(), 3);
        board.take(&left_pad(), 2);
        assert_eq!((number(&board, None), board.counts()), (Some(1), (1, 0)));
    }

    #[test]
    fn a_person_says_which_versions_a_refusal_without_any_was_about() {
        let mut board = Board::default();
        board.put_record(1, Stage::Open, &record(None, false, 7));
        let to = |board: &Board, versions| board.open_to(&left_pad(), versions).map(|p| p.number);
        assert_eq!(to(&board, Some("^1")), Some(1));
        board.put_record(1, Stage::Open, &record(Some("^1"), true, 7));
        assert_eq!(to(&board, Some("^1")), Some(1));
        assert_eq!(to(&board, Some("^2")), None, "another wish is another request");
        assert_eq!(to(&board, None), None);
    }

    #[test]
    fn a_rejection_answers_what_it_was_about_and_no_more() {
        let mut board = Board::default();
        let closed = |text: &str| ClosedRecord {
            at: Timestamp::UNIX_EPOCH,
            by: "ann".to_owned(),
            automatic: false,
            reason: Some(text.to_owned()),
            rules: Vec::new(),
        };
        let rejected =
            RequestRecord { closed: Some(closed("old")), ..record(Some("1.3.0"), true, 0) };
        board.put_record(1, Stage::Rejected, &rejected);
        let said = |board: &Board, version| {
            board
                .rejected_for(&wanted(version))
                .and_then(|p| p.rejected.clone())
                .map(|(_, why)| why)
        };
        assert_eq!(said(&board, Some("1.3.0")).as_deref(), Some("old"));
        assert_eq!(said(&board, Some("1.2.0")), None);
        assert_eq!(said(&board, None), None, "another version may do");
        let whole = RequestRecord { closed: Some(closed("never")), ..record(None, true, 0) };
        board.put_record(2, Stage::Rejected, &whole);
        assert_eq!(said(&board, None).as_deref(), Some("never"));
        assert_eq!(said(&board, Some("1.3.0")).as_deref(), Some("never"), "the newest word");
        assert_eq!(board.counts(), (0, 0));
    }

    #[test]
    fn the_least_asked_fall_away_and_never_what_a_person_asked_for() {
        let mut board = Board::default();
        for (number, refusals) in [(1, 5), (2, 1), (3, 1), (4, 9)] {
            let versions = format!("{number}.0.0");
            board.put_record(number, Stage::Open, &record(Some(&versions), number == 2, refusals));
        }
        let numbers = |most| -> Vec<u64> {
            board.surplus(most).into_iter().map(|(_, number)| number).collect()
        };
        assert_eq!(numbers(3), [0u64; 0]);
        assert_eq!(numbers(1), [3, 1]);
        assert_eq!(numbers(0), [3, 1, 4]);
    }
}
