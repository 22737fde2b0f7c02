//! The rules of each revision that was in force, kept so that an older answer can be explained.
//!
//! A set is written down as its rules in the order of their names, cut into blocks that are named by
//! what is in them: after a change of one rule all blocks but one are there already. What nobody can
//! ask for any more is taken away ([`cleaning`]).

mod blocks;
mod cleaning;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use policies::decision::Revision;
use policies::rules::{Origin, RuleSet};
use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Rules;
use crate::audit::{Action, Entry};
use crate::clock::Clock;
use crate::metadata::records::{
    self, Key, Prefix, RevisionRecord, RevisionRules, RulesBlock, commit_in_parts,
};
use crate::metadata::{Batch, Metadata, MetadataError};

/// Names of blocks in one record.
const BLOCKS: usize = 300;
/// Records of one kind that are read at once.
const PAGE: usize = 100;
const CLEANING: Duration = Duration::from_hours(1);
const AGAIN: Duration = Duration::from_secs(10);

/// Keeps what was in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Revisions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metadata: Arc<dyn Metadata>,
    rules: Rules,
    clock: Clock,
    /// How long a revision is kept when it is in force no more.
    keep: Duration,
    /// Held by whoever writes.
    turn: Mutex<()>,
}

/// A set of rules as it was.
#[derive(Debug)]
pub struct Past {
    pub set: RuleSet,
    pub since: Timestamp,
    /// When it was last in force; absent while it is.
    pub until: Option<Timestamp>,
    /// The advisories beside the rules are those of now: those of then are there no more.
    pub advisories_of_now: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// With some that are known, the latest first.
    #[error("{}", unknown(.0, .1))]
    Unknown(String, Vec<(String, Timestamp)>),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

fn unknown(asked: &str, known: &[(String, Timestamp)]) -> String {
    let shown: String = asked.chars().take(40).collect();
    let known: Vec<String> =
        known.iter().map(|(revision, since)| format!("{revision} (since {since:.0})")).collect();
    format!("no rules of a revision {shown:?} are kept; the last ones are {}", known.join(", "))
}

/// The task that writes; it ends with this.
#[derive(Debug)]
pub struct Keeping {
    stop: Arc<Notify>,
    job: JoinHandle<()>,
}

impl Keeping {
    /// Writes down what came into force up to now, and ends. What the store does not take is tried
    /// once.
    pub async fn finish(mut self) {
        self.stop.notify_one();
        let _ = (&mut self.job).await;
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.job.abort();
    }
}

/// The sets that come into force, until the end; then those that are left.
struct Coming {
    /// Closed at the end.
    sets: mpsc::Receiver<Arc<RuleSet>>,
    stop: Arc<Notify>,
}

impl Coming {
    async fn next(&mut self) -> Option<Arc<RuleSet>> {
        tokio::select! {
            set = self.sets.recv() => return set,
            () = self.stop.notified() => self.sets.close(),
        }
        self.sets.recv().await
    }

    fn has_ended(&self) -> bool {
        self.sets.is_closed()
    }

    /// Shorter at the end.
    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.notified() => self.sets.close(),
        }
    }
}

impl Revisions {
    pub fn new(metadata: Arc<dyn Metadata>, rules: Rules, clock: Clock, keep: Duration) -> Self {
        Self(Arc::new(Inner { metadata, rules, clock, keep, turn: Mutex::default() }))
    }

    /// Writes down what is in force, now and whenever it changes, until what is returned is gone.
    pub fn start(&self) -> Keeping {
        let (this, stop) = (self.clone(), Arc::new(Notify::new()));
        let mut coming = Coming { sets: self.0.rules.follow(), stop: Arc::clone(&stop) };
        let job = tokio::spawn(async move {
            let mut cleaned: Option<Instant> = None;
            let mut last = None;
            loop {
                match tokio::time::timeout(CLEANING, coming.next()).await {
                    Ok(Some(set)) => {
                        let is_kept = this.keep_until_it_works(&set, &mut coming).await;
                        last = is_kept.then(|| set.revision().clone());
                    }
                    Ok(None) => break,
                    Err(_) => {}
                }
                // The next start cleans, too.
                if !coming.has_ended() && cleaned.is_none_or(|at| at.elapsed() >= CLEANING) {
                    cleaned = Some(Instant::now());
                    if let Err(fault) = this.clean().await {
                        tracing::warn!(%fault, "old revisions of the rules could not be taken away; it is tried again");
                    }
                }
            }
            // It may be one of those that a follower who is too far behind misses.
            let set = this.0.rules.current();
            if last.as_ref() != Some(set.revision()) {
                this.keep_until_it_works(&set, &mut coming).await;
            }
        });
        Keeping { stop, job }
    }

    /// Gives up a set that can not be written when the next one is there, or at the end: then it
    /// says `false`.
    async fn keep_until_it_works(&self, set: &Arc<RuleSet>, coming: &mut Coming) -> bool {
        let mut is_told = false;
        while let Err(fault) = self.keep(set).await {
            if coming.has_ended() {
                tracing::warn!(revision = %set.revision(), %fault, "stopped before the rules of this revision were kept for later");
                return false;
            }
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(revision = %set.revision(), %fault, "the rules of this revision could not be kept for later; it is tried again");
            }
            if !coming.sets.is_empty() {
                return false;
            }
            coming.pause(AGAIN).await;
        }
        true
    }

    /// Writes down this set as the one that is in force.
    pub async fn keep(&self, set: &Arc<RuleSet>) -> Result<(), MetadataError> {
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        let metadata = self.0.metadata.as_ref();
        let cutting = {
            let set = Arc::clone(set);
            tokio::task::spawn_blocking(move || {
                (blocks::cut(set.rules()), set.own_names_that_matter().map(blocks::cut_names))
            })
        };
        let failed = |fault| MetadataError::Unavailable(format!("cutting the rules: {fault}"));
        let (rules, own) = cutting.await.map_err(failed)?;
        let (rules, mut first) = self.put_list(Batch::default(), rules).await?;
        let own = match own {
            Some(own) => {
                let (own, more) = self.put_list(first, own).await?;
                first = more;
                Some(own)
            }
            None => None,
        };
        let key = RevisionRecord::key(set.revision().as_str());
        let before = records::read(metadata, &key).await?;
        let record = RevisionRecord {
            rules,
            own,
            count: set.rules().len() as u64,
            advisories: set.advisories().revision().to_string(),
            unavailable: set.unavailable_reason().map(ToString::to_string),
            since: before.map_or(now, |before| before.since),
            until: None,
        };
        let mut last = Batch::default().put_record(&key, &record);
        let mut was = None;
        let mut is_in_force = false;
        for (other, mut record) in self.all().await? {
            if record.until.is_some() {
                continue;
            }
            if other == key {
                is_in_force = true;
            } else {
                record.until = Some(now);
                last = last.put_record(&other, &record);
                was = Some(other.parts().concat());
            }
        }
        if !is_in_force {
            let advisories = set.advisories().revision();
            let entry = Entry::by_garth(Action::RevisionInForce)
                .revision(set.revision())
                .detail("rules", &set.rules().len())
                .detail("rules-of-files", &of_files(set))
                .detail("advisories", &advisories)
                .detail_if("before", was.as_ref())
                .why(set.unavailable_reason().map(ToString::to_string).as_deref());
            last = last.note(entry, now);
        }
        commit_in_parts(metadata, first, last).await
    }

    /// The name of a list of these blocks, and what has to be written so that it is there.
    async fn put_list(
        &self,
        mut batch: Batch,
        blocks: Vec<blocks::Block>,
    ) -> Result<(String, Batch), MetadataError> {
        let names: Vec<String> = blocks.iter().map(|block| block.name.clone()).collect();
        let list = blocks::name_of(&names.join(" "));
        for block in blocks {
            let key = RulesBlock::key(&block.name, 0);
            if self.0.metadata.get(key.as_bytes()).await?.is_some() {
                continue;
            }
            // Who finds the first part finds all: it is written last.
            let numbered: Vec<(u32, &RulesBlock)> = (0..).zip(&block.parts).collect();
            for (n, part) in numbered.into_iter().rev() {
                batch = batch.put_record(&RulesBlock::key(&block.name, n), part);
            }
        }
        for (n, names) in (0..).zip(names.chunks(BLOCKS)) {
            let record = RevisionRules { blocks: names.to_vec() };
            batch = batch.put_record(&RevisionRules::key(&list, n), &record);
        }
        Ok((list, batch))
    }

    async fn all(&self) -> Result<Vec<(Key<RevisionRecord>, RevisionRecord)>, MetadataError> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|(key, _): &(Key<RevisionRecord>, _)| key.clone());
            let page =
                records::scan(self.0.metadata.as_ref(), &Prefix::all(), after.as_ref(), PAGE)
                    .await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The rules of this revision.
    pub async fn find(&self, revision: &Revision) -> Result<Past, PastError> {
        let metadata = self.0.metadata.as_ref();
        let key = RevisionRecord::key(revision.as_str());
        let Some(record) = records::read(metadata, &key).await? else {
            const SHOWN: usize = 5;
            let all = self.all().await?;
            let mut known: Vec<(String, Timestamp)> =
                all.into_iter().map(|(key, record)| (key.parts().concat(), record.since)).collect();
            known.sort_by_key(|(_, since)| std::cmp::Reverse(*since));
            known.truncate(SHOWN);
            return Err(PastError::Unknown(revision.to_string(), known));
        };
        let set = match &record.unavailable {
            Some(reason) => RuleSet::unavailable(reason),
            None => self.load_rules(&record.rules).await?,
        };
        let beside = self.0.rules.beside_files().await;
        let beside = beside.map_err(MetadataError::Unavailable)?;
        let advisories_of_now = **beside.advisories().revision() != *record.advisories;
        let set = match &record.own {
            Some(own) => {
                let texts = self.load(own).await?;
                let names = texts.iter().flat_map(|(_, text)| text.lines()).map(str::to_owned);
                beside.put_beside_with(set, names.collect())
            }
            None => beside.put_beside(set),
        };
        let (since, until) = (record.since, record.until);
        Ok(Past { set, since, until, advisories_of_now })
    }

    async fn load_rules(&self, list: &str) -> Result<RuleSet, MetadataError> {
        let mut all = Vec::new();
        for (name, text) in self.load(list).await? {
            let rules = blocks::read_rules(&text);
            all.extend(rules.map_err(|cause| damaged(list, format!("the block {name}: {cause}")))?);
        }
        RuleSet::compile(all).map_err(|faults| damaged(list, super::told(&faults)))
    }

    /// The texts of the blocks of this list, by their names.
    async fn load(&self, list: &str) -> Result<Vec<(String, String)>, MetadataError> {
        let metadata = self.0.metadata.as_ref();
        let lists = read_all(metadata, &RevisionRules::of(list)).await?;
        let names: Vec<String> = lists.into_iter().flat_map(|(_, list)| list.blocks).collect();
        if blocks::name_of(&names.join(" ")) != list {
            return Err(damaged(list, "some of its blocks are missing".to_owned()));
        }
        let mut all = Vec::new();
        for name in names {
            let parts = read_all(metadata, &RulesBlock::of(&name)).await?;
            let parts = parts.into_iter().map(|(_, part)| part).collect();
            let text = blocks::join(&name, parts);
            let text = text.map_err(|cause| damaged(list, format!("the block {name}: {cause}")))?;
            all.push((name, text));
        }
        Ok(all)
    }
}

fn of_files(set: &RuleSet) -> usize {
    set.rules().iter().filter(|rule| matches!(rule.origin, Origin::File { .. })).count()
}

fn damaged(list: &str, cause: String) -> MetadataError {
    let key = RevisionRules::key(list, 0);
    MetadataError::Damaged { key: records::show_key(key.as_bytes()), cause }
}

async fn read_all<R: records::Record>(
    metadata: &dyn Metadata,
    prefix: &Prefix<R>,
) -> Result<Vec<(Key<R>, R)>, MetadataError> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map(|(key, _): &(Key<R>, R)| key.clone());
        let page = records::scan(metadata, prefix, after.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}
