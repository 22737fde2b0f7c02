//! What is in the log: from a number onward, and what somebody looks for.
//!
//! What is about a package, a person, a subject or an action is found by its index, the rarest of
//! these first; whatever else is asked for is looked at entry by entry. A page looks at a bounded
//! number of entries and says where to go on, so nobody waits long however large the log is.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::sequencer::leaf;
use super::{Log, index};
use crate::metadata::records::{self, AuditIndex, AuditRecord, Key, Prefix, decode};
use crate::metadata::{Entry, MetadataError};

/// Entries that one page looks at.
const LOOKED_AT: usize = 5000;
/// Entries that are read at once.
const PAGE: usize = 256;
const FEW: usize = 16;
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
        match order {
            Order::Oldest => self.find_oldest(filter, after, limit).await,
            Order::Newest => self.find_newest(filter, after, limit).await,
        }
    }

    async fn find_oldest(
        &self,
        filter: &Filter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page, MetadataError> {
        let mut from = after.map_or(0, |after| after.saturating_add(1));
        if let Some(since) = filter.since {
            from = from.max(self.first_logged(since).await?);
        }
        let (mut entries, mut looked_at) = (Vec::new(), 0);
        loop {
            let page = self.since(from, PAGE).await?;
            let is_last = page.len() < PAGE;
            for logged in page {
                if filter.is_over(&logged.record) {
                    return Ok(Page { entries, next: None });
                }
                from = logged.n + 1;
                looked_at += 1;
                if filter.matches(&logged.record) {
                    entries.push(logged);
                }
                if entries.len() == limit || looked_at >= LOOKED_AT {
                    return Ok(Page { entries, next: Some(from - 1) });
                }
            }
            if is_last {
                return Ok(Page { entries, next: None });
            }
        }
    }

    async fn find_newest(
        &self,
        filter: &Filter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page, MetadataError> {
        // Only what is below this number.
        let mut below = after.unwrap_or(u64::MAX);
        if let Some(until) = filter.until {
            let late = until.checked_add(LATE).unwrap_or(Timestamp::MAX);
            below = below.min(self.first_logged(late).await?);
        }
        let walk = match filter.index() {
            Some((kind, value)) => Walk::Index(AuditIndex::of_value(kind, &index::value(value))),
            None => Walk::All,
        };
        let (mut entries, mut looked_at) = (Vec::new(), 0);
        // Most of what an index names is looked for.
        let mut count = limit.clamp(FEW, PAGE);
        loop {
            let page = walk.below(self, below, std::mem::replace(&mut count, PAGE)).await?;
            if page.is_empty() {
                return Ok(Page { entries, next: None });
            }
            for logged in page {
                if filter
                    .since
                    .is_some_and(|since| logged.record.logged.is_some_and(|at| at < since))
                {
                    return Ok(Page { entries, next: None });
                }
                below = logged.n;
                looked_at += 1;
                if filter.matches(&logged.record) {
                    entries.push(logged);
                }
                if entries.len() == limit || looked_at >= LOOKED_AT {
                    let next = Some(below).filter(|below| *below > 0);
                    return Ok(Page { entries, next });
                }
            }
        }
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

/// How entries are gone through, the newest first.
enum Walk {
    All,
    Index(Prefix<AuditIndex>),
}

impl Walk {
    async fn below(
        &self,
        log: &Log,
        below: u64,
        count: usize,
    ) -> Result<Vec<Logged>, MetadataError> {
        match self {
            Self::All => {
                let below = below.min(log.size().await?);
                let from = below.saturating_sub(count as u64);
                let count = usize::try_from(below - from).unwrap_or(count);
                let mut page = if count == 0 { Vec::new() } else { log.since(from, count).await? };
                page.reverse();
                Ok(page)
            }
            Self::Index(prefix) => {
                let metadata = log.0.metadata.as_ref();
                let after = (below != u64::MAX).then(|| key_below(prefix, below));
                let found = metadata.scan(prefix.as_bytes(), after.as_deref(), count).await?;
                let mut page = Vec::with_capacity(found.len());
                for entry in found {
                    let n = Key::parse(&entry.key).and_then(|key| AuditIndex::number(&key));
                    let n = n.ok_or_else(|| MetadataError::Damaged {
                        key: records::show_key(&entry.key),
                        cause: "it names no entry of the audit log".to_owned(),
                    })?;
                    page.push(log.entry(n).await?.ok_or_else(|| missing(n))?);
                }
                Ok(page)
            }
        }
    }
}

/// Behind this key are the entries below that number.
fn key_below(prefix: &Prefix<AuditIndex>, below: u64) -> Vec<u8> {
    let mut key = prefix.as_bytes().to_vec();
    key.extend(format!("{:020}", u64::MAX - below).into_bytes());
    key
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
    /// The index with the fewest entries, as far as that can be told from its kind.
    fn index(&self) -> Option<(&'static str, &str)> {
        let one_action = match self.actions.as_slice() {
            [action] => Some(action.as_str()),
            _ => None,
        };
        self.package
            .as_deref()
            .map(|package| (index::PACKAGE, package))
            .or_else(|| self.subject.as_deref().map(|subject| (index::SUBJECT, subject)))
            .or_else(|| self.person.as_deref().map(|person| (index::PERSON, person)))
            .or_else(|| one_action.map(|action| (index::ACTION, action)))
    }

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

    /// Nothing behind this entry is old enough.
    fn is_over(&self, record: &AuditRecord) -> bool {
        let late = |until: Timestamp| until.checked_add(LATE).unwrap_or(Timestamp::MAX);
        self.until.is_some_and(|until| record.logged.is_some_and(|logged| logged > late(until)))
    }
}
