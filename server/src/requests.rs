//! The way in: who asks for what is refused, and how it comes to be allowed.
//!
//! A refusal is counted in memory ([`pending`]), and every few seconds what was counted is written:
//! it joins the open request that it is about, or opens one ([`asking`]). So does whoever asks by
//! command or API, whose request is durable when it is answered and never falls away. An approver
//! closes a request ([`closing`]): an approval makes a rule, in the same commit. What stands open and
//! what was rejected is known in memory ([`board`]), for the words of the next refusal.
//!
//! No decision is made here. The gate goes by the rules alone, so a request that is lost, late or
//! wrong lets nothing in.

mod asking;
mod automatic;
mod board;
mod closing;
mod judging;
mod listed;
mod pending;
mod saying;
mod who;
mod wish;
mod writing;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::{Mutex, RwLock};
use policies::decision::DecisionCode;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

use crate::api::seen::Memory;
use crate::clock::Clock;
use crate::config::RequestsConfig;
use crate::gate::Refused;
use crate::metadata::records::{
    self, Key, Prefix, RefusedRecord, RequestComment, RequestRecord, RequestsRecord, Stage,
};
use crate::metadata::{Batch, Metadata, MetadataError};
use crate::observability::Metrics;
use crate::registries::Registry;
use crate::rules::Rules;
use board::Board;
use pending::Pending;

pub use asking::{Ask, Asked};
pub use closing::{Approval, Approved, CloseError, Obstacle};
pub use judging::{Judged, Standing};
pub use pending::Wanted;
pub use who::{Who, is_team};
pub use wish::AskError;

/// Most comments of one request.
const MAX_COMMENTS: u32 = 200;
const TOO_MANY_COMMENTS: &str = "this request has as many comments as one can have";
/// How often something is tried again that somebody else was faster with.
const ATTEMPTS: usize = 8;
/// How long a refusal may wait until it is written.
const WRITE: Duration = Duration::from_secs(2);
/// How often the store is asked what another process changed.
const ASK_STORE: Duration = Duration::from_secs(15);
const PRUNE: Duration = Duration::from_hours(1);
const PAGE: usize = 500;
/// Most requests that one listing looks at; it says where it stopped.
const MOST_READ: usize = 20_000;

/// Cheap to clone.
#[derive(Clone)]
pub struct Requests(Arc<Inner>);

struct Inner {
    config: RequestsConfig,
    metadata: Arc<dyn Metadata>,
    memory: Memory,
    /// Which hold these requests, too.
    registries: OnceLock<Vec<Weak<Registry>>>,
    rules: Rules,
    clock: Clock,
    metrics: Metrics,
    pending: Mutex<Pending>,
    board: RwLock<Board>,
    /// Held by whoever writes, so that writers of one process do not undo each other's work.
    turn: tokio::sync::Mutex<()>,
}

/// What the requests are made of.
#[derive(Debug)]
pub struct Parts {
    pub config: RequestsConfig,
    pub metadata: Arc<dyn Metadata>,
    pub memory: Memory,
    pub rules: Rules,
    pub clock: Clock,
    pub metrics: Metrics,
}

/// What is known of what was refused, for the words of the refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nobody asked before.
    New,
    /// It stands open under this number.
    Open(u64),
    Rejected {
        number: u64,
        at: Timestamp,
        reason: String,
    },
}

/// A request with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    pub number: u64,
    pub stage: Stage,
    pub record: RequestRecord,
}

/// Some requests, and the number behind which the next ones are.
#[derive(Clone, Debug)]
pub struct Page {
    pub requests: Vec<Numbered>,
    pub next: Option<u64>,
}

/// The task that writes; it ends with this.
#[derive(Debug)]
pub struct Keeping {
    stop: Arc<Notify>,
    job: JoinHandle<()>,
}

impl Keeping {
    /// Writes what was refused up to now, and ends.
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

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Requests").field(&self.0.config).finish()
    }
}

impl Requests {
    /// Reads what stands open. A store that can not be read is no reason not to start: it is read
    /// again before anything is written.
    pub async fn open(parts: Parts) -> Self {
        let Parts { config, metadata, memory, rules, clock, metrics } = parts;
        let requests = Self(Arc::new(Inner {
            config,
            metadata,
            memory,
            registries: OnceLock::new(),
            rules,
            clock,
            metrics,
            pending: Mutex::default(),
            board: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
        }));
        if let Err(fault) = requests.refresh().await {
            tracing::error!(%fault, "the requests can not be read yet");
        }
        requests
    }

    /// Says whose documents state facts; once, before anything is asked.
    pub fn meet(&self, registries: Vec<Weak<Registry>>) {
        let _ = self.0.registries.set(registries);
    }

    fn max_automatic(&self) -> usize {
        usize::try_from(self.0.config.max_automatic).unwrap_or(usize::MAX)
    }

    /// Writes what was refused, from time to time, and takes away what was closed long ago.
    pub fn keep(&self) -> Keeping {
        let (requests, stop) = (self.clone(), Arc::new(Notify::new()));
        let stopping = Arc::clone(&stop);
        let job = tokio::spawn(async move {
            let mut turns = interval(WRITE);
            let (mut asked, mut pruned) = (Instant::now(), None::<Instant>);
            let mut ends = false;
            while !ends {
                ends = tokio::select! {
                    _ = turns.tick() => false,
                    () = stopping.notified() => true,
                };
                if let Err(fault) = requests.write_refusals().await {
                    tracing::error!(%fault, "refusals could not be written into requests; they are tried again");
                }
                if ends {
                    return;
                }
                if asked.elapsed() >= ASK_STORE {
                    asked = Instant::now();
                    if let Err(fault) = requests.refresh().await {
                        tracing::error!(%fault, "the requests can not be read");
                    }
                }
                if pruned.is_none_or(|pruned| pruned.elapsed() >= PRUNE) {
                    pruned = Some(Instant::now());
                    if let Err(fault) = requests.prune().await {
                        tracing::error!(%fault, "old requests could not be taken away");
                    }
                }
            }
        });
        Keeping { stop, job }
    }

    /// A client was refused: counts it, and says what is known of its wish.
    pub fn refused(&self, refused: &Refused, wanted: &Wanted, who: Who) -> Known {
        let decision = &refused.decision;
        // Rules that nobody can read are no wish of anybody.
        if decision.code == DecisionCode::RulesUnavailable {
            return Known::New;
        }
        if self.0.config.automatic {
            let refused = RefusedRecord {
                version: refused.subject.version.to_string(),
                effect: decision.effect,
                rule: decision.rule.as_deref().map(str::to_owned),
                at: self.0.clock.now(),
            };
            if !self.0.pending.lock().note(wanted.clone(), who, refused) {
                self.0.metrics.request_unrecorded();
            }
        }
        let board = self.0.board.read();
        if let Some(open) = board.open_for(wanted) {
            return Known::Open(open.number);
        }
        match board.rejected_for(wanted) {
            Some(posted) => {
                let (at, reason) = posted.rejected.clone().unwrap_or_default();
                Known::Rejected { number: posted.number, at, reason }
            }
            None => Known::New,
        }
    }

    /// The request of this number, whatever became of it.
    pub async fn get(&self, number: u64) -> Result<Option<Numbered>, MetadataError> {
        for stage in Stage::ALL {
            let key = RequestRecord::key(stage, number);
            if let Some(record) = records::read(self.0.metadata.as_ref(), &key).await? {
                return Ok(Some(Numbered { number, stage, record }));
            }
        }
        Ok(None)
    }

    /// Requests of a stage in the order of their numbers, beginning behind `after`.
    pub async fn list(
        &self,
        stage: Stage,
        after: Option<u64>,
        limit: usize,
        wanted: impl Fn(&RequestRecord) -> bool,
    ) -> Result<Page, MetadataError> {
        let mut after = after.map(|number| RequestRecord::key(stage, number));
        let (mut requests, mut read) = (Vec::new(), 0);
        loop {
            let page = self.page(stage, after.as_ref()).await?;
            let last = page.len() < PAGE;
            for (key, record) in page {
                read += 1;
                after = Some(key.clone());
                let Some((_, number)) = RequestRecord::place(&key) else { continue };
                if wanted(&record) {
                    requests.push(Numbered { number, stage, record });
                }
                if requests.len() >= limit || read >= MOST_READ {
                    return Ok(Page { requests, next: Some(number) });
                }
            }
            if last {
                return Ok(Page { requests, next: None });
            }
        }
    }

    /// What was said of a request, the first word first.
    pub async fn comments(&self, number: u64) -> Result<Vec<RequestComment>, MetadataError> {
        let prefix = RequestComment::of_request(number);
        let limit = usize::try_from(MAX_COMMENTS).unwrap_or(usize::MAX);
        let comments = records::scan(self.0.metadata.as_ref(), &prefix, None, limit).await?;
        Ok(comments.into_iter().map(|(_, comment)| comment).collect())
    }

    async fn page(
        &self,
        stage: Stage,
        after: Option<&Key<RequestRecord>>,
    ) -> Result<Vec<(Key<RequestRecord>, RequestRecord)>, MetadataError> {
        let prefix: Prefix<RequestRecord> = RequestRecord::of_stage(stage);
        records::scan(self.0.metadata.as_ref(), &prefix, after, PAGE).await
    }

    /// Reads the board anew where another process changed what is on it.
    async fn refresh(&self) -> Result<(), MetadataError> {
        let _turn = self.0.turn.lock().await;
        self.refresh_in_turn().await
    }

    async fn refresh_in_turn(&self) -> Result<(), MetadataError> {
        let state = records::read(self.0.metadata.as_ref(), &RequestsRecord::key()).await?;
        let changed = state.unwrap_or_default().changed;
        if self.0.board.read().changed == Some(changed) {
            return Ok(());
        }
        let mut board = Board::default();
        board.changed = Some(changed);
        for stage in [Stage::Open, Stage::Rejected] {
            let mut after = None;
            loop {
                let page = self.page(stage, after.as_ref()).await?;
                let last = page.len() < PAGE;
                for (key, record) in page {
                    if let Some((stage, number)) = RequestRecord::place(&key) {
                        board.put_record(number, stage, &record);
                    }
                    after = Some(key);
                }
                if last {
                    break;
                }
            }
        }
        self.show(&board);
        *self.0.board.write() = board;
        Ok(())
    }

    fn show(&self, board: &Board) {
        let (open, automatic) = board.counts();
        self.0.metrics.set_requests(open - automatic, automatic);
    }

    /// Brings what was committed onto the board.
    fn post(&self, change: impl FnOnce(&mut Board)) {
        let mut board = self.0.board.write();
        change(&mut board);
        self.show(&board);
    }

    /// After a commit that failed nobody knows what the store says.
    fn forget_board(&self) {
        self.0.board.write().changed = None;
    }

    /// Takes away what was closed longer ago than it is kept.
    async fn prune(&self) -> Result<(), MetadataError> {
        let kept = SignedDuration::try_from(self.0.config.keep).unwrap_or(SignedDuration::MAX);
        let Ok(before) = self.0.clock.now().checked_sub(kept) else { return Ok(()) };
        for stage in [Stage::Approved, Stage::Rejected] {
            let mut after = None;
            loop {
                let page = self.page(stage, after.as_ref()).await?;
                let last = page.len() < PAGE;
                for (key, record) in page {
                    let closed = record.closed.as_ref().map(|closed| closed.at);
                    if closed.is_some_and(|at| at < before)
                        && let Some((_, number)) = RequestRecord::place(&key)
                    {
                        self.drop_closed(&key, number, &record).await?;
                    }
                    after = Some(key);
                }
                if last {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn drop_closed(
        &self,
        key: &Key<RequestRecord>,
        number: u64,
        record: &RequestRecord,
    ) -> Result<(), MetadataError> {
        let mut batch = Batch::default().remove_record(key);
        for n in 0..record.comments.min(MAX_COMMENTS) {
            batch = batch.remove_record(&RequestComment::key(number, n));
        }
        self.0.metadata.commit(batch).await?;
        tracing::info!(request = number, package = %record.package, "a request that was closed long ago is kept no longer");
        if let Ok(package) = record.package.parse() {
            self.post(|board| board.take(&package, number));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
