//! Numbers of entries by the index, the newest first: those that stand in every list that is asked for.
//!
//! A list is what the index names under one value, or under any of several. Lists are held against each
//! other without looking at an entry: each goes on to where the furthest one is, part by part, and what all
//! of them have is found. What that costs is counted, so that a page can end where lists are long and have
//! little in common.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::listing::{Part, scan_below};
use super::{Filter, index};
use crate::metadata::records::{AuditIndex, Prefix};
use crate::metadata::{Metadata, MetadataError};

/// Parts of a list that are read at once.
const FEW: usize = 1;
const MOST: usize = 64;
/// What a page may cost, each some microsecond of a machine of two cores: 30 ms.
const COST: usize = 30_000;
/// A page that costs less than this is finished, however slow the machine is at this moment.
const CHEAP: usize = 4_000;
/// How long a page that costs more is gone on with.
const PATIENCE: Duration = Duration::from_millis(50);
/// Of a look-up, beside what it reads.
const LOOK_UP: usize = 20;
/// Of a part of a list, and of numbers in it.
const PART: usize = 2;
const NUMBERS: usize = 24;
/// Of a block that is read, and of an entry in it.
const BLOCK: usize = 50;
const ENTRY: usize = 4;

/// What a page has cost so far.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    spent: usize,
    begun: Instant,
}

impl Cost {
    pub fn begin() -> Self {
        Self { spent: 0, begun: Instant::now() }
    }

    /// A look-up that read so many parts of a list, with so many numbers.
    pub fn of_list(&mut self, parts: usize, numbers: usize) {
        self.spent += LOOK_UP + PART * parts + numbers / NUMBERS;
    }

    /// Entries that follow each other.
    pub fn of_run(&mut self, entries: usize) {
        self.spent += LOOK_UP + (ENTRY + 2) * entries;
    }

    /// Entries here and there.
    pub fn of_some(&mut self, entries: usize) {
        self.spent += (LOOK_UP + BLOCK + ENTRY) * entries;
    }

    pub fn add(&mut self, other: Self) {
        self.spent += other.spent;
    }

    pub fn spent(&self) -> usize {
        self.spent
    }

    /// Then the page ends, and says where to go on.
    pub fn is_too_much(&self) -> bool {
        self.spent >= COST || self.spent >= CHEAP && self.begun.elapsed() >= PATIENCE
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Found(u64),
    /// Nothing more is in all of the lists.
    Over,
    /// Nothing yet, and it has cost enough.
    Enough,
}

/// Numbers that stand in every one of some lists.
#[derive(Debug)]
pub struct Numbers {
    lists: Vec<List>,
    /// From here on all has been looked at.
    below: u64,
    /// Nothing below this is looked for.
    floor: u64,
}

impl Numbers {
    /// `None` where a filter asks for nothing that is in the index.
    pub fn of(filter: &Filter, floor: u64, below: u64) -> Option<Self> {
        let one = |kind, value: &str| List::of(kind, &[value]);
        let mut lists = Vec::new();
        lists.extend(filter.package.as_deref().map(|package| one(index::PACKAGE, package)));
        lists.extend(filter.subject.as_deref().map(|subject| one(index::SUBJECT, subject)));
        lists.extend(filter.person.as_deref().map(|person| one(index::PERSON, person)));
        if !filter.actions.is_empty() {
            lists.push(List::of(index::ACTION, &filter.actions));
        }
        (!lists.is_empty()).then_some(Self { lists, below, floor })
    }

    /// From this number on all has been looked at.
    pub fn below(&self) -> u64 {
        self.below
    }

    pub async fn next(
        &mut self,
        metadata: &dyn Metadata,
        cost: &mut Cost,
    ) -> Result<Step, MetadataError> {
        let mut agreed = 0;
        let mut asked = 0;
        // The newest that the lists so far have.
        let Some(mut newest) = self.below.checked_sub(1) else { return Ok(Step::Over) };
        loop {
            let list = &mut self.lists[asked];
            let found = list.up_to(metadata, newest, cost).await?;
            let Some(found) = found.filter(|found| *found >= self.floor) else {
                self.below = self.floor;
                return Ok(Step::Over);
            };
            if found == newest && agreed > 0 {
                agreed += 1;
            } else {
                (newest, agreed) = (found, 1);
                self.below = found + 1;
            }
            if agreed == self.lists.len() {
                self.below = found;
                return Ok(Step::Found(found));
            }
            asked += 1;
            if asked == self.lists.len() {
                // Each of them was asked, so the next call begins further on.
                if cost.is_too_much() {
                    return Ok(Step::Enough);
                }
                asked = 0;
            }
        }
    }
}

/// What the index names under any of some values of one kind.
#[derive(Debug)]
struct List(Vec<Values>);

impl List {
    fn of(kind: &str, values: &[impl AsRef<str>]) -> Self {
        Self(values.iter().map(|value| Values::of(kind, value.as_ref())).collect())
    }

    /// The newest that is not above that number.
    async fn up_to(
        &mut self,
        metadata: &dyn Metadata,
        n: u64,
        cost: &mut Cost,
    ) -> Result<Option<u64>, MetadataError> {
        let mut newest = None;
        for values in &mut self.0 {
            newest = newest.max(values.up_to(metadata, n, cost).await?);
            if newest == Some(n) {
                break;
            }
        }
        Ok(newest)
    }
}

/// What the index names under one value.
#[derive(Debug)]
struct Values {
    prefix: Prefix<AuditIndex>,
    /// Read already, the newest first.
    ahead: VecDeque<u64>,
    /// Nothing is behind those that are read.
    is_whole: bool,
    /// So many parts are read next.
    count: usize,
    /// So many numbers were read last, and so many of them looked at.
    had: usize,
    used: usize,
}

impl Values {
    fn of(kind: &str, value: &str) -> Self {
        let prefix = AuditIndex::of_value(kind, &index::value(value));
        Self { prefix, ahead: VecDeque::new(), is_whole: false, count: FEW, had: 0, used: 0 }
    }

    async fn up_to(
        &mut self,
        metadata: &dyn Metadata,
        n: u64,
        cost: &mut Cost,
    ) -> Result<Option<u64>, MetadataError> {
        let newer = self.ahead.partition_point(|ahead| *ahead > n);
        // Going on by one at a time is what reading ahead is for.
        self.used += newer.min(1);
        self.ahead.drain(..newer);
        if self.ahead.is_empty() && !self.is_whole {
            self.read(metadata, n, cost).await?;
        }
        Ok(self.ahead.front().copied())
    }

    async fn read(
        &mut self,
        metadata: &dyn Metadata,
        n: u64,
        cost: &mut Cost,
    ) -> Result<(), MetadataError> {
        let is_of_use = self.used * 2 > self.had;
        let found = scan_below(metadata, &self.prefix, n, self.count).await?;
        self.is_whole = found.len() < self.count;
        for entry in &found {
            // Where parts are damaged a number may stand in two of them.
            let below = self.ahead.back().copied().unwrap_or(n.saturating_add(1));
            self.ahead.extend(Part::read(entry)?.numbers().skip_while(|number| *number >= below));
        }
        cost.of_list(found.len(), self.ahead.len());
        self.count = if is_of_use { self.count * 4 } else { self.count / 2 }.clamp(FEW, MOST);
        (self.had, self.used) = (self.ahead.len(), 0);
        Ok(())
    }
}
