//! What is in the log: from a number onward, and what somebody looks for.
//!
//! What is about a package, a person, a subject or of a kind is found by its index; where several of
//! these are asked for, by what their lists have in common ([`walking`](super::walking)). Time is asked of the entries, which
//! are in its order. What a page may cost is bounded and it says where to go on, so nobody waits long
//! however large the log is.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::Log;
use super::sequencer::leaf;
use super::walking::{Cost, Numbers, Step};
use crate::metadata::records::{self, AuditRecord, Key, Prefix, decode};
use crate::metadata::{Entry, MetadataError};

/// Entries that are read at once, one after the other and each by its number.
const PAGE: usize = 256;
const TOGETHER: usize = 16;
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
    /// At most `limit` entries from the number `from` on, in their order.
    pub async fn since(&self, from: u64, limit: usize) -> Result<Vec<Logged>, MetadataError> {
        let after = from.checked_sub(1).map(AuditRecord::key);
        let prefix = Prefix::<AuditRecord>::all();
        let after = after.as_ref().map(Key::as_bytes);
        let found = self.0.metadata.scan(prefix.as_bytes(), after, limit).await?;
        found.iter().map(logged).collect()
    }

    pub async fn entry(&self, n: u64) -> Result<Option<Logged>, MetadataError> {
        let key = AuditRecord::key(n).to_bytes();
        let found = self.0.metadata.get(&key).await?;
        found.map(|value| logged(&Entry { key, value })).transpose()
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
        let mut from = after.map_or(0, |after| after.saturating_add(1)).max(floor);
        let mut found = Finding::new(filter, limit);
        let mut span = SPAN;
        while from < end {
            let to = from.saturating_add(span).min(end);
            let Some(mut numbers) = Numbers::of(filter, from, to) else {
                let count = usize::try_from(to - from).unwrap_or(PAGE).min(PAGE);
                let page = self.since(from, count).await?;
                from = page.last().map_or(end, |last| last.n + 1);
                found.cost.of_keys(page.len());
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
            found.cost.of_keys(cost.spent());
            if !is_whole {
                // There is more in it than was thought.
                span = SPAN;
                continue;
            }
            let is_sparse = cost.spent() < CHEAP_SPAN;
            for part in stretch.rchunks(TOGETHER) {
                let page = self.entries(part.iter().rev().copied()).await?;
                found.cost.of_entries(page.len());
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
        let Some(mut numbers) = Numbers::of(filter, floor, below) else {
            while below > floor {
                let from = below.saturating_sub(PAGE as u64).max(floor);
                let count = usize::try_from(below - from).unwrap_or(PAGE);
                let mut page = self.since(from, count).await?;
                page.retain(|logged| logged.n < below);
                page.reverse();
                found.cost.of_keys(page.len());
                if let Some(next) = found.take(page) {
                    return Ok(found.page(next));
                }
                below = from;
                if found.cost.is_too_much() {
                    return Ok(found.page(below));
                }
            }
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
            let page = self.entries(part.into_iter()).await?;
            found.cost.of_entries(page.len());
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
    async fn entries(
        &self,
        numbers: impl Iterator<Item = u64>,
    ) -> Result<Vec<Logged>, MetadataError> {
        let read = numbers.map(async |n| self.entry(n).await?.ok_or_else(|| missing(n)));
        futures_util::future::try_join_all(read).await
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
        key: records::show_key(AuditRecord::key(n).as_bytes()),
        cause: "an entry of the audit log is not there".to_owned(),
    }
}

/// Which entry lies under a key; `None` where it is no key of this code.
pub fn number(key: &[u8]) -> Option<u64> {
    let n = Key::<AuditRecord>::parse(key)?.parts().pop()?.parse().ok()?;
    (AuditRecord::key(n).as_bytes() == key).then_some(n)
}

/// What lies under a key of the log.
pub fn logged(entry: &Entry) -> Result<Logged, MetadataError> {
    let record: AuditRecord = decode(&entry.key, &entry.value)?;
    match (number(&entry.key), record.n) {
        (Some(n), Some(said)) if n == said => {
            Ok(Logged { n, record, line: entry.value.slice_ref(leaf(&entry.value)) })
        }
        _ => Err(MetadataError::Damaged {
            key: records::show_key(&entry.key),
            cause: "the entry lies under a number that is not its own".to_owned(),
        }),
    }
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
