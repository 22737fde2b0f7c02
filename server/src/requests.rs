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

mod answering;
mod asking;
mod automatic;
mod board;
mod closing;
mod closures;
mod judging;
mod keeping;
mod listed;
mod pending;
mod posting;
mod saying;
mod trying;
mod who;
mod wish;
mod writing;

use std::sync::{Arc, OnceLock, Weak};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use policies::decision::DecisionCode;

use crate::clock::Clock;
use crate::config::RequestsConfig;
use crate::gate::Refused;
use crate::metadata::records::{
    self, Key, Prefix, RefusedRecord, RequestComment, RequestRecord, Stage,
};
use crate::metadata::{Metadata, MetadataError};
use crate::observability::Metrics;
use crate::registries::Registry;
use crate::rules::Rules;
use crate::seen::Memory;
use board::Board;
use pending::Pending;

pub use asking::{Ask, Asked, asker};
pub use closing::{Approval, Approved, CloseError, Obstacle};
pub use closures::{AskClosure, AskedClosure, Meant};
pub use judging::{Judged, Standing};
pub use keeping::Keeping;
pub use pending::Wanted;
pub use who::Who;
pub use wish::AskError;

/// Most comments of one request.
const MAX_COMMENTS: u32 = 200;
const TOO_MANY_COMMENTS: &str = "this request has as many comments as one can have";
/// How often something is tried again that somebody else was faster with.
const ATTEMPTS: usize = 8;
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
    /// Held while it is worked out what is asked for with all that it needs.
    closure_turn: tokio::sync::Semaphore,
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
            closure_turn: tokio::sync::Semaphore::new(1),
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

    /// How many stand open.
    pub fn open_count(&self) -> usize {
        self.0.board.read().counts().0
    }

    fn max_automatic(&self) -> usize {
        usize::try_from(self.0.config.max_automatic).unwrap_or(usize::MAX)
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
        if let Some(number) = board.open_for(wanted) {
            return Known::Open(number);
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
}

#[cfg(test)]
pub(crate) mod tests;
