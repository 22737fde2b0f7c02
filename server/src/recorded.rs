//! Recorded use: what was asked for by whom, and what was decided, so that a change of the rules can
//! be tried on it.
//!
//! Whoever answers a request tells the [`Recorder`], which counts requests that are alike in memory
//! ([`gathering`]); every few seconds they are packed into rows ([`rows`]) and written. A request
//! never waits for that, and what finds no room is not recorded, and counted. What is old or too
//! much is taken away again ([`keeping`]). A crash loses the last few seconds and nothing else.
//!
//! The hour is the grain: of requests that are alike within one, their number and the last moment
//! are kept, so that a decision can be made again as of then.

pub mod gathering;
mod keeping;
pub mod observed;
mod reading;
mod rows;
pub mod trial;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use policies::decision::{Decision, DecisionCode, Effect, Revision};
use policies::package::{Package, Version};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::gate::Asking;
use crate::jobs::Job;
use crate::metadata::records::{RecordedPlace, RecordedRecord};
use crate::metadata::{Batch, MAX_BATCH_BYTES, Metadata, MetadataError};
use crate::observability::Metrics;
use crate::random;
use gathering::Gathering;
use keeping::Held;
pub use reading::Reading;

/// What differs at once in memory; about 250 bytes each.
const ROOM: usize = 64 * 1024;
/// How much a crash may lose.
const FLUSH: Duration = Duration::from_secs(2);
const UPKEEP: Duration = Duration::from_mins(10);
/// Each takes a thread and up to some hundred megabytes.
const TRIALS_AT_ONCE: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedSettings {
    /// How long it is kept.
    pub keep: Duration,
    /// Bytes of all records together.
    pub max: u64,
}

/// Requests that are alike: one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Use {
    /// Since 1970.
    pub hour: u32,
    pub package: Package,
    /// Absent where the package's document was asked for.
    pub version: Option<Version>,
    pub registry: Arc<str>,
    pub team: Option<Arc<str>>,
    pub environment: Option<Arc<str>>,
    pub outcome: Outcome,
}

/// What came of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outcome {
    pub effect: Effect,
    /// As it is written; absent of a document, which is many decisions.
    pub code: Option<&'static str>,
    pub rule: Option<Arc<str>>,
    /// A rule that only observes, and what it would have made of them.
    pub observed: Option<(Arc<str>, Effect)>,
    /// It was served, whatever was decided.
    pub served: bool,
}

/// How many they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub requests: u64,
    /// When the last one came.
    pub last: Timestamp,
    /// By which the last one was decided.
    pub revision: Arc<str>,
}

impl Tally {
    fn add(&mut self, requests: u64, last: Timestamp, revision: &Arc<str>) {
        self.requests += requests;
        if self.last <= last {
            self.last = last;
            // A look is cheaper than to write what many share.
            if !Arc::ptr_eq(&self.revision, revision) {
                self.revision = Arc::clone(revision);
            }
        }
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub registry: &'a Arc<str>,
    pub package: &'a Package,
    pub version: Option<&'a Version>,
    pub asking: &'a Asking,
}

impl Outcome {
    pub fn of(decision: &Decision, served: bool) -> Self {
        let observed = decision.observed.as_ref();
        Self {
            effect: decision.effect,
            code: Some(decision.code.as_str()),
            rule: decision.rule.clone(),
            observed: observed.map(|observed| (Arc::clone(&observed.rule), observed.effect)),
            served,
        }
    }

    /// Of a document that was served with what may be shown of it.
    pub fn of_document(effect: Effect) -> Self {
        Self { effect, code: None, rule: None, observed: None, served: true }
    }

    /// It was served or allowed, and would have been refused if nobody had only observed: by whom.
    pub fn would_refuse(&self) -> Option<(Effect, Option<&Arc<str>>)> {
        if self.served && self.effect != Effect::Allow {
            return Some((self.effect, self.rule.as_ref()));
        }
        let (rule, effect) = self.observed.as_ref()?;
        (self.effect == Effect::Allow && *effect != Effect::Allow).then_some((*effect, Some(rule)))
    }
}

/// Every code, so that one that was read is the text that the program has.
pub(crate) fn known_code(text: &str) -> Option<&'static str> {
    use DecisionCode as Code;
    [
        Code::AllowedByRule,
        Code::HeldByRule,
        Code::DeniedByRule,
        Code::OwnPackage,
        Code::NoRuleAllows,
        Code::Malicious,
        Code::RulesUnavailable,
    ]
    .into_iter()
    .map(DecisionCode::as_str)
    .find(|code| *code == text)
}

pub(crate) fn hour_of(at: Timestamp) -> u32 {
    u32::try_from(at.as_second().max(0) / 3600).unwrap_or(u32::MAX)
}

/// Counts what is asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    gathering: Gathering<Use, Tally>,
    metadata: Arc<dyn Metadata>,
    clock: Clock,
    metrics: Metrics,
    settings: RecordedSettings,
    writer: String,
    next: AtomicU64,
    /// Held by whoever writes.
    held: Mutex<Held>,
    /// Who reads keeps records from being joined meanwhile.
    joining: Arc<tokio::sync::RwLock<()>>,
    /// One for each trial that is under way.
    trials: Arc<Semaphore>,
}

impl Recorder {
    pub fn new(
        metadata: Arc<dyn Metadata>,
        clock: Clock,
        metrics: Metrics,
        settings: RecordedSettings,
    ) -> Self {
        Self(Arc::new(Inner {
            gathering: Gathering::new(ROOM),
            metadata,
            clock,
            metrics,
            settings,
            writer: random::name(),
            next: AtomicU64::new(0),
            held: Mutex::default(),
            joining: Arc::default(),
            trials: Arc::new(Semaphore::new(TRIALS_AT_ONCE)),
        }))
    }

    /// Counts one request. Never waits.
    pub fn note(&self, asked: Asked<'_>, outcome: Outcome, revision: &Revision, now: Timestamp) {
        let key = Use {
            hour: hour_of(now),
            package: asked.package.clone(),
            version: asked.version.cloned(),
            registry: Arc::clone(asked.registry),
            team: asked.asking.team.clone(),
            environment: asked.asking.environment.clone(),
            outcome,
        };
        if !self.0.gathering.add(key, |tally| tally.add(1, now, &revision.0)) {
            self.0.metrics.decisions_not_recorded(1);
        }
    }

    /// `None` while as many are under way as there may be.
    pub fn place_for_trial(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.trials).try_acquire_owned().ok()
    }

    /// Writes what was counted. What can not be written now is written later, as far as there is
    /// room.
    pub async fn flush(&self) -> Result<(), MetadataError> {
        let mut held = self.0.held.lock().await;
        let taken = self.0.gathering.take();
        if taken.is_empty() {
            return Ok(());
        }
        let hours = rows::by_hour(taken);
        let mut hours = hours.into_iter();
        while let Some((hour, rows)) = hours.next() {
            if let Err((fault, unwritten)) = self.write(&mut held, hour, rows).await {
                let unwritten = unwritten.into_iter().chain(hours.flat_map(|(_, rows)| rows));
                self.put_back(unwritten);
                return Err(fault);
            }
        }
        Ok(())
    }

    fn put_back(&self, rows: impl Iterator<Item = (Use, Tally)>) {
        for (key, tally) in rows {
            let back = self.0.gathering.add(key, |known| {
                known.add(tally.requests, tally.last, &tally.revision);
            });
            if !back {
                self.0.metrics.decisions_not_recorded(tally.requests);
            }
        }
    }

    /// An error comes with the rows that were not written.
    async fn write(
        &self,
        held: &mut Held,
        hour: u32,
        rows: Vec<(Use, Tally)>,
    ) -> Result<(), (MetadataError, Vec<(Use, Tally)>)> {
        let mut rows = rows;
        while !rows.is_empty() {
            let (records, taken) = rows::pack_some(&rows, MAX_BATCH_BYTES / 4);
            let mut batch = Batch::default();
            let (mut bytes, mut requests) = (0, 0);
            for record in &records {
                batch = batch.put_record(&RecordedRecord::key(&self.place(hour)), record);
                requests += record.requests;
            }
            bytes += batch.bytes();
            let count = records.len();
            if let Err(fault) = self.0.metadata.commit(batch).await {
                return Err((fault, rows));
            }
            held.wrote(hour, bytes as u64, count);
            self.0.metrics.decisions_recorded(requests);
            rows.drain(..taken);
        }
        Ok(())
    }

    fn place(&self, hour: u32) -> RecordedPlace {
        let n = self.0.next.fetch_add(1, Ordering::Relaxed);
        RecordedPlace { hour, writer: self.0.writer.clone(), n }
    }

    /// Writes and tidies up regularly, until what is returned is stopped or gone.
    pub fn start(&self, tidying: Job) -> Recording {
        let this = self.clone();
        let (stop, mut stopped) = oneshot::channel::<()>();
        let job = tokio::spawn(async move {
            let mut is_failing = false;
            let mut tidied: Option<tokio::time::Instant> = None;
            loop {
                let pause = tokio::time::timeout(FLUSH, &mut stopped).await;
                let is_last = pause.is_ok();
                let flushed = this.flush().await;
                if let (Err(fault), false) = (&flushed, is_failing) {
                    tracing::error!(%fault, "recorded use can not be written: it is kept in memory as far as there is room, and counted in garth_decisions_not_recorded_total beyond");
                }
                is_failing = flushed.is_err();
                if is_last {
                    return;
                }
                if tidied.is_none_or(|at| at.elapsed() >= UPKEEP) || tidying.is_asked() {
                    tidied = Some(tokio::time::Instant::now());
                    let done = tidying.run(this.tidy()).await;
                    tidying.is_due_in(UPKEEP);
                    if let Err(fault) = done {
                        tracing::warn!(%fault, "recorded use could not be tidied up; it is tried again");
                    }
                }
            }
        });
        Recording { stop: Some(stop), job }
    }
}

/// Ends with it.
#[derive(Debug)]
pub struct Recording {
    stop: Option<oneshot::Sender<()>>,
    job: JoinHandle<()>,
}

impl Recording {
    /// Writes what was counted since the last time, and ends.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        // It does not fail but by a panic, which was told where it happened.
        let _ = (&mut self.job).await;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.job.abort();
    }
}
