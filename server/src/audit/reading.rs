//! What is in the log: from a number onward, and what somebody looks for.
//!
//! What is about a package, a person, a subject or of a kind is found by its index; where several of
//! these are asked for, by what their lists have in common ([`walking`](super::walking)). The newest entries, which are in no
//! list yet ([`indexing`](super::indexing)), are looked at one by one. Time is asked of the entries, which are in its order. What a page may cost is bounded and it says where to go on, so nobody waits long
//! however large the log is.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::blocks::{self, Block, Line, record_in};
use super::indexing::indexed;
use super::walking::{Cost, Numbers, Step};
use super::{Log, TOGETHER};
use crate::metadata::MetadataError;
use crate::metadata::records::{AuditEntries, AuditRecord, show_key};

/// Entries that are read one after the other at once.
const PAGE: usize = 256;
/// Blocks that are read at once, of those that a caller wants.
const BLOCKS: usize = 16;
/// Entries of most blocks; those that lie so near each other are looked for in one.
const OF_A_BLOCK: usize = 32;
const NEAR: u64 = OF_A_BLOCK as u64;
/// A stretch of the log that is gone through whole, at first, and where little is found.
const SPAN: u64 = 2048;
const MAX_SPAN: u64 = 1 << 20;
/// Where less than this is found in a stretch, the next one is longer.
const CHEAP_SPAN: usize = 512;
/// An entry gets its number this much later than it happened at most, unless a clock was turned.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// An entry as it is in the log.
#[derive(Clone, Debug)]
pub struct Logged {
    pub n: u64,
    pub record: AuditRecord,
    /// The very bytes that are hashed: its JSON, one line.
    pub line: Bytes,
}

/// What is looked for; what is absent may be anything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub person: Option<String>,
    /// `npm:left-pad`, or a pattern as it stands in a rule.
    pub package: Option<String>,
    pub subject: Option<String>,
    /// One of these.
    pub actions: Vec<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Newest,
    Oldest,
}

/// Some of what was looked for.
#[derive(Clone, Debug)]
pub struct Page {
    pub entries: Vec<Logged>,
    /// Where to go on: there may be more behind this number.
    pub next: Option<u64>,
}

impl Log {
    /// At most `limit` entries from the number `from` on, in their order. Fewer are all that there are.
    pub async fn since(&self, from: u64, limit: usize) -> Result<Vec<Logged>, MetadataError> {
        let (mut next, mut entries) = (from, Vec::with_capacity(limit.min(PAGE)));
        while entries.len() < limit {
            let count = BLOCKS.min((limit - entries.len()) / OF_A_BLOCK + 1);
            let blocks = blocks::scan_from(self.0.metadata.as_ref(), next, count).await?;
            for entry in &blocks {
                if entries.len() == limit {
                    break;
                }
                let block = Block::read(entry)?;
                next = block.end().max(next);
                let wanted = block.into_lines().filter(|(n, _)| *n >= from);
                for (n, line) in wanted.take(limit - entries.len()) {
                    entries.push(logged(n, line)?);
                }
            }
            if blocks.len() < count {
                break;
            }
        }
        Ok(entries)
    }

    pub async fn entry(&self, n: u64) -> Result<Option<Logged>, MetadataError> {
        let Some(block) = self.block_of(n).await? else { return Ok(None) };
        block.line(n).map(|line| logged(n, line.clone())).transpose()
    }

    /// The block that has an entry.
    async fn block_of(&self, n: u64) -> Result<Option<Block>, MetadataError> {
        let found = blocks::scan_from(self.0.metadata.as_ref(), n, 1).await?;
        let block = found.first().map(Block::read).transpose()?;
        Ok(block.filter(|block| block.has(n)))
    }

    /// At most `limit` entries, behind the number that the page before ended with.
    pub async fn find(
        &self,
        filter: &Filter,
        order: Order,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page, MetadataError> {
        let limit = limit.max(1);
        match order {
            Order::Oldest => self.find_oldest(filter, after, limit).await,
            Order::Newest => {
                let page = self.find_newest(filter, after, limit).await?;
                Ok(Page { next: page.next.filter(|next| *next > 0), ..page })
            }
        }
    }

    async fn find_oldest(
        &self,
        filter: &Filter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page, MetadataError> {
        let (floor, end) = self.bounds(filter).await?;
        let indexed = indexed(self.0.metadata.as_ref()).await?;
        let mut from = after.map_or(0, |after| after.saturating_add(1)).max(floor);
        let mut found = Finding::new(filter, limit);
        let mut span = SPAN;
        while from < end {
            let is_listed = from < indexed;
            let to = from.saturating_add(span).min(if is_listed { indexed.min(end) } else { end });
            let numbers = Numbers::of(filter, from, to).filter(|_| is_listed);
            let Some(mut numbers) = numbers else {
                let count = usize::try_from(to - from).unwrap_or(PAGE).min(PAGE);
                let page = self.since(from, count).await?;
                from = page.last().map_or(end, |last| last.n + 1);
                found.cost.of_run(page.len());
                if let Some(next) = found.take(page) {
                    return Ok(found.page(next));
                }
                if found.cost.is_too_much() {
                    return Ok(found.page(from - 1));
                }
                continue;
            };
            // The index has the newest first, so a stretch is gone through whole.
            let (mut cost, mut stretch) = (Cost::begin(), Vec::new());
            let is_whole = loop {
                match numbers.next(self.0.metadata.as_ref(), &mut cost).await? {
                    Step::Found(n) => stretch.push(n),
                    Step::Over => break true,
                    Step::Enough if span == SPAN => {}
                    Step::Enough => break false,
                }
            };
            found.cost.add(cost);
            if !is_whole {
                // There is more in it than was thought.
                span = SPAN;
                continue;
            }
            let is_sparse = cost.spent() < CHEAP_SPAN;
            for part in stretch.rchunks(TOGETHER) {
                let page = self.entries(&part.iter().rev().copied().collect::<Vec<_>>()).await?;
                found.cost.of_some(page.len());
                if let Some(next) = found.take(page) {
                    return Ok(found.page(next));
                }
            }
            from = to;
            span = if is_sparse { (span * 4).min(MAX_SPAN) } else { SPAN };
            if found.cost.is_too_much() && from < end {
                return Ok(found.page(from - 1));
            }
        }
        Ok(found.last())
    }

    async fn find_newest(
        &self,
        filter: &Filter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page, MetadataError> {
        let (floor, end) = self.bounds(filter).await?;
        let mut below = after.unwrap_or(u64::MAX).min(end);
        let mut found = Finding::new(filter, limit);
        let indexed = indexed(self.0.metadata.as_ref()).await?;
        let is_indexed = Numbers::of(filter, floor, below).is_some();
        let one_by_one = if is_indexed { floor.max(indexed) } else { floor };
        while below > one_by_one {
            let from = below.saturating_sub(PAGE as u64).max(one_by_one);
            let count = usize::try_from(below - from).unwrap_or(PAGE);
            let mut page = self.since(from, count).await?;
            page.retain(|logged| logged.n < below);
            page.reverse();
            found.cost.of_run(page.len());
            if let Some(next) = found.take(page) {
                return Ok(found.page(next));
            }
            below = from;
            if found.cost.is_too_much() {
                return Ok(found.page(below));
            }
        }
        let Some(mut numbers) = Numbers::of(filter, floor, below).filter(|_| below > floor) else {
            return Ok(found.last());
        };
        loop {
            let mut part = Vec::new();
            let mut is_over = false;
            while part.len() < TOGETHER.min(found.wanted()) {
                match numbers.next(self.0.metadata.as_ref(), &mut found.cost).await? {
                    Step::Found(n) => part.push(n),
                    Step::Enough => break,
                    Step::Over => {
                        is_over = true;
                        break;
                    }
                }
            }
            let page = self.entries(&part).await?;
            found.cost.of_some(page.len());
            if let Some(next) = found.take(page) {
                return Ok(found.page(next));
            }
            if is_over {
                return Ok(found.last());
            }
            if found.cost.is_too_much() {
                return Ok(found.page(numbers.below()));
            }
        }
    }

    /// From which number on entries are young enough for a filter, and up to which they are old enough.
    async fn bounds(&self, filter: &Filter) -> Result<(u64, u64), MetadataError> {
        let floor = match filter.since {
            Some(since) => self.first_logged(since).await?,
            None => 0,
        };
        let late = |until: Timestamp| until.checked_add(LATE).unwrap_or(Timestamp::MAX);
        let end = match filter.until {
            Some(until) => self.first_logged(late(until)).await?,
            None => self.size().await?,
        };
        Ok((floor, end))
    }

    /// Those of these numbers, in their order.
    async fn entries(&self, numbers: &[u64]) -> Result<Vec<Logged>, MetadataError> {
        let near = numbers.chunk_by(|one, other| one / NEAR == other / NEAR);
        let read = near.map(async |numbers| {
            let (mut found, mut known) = (Vec::with_capacity(numbers.len()), Block::default());
            for n in numbers {
                if !known.has(*n) {
                    known = self.block_of(*n).await?.ok_or_else(|| missing(*n))?;
                }
                let line = known.line(*n).ok_or_else(|| missing(*n))?;
                found.push(logged(*n, line.clone())?);
            }
            Ok::<_, MetadataError>(found)
        });
        let found = futures_util::future::try_join_all(read).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The number of the first entry that got one at that time or later; the size where none did.
    async fn first_logged(&self, at: Timestamp) -> Result<u64, MetadataError> {
        let (mut low, mut high) = (0, self.size().await?);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.entry(middle).await?.ok_or_else(|| missing(middle))?;
            if found.record.logged.is_some_and(|logged| logged >= at) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }
}

/// A page that is being filled.
struct Finding<'f> {
    filter: &'f Filter,
    limit: usize,
    entries: Vec<Logged>,
    cost: Cost,
}

impl<'f> Finding<'f> {
    fn new(filter: &'f Filter, limit: usize) -> Self {
        Self { filter, limit, entries: Vec::new(), cost: Cost::begin() }
    }

    /// How many are wanted still.
    fn wanted(&self) -> usize {
        self.limit - self.entries.len()
    }

    /// Takes what is looked for; where the page is full by it, the number of its last one.
    fn take(&mut self, found: Vec<Logged>) -> Option<u64> {
        for logged in found {
            if self.filter.matches(&logged.record) {
                let n = logged.n;
                self.entries.push(logged);
                if self.wanted() == 0 {
                    return Some(n);
                }
            }
        }
        None
    }

    /// There may be more behind that number.
    fn page(self, next: u64) -> Page {
        Page { entries: self.entries, next: Some(next) }
    }

    fn last(self) -> Page {
        Page { entries: self.entries, next: None }
    }
}

fn missing(n: u64) -> MetadataError {
    MetadataError::Damaged {
        key: show_key(AuditEntries::key(n).as_bytes()),
        cause: "an entry of the audit log is not there".to_owned(),
    }
}

/// What lies in a block under a number.
fn logged(n: u64, line: Line) -> Result<Logged, MetadataError> {
    let record = record_in(n, &line)?;
    Ok(Logged { n, record, line: Bytes::from(String::from(Box::<str>::from(line))) })
}

impl Filter {
    fn matches(&self, record: &AuditRecord) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.person, record.who.as_deref())
            && is(&self.subject, record.subject.as_deref())
            && self.package.as_ref().is_none_or(|package| record.packages.contains(package))
            && (self.actions.is_empty() || self.actions.contains(&record.action))
            && self.since.is_none_or(|since| record.at >= since)
            && self.until.is_none_or(|until| record.at <= until)
    }
}
