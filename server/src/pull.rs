//! The one pull-through flow, for all formats.
//!
//! ```text
//! handler → documents::get ── fresh? ─────────────────────────→ Document (unfiltered)
//!              └ one flight → upstream → parse → observe → store ┘
//! gate::screen(document) → Screened → views::get → View (filtered, rewritten, compressed, kept)
//! gate::admit(version)  → Admitted → artifacts::get ── held? → blob
//!                             └ one flight → upstream → stage, hash, stream → check → store
//!                                                                    comparing, behind ┘
//! ```
//!
//! Here is nothing of any format, and nothing that decides: what may be sent is decided by the
//! gate, whose [`Admitted`](crate::gate::Admitted) and [`Screened`](crate::gate::Screened) the
//! code that sends bytes asks for.

pub mod artifacts;
pub mod comparing;
pub mod content;
pub mod documents;
pub mod flights;
pub mod forget;
pub mod format;
pub mod freshness;
pub mod observe;
pub mod original;
pub mod own;
pub mod plain;
pub mod room;
pub mod store;
pub mod summaries;
pub mod views;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use policies::package::Digest;

use crate::blobs::BlobError;
use crate::metadata::MetadataError;
pub use crate::observability::CacheOutcome;
use crate::upstream::credentials::without_userinfo;
use crate::upstream::{Upstream, UpstreamError};
use freshness::Freshness;

/// So many bytes of JSON are read, compared or packed in less time than another thread takes to be
/// woken for it: such work is done at once.
pub const SMALL_WORK: usize = 16 << 10;

/// Where a registry's packages come from.
#[derive(Debug)]
pub struct Source {
    pub registry: Arc<str>,
    /// Absent for a registry of own packages alone.
    pub upstream: Option<Upstream>,
    pub freshness: Freshness,
}

impl Source {
    /// Where its documents come from, as it is remembered with them.
    pub fn address(&self) -> Option<String> {
        let upstream = self.upstream.as_ref()?;
        Some(without_userinfo(upstream.base().clone()).to_string())
    }
}

/// By what the client is told; every format maps these in its `refusal`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// The upstream says that there is no such thing.
    #[error("not found")]
    Absent,
    #[error("the upstream {upstream} asks to slow down")]
    RateLimited { upstream: String, retry_after: Option<Duration> },
    #[error("the upstream {upstream} can not be reached{}: {cause}", since_text(*.since))]
    Unavailable { upstream: String, since: Option<Timestamp>, cause: String },
    #[error("the upstream {upstream} does not answer in time{}: {cause}", since_text(*.since))]
    TimedOut { upstream: String, since: Option<Timestamp>, cause: String },
    /// It answered with something that must not be passed on.
    #[error("the upstream {upstream} gave an answer that is not served: {cause}")]
    Broken { upstream: String, cause: String },
    /// Too many large documents are on their way from it; nothing is wrong with this one.
    #[error("too much is being fetched from the upstream {upstream} at once")]
    Crowded { upstream: String },
    /// Too many views are being made; nothing is wrong with this one.
    #[error("too much is being made for other clients at once; ask again in a moment")]
    Busy,
    /// The bytes are not the promised ones. Nothing of them was kept.
    #[error(
        "the bytes of {file}{} are not the promised ones: expected {expected}{}",
        from_text(upstream),
        got_text(got.as_ref())
    )]
    Contradicts { upstream: String, file: String, expected: Digest, got: Option<Digest> },
    /// It was published here and can be had nowhere else, and its bytes are damaged or gone.
    #[error(
        "the bytes of {0}, which was published here, are damaged or gone: they have to come from a backup"
    )]
    Lost(String),
    /// What was to be read is not there any more: it has to be asked for anew.
    #[error("what is kept of this document has changed meanwhile")]
    Outdated,
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A fault of ours, which is in the log.
    #[error("garth failed at this; its log says why")]
    Internal,
}

impl PullError {
    pub fn from_upstream(upstream: &Upstream, fault: UpstreamError) -> Self {
        let name = || upstream.name().to_owned();
        match fault {
            UpstreamError::Absent { .. } => Self::Absent,
            UpstreamError::RateLimited { retry_after, .. } => {
                Self::RateLimited { upstream: name(), retry_after }
            }
            UpstreamError::Unavailable { since, cause, .. } => {
                Self::Unavailable { upstream: name(), since, cause }
            }
            UpstreamError::TimedOut { since, cause, .. } => {
                Self::TimedOut { upstream: name(), since, cause }
            }
            other => Self::Broken { upstream: name(), cause: other.to_string() },
        }
    }
}

fn since_text(since: Option<Timestamp>) -> String {
    since.map(|since| format!(" since {since:.0}")).unwrap_or_default()
}

fn from_text(upstream: &str) -> String {
    if upstream.is_empty() { String::new() } else { format!(" from the upstream {upstream}") }
}

fn got_text(got: Option<&Digest>) -> String {
    got.map(|got| format!(", got {got}")).unwrap_or_default()
}
