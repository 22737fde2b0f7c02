//! Advisories: imported, kept, and in force beside the rules.
//!
//! An import is staged whole, then read record by record ([`bundle`]), and written beside what is
//! in force ([`import`]): one commit at its end makes it count, so a crash or a broken record
//! changes nothing. What counts is read into an index in memory ([`stored`]), which goes into force
//! with the rules as one revision: views and decisions follow at the next request. The index is kept
//! as a file ([`kept`]), from which the next start has it. Nothing is served before it is there.

mod age;
pub mod bundle;
mod cleaning;
mod fetching;
mod import;
pub mod kept;
mod rustsec;
mod stored;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use policies::advisories::{Advisory, Index};
use policies::package::Ecosystem;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::blobs::{BlobError, Blobs, Stage};
use crate::clock::Clock;
use crate::edge;
use crate::metadata::records::SourceRecord;
use crate::metadata::{Metadata, MetadataError};
use crate::observability::CheckState;
use crate::rules::Rules;

pub use age::NOTHING_KNOWN;
pub use bundle::Fault;
pub use fetching::{Fetching, Remote};
pub use import::Imported;

/// The largest file that is imported.
pub const MAX_IMPORT: u64 = 4 << 30;
const MAX_SOURCE: usize = 64;
const ASK_STORE: Duration = Duration::from_secs(15);
/// Sources that are remembered.
const MAX_SOURCES: usize = 100;

const ANEW: &str = "the index of advisories that was kept can not be used, and is made anew";

/// The advisories of this garden. Cheap to clone.
#[derive(Clone)]
pub struct Advisories(Arc<Inner>);

struct Inner {
    metadata: Arc<dyn Metadata>,
    blobs: Blobs,
    rules: Rules,
    clock: Clock,
    /// Where the index is kept.
    data: PathBuf,
    /// Held by whoever changes what is stored.
    turn: Arc<Mutex<()>>,
    /// How long what is known counts as new without anybody confirming it.
    stale: Duration,
    /// The sources whose server said that nothing changed, and when.
    confirmed: parking_lot::Mutex<BTreeMap<String, Timestamp>>,
    check: parking_lot::Mutex<CheckState>,
}

/// What an import is to do.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Under this name it is remembered; the next import of the same name goes on from it.
    pub source: String,
    /// It is all that the source has: what it has no more is taken away.
    pub complete: bool,
}

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// What was sent is broken. Nothing changed.
    #[error("nothing was imported: {0}")]
    Broken(Fault),
    #[error("{0}")]
    BadSource(String),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("the import failed: {0}")]
    Internal(String),
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AdvisoriesStatus {
    /// How many are in force.
    pub advisories: usize,
    /// How many packages they speak of.
    pub packages: usize,
    /// Those for which advisories were imported. Of the others nothing is known.
    pub ecosystems: Vec<Ecosystem>,
    /// Bytes of the index in memory.
    pub memory: usize,
    /// Empty before the first import.
    pub revision: String,
    /// By name, what each was last imported from.
    pub sources: BTreeMap<String, SourceRecord>,
    /// When a source last confirmed what is known of an ecosystem.
    #[serde(default)]
    pub confirmed: BTreeMap<Ecosystem, Timestamp>,
    /// Those of which that is longer ago than `advisories.stale`.
    #[serde(default)]
    pub stale: Vec<Ecosystem>,
}

impl std::fmt::Debug for Advisories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Advisories").finish_non_exhaustive()
    }
}

impl Advisories {
    /// Puts what is stored in force. What can not be read denies everything, as rules do that can
    /// not be read: it may say that something is malicious.
    pub async fn open(
        metadata: Arc<dyn Metadata>,
        blobs: Blobs,
        rules: Rules,
        clock: Clock,
        data: PathBuf,
        stale: Duration,
    ) -> Self {
        let advisories = Self(Arc::new(Inner {
            metadata,
            blobs,
            rules,
            clock,
            data,
            turn: Arc::new(Mutex::new(())),
            stale,
            confirmed: parking_lot::Mutex::default(),
            check: parking_lot::Mutex::new(CheckState::Ok),
        }));
        advisories.reload().await;
        advisories.clean_later();
        advisories
    }

    /// Keeps what is in force true to the store, which another process may have written, until the
    /// last clone of [`Advisories`] is gone. So what could not be read is also tried again.
    pub fn watch(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(ASK_STORE).await;
                let Some(inner) = inner.upgrade() else { return };
                Self(inner).look().await;
            }
        });
    }

    async fn look(&self) {
        // An import of our own ends with its own look.
        let _turn = self.0.turn.lock().await;
        let Ok(state) = stored::read_state(self.0.metadata.as_ref()).await else { return };
        let revision = state.map(|state| state.record.revision).unwrap_or_default();
        if **self.0.rules.current().advisories().revision() != *revision {
            self.reload().await;
        }
    }

    /// A place for what is to be imported.
    pub async fn stage(&self) -> Result<Stage, BlobError> {
        self.0.blobs.stage(&[]).await
    }

    /// Imports what was staged, whole or not at all.
    pub async fn import(
        &self,
        mut staged: Stage,
        options: ImportOptions,
    ) -> Result<Imported, ImportError> {
        check_source(&options.source)?;
        staged.finish().await?;
        let this = self.clone();
        // To its end, also where the one who asked has left.
        let importing = async move {
            let _turn = this.0.turn.lock().await;
            let imported = import::run(&this.0, &staged, &options).await;
            if imported.as_ref().is_ok_and(Imported::changed) {
                this.reload().await;
            }
            // Where nothing was written all of it counts as before.
            if imported.as_ref().map_or(true, |imported| imported.wrote) {
                this.clean_later();
            }
            imported
        };
        let importing = tokio::spawn(edge::on_behalf_of(edge::current(), importing));
        importing.await.unwrap_or_else(|fault| Err(ImportError::Internal(fault.to_string())))
    }

    /// Puts in force what the store says.
    async fn reload(&self) {
        match self.index().await {
            Ok((index, is_new)) => {
                let index = Arc::new(index);
                tracing::info!(
                    advisories = index.len(),
                    packages = index.packages(),
                    revision = &**index.revision(),
                    "advisories in force"
                );
                self.0.rules.put_beside(Ok(Arc::clone(&index))).await;
                if is_new {
                    self.keep(index).await;
                }
            }
            Err(fault) => {
                self.0.rules.put_beside(Err(fault.to_string())).await;
            }
        }
    }

    /// As it was kept, or made of the records: then it is new.
    async fn index(&self) -> Result<(Index, bool), MetadataError> {
        let metadata = self.0.metadata.as_ref();
        let Some(state) = stored::read_state(metadata).await? else {
            return Ok((Index::default(), false));
        };
        let (data, now) = (self.0.data.clone(), self.0.clock.now());
        let record = state.record.clone();
        let reading = move || kept::read(&data, &record, Some(now));
        match tokio::task::spawn_blocking(reading).await {
            Ok(Ok(index)) => return Ok((index, false)),
            Ok(Err(kept::Unusable::Missing | kept::Unusable::Outdated(_))) => {}
            Ok(Err(fault)) => tracing::warn!(%fault, "{ANEW}"),
            Err(fault) => tracing::warn!(%fault, "{ANEW}"),
        }
        Ok((stored::load(metadata, &state.record, now).await?, true))
    }

    /// What fails costs the next start its time.
    async fn keep(&self, index: Arc<Index>) {
        let data = self.0.data.clone();
        let fault = match tokio::task::spawn_blocking(move || kept::write(&data, &index)).await {
            Ok(Ok(())) => return,
            Ok(Err(fault)) => fault.to_string(),
            Err(fault) => fault.to_string(),
        };
        tracing::warn!(
            fault,
            "the index of advisories can not be kept: the next start makes it anew"
        );
    }

    pub async fn status(&self) -> Result<AdvisoriesStatus, MetadataError> {
        let state = stored::read_state(self.0.metadata.as_ref()).await?;
        let set = self.0.rules.current();
        let index = set.advisories();
        let sources = state.map(|state| state.record.sources).unwrap_or_default();
        let age = self.age(&sources);
        Ok(AdvisoriesStatus {
            advisories: index.len(),
            packages: index.packages(),
            ecosystems: index.ecosystems().to_vec(),
            memory: index.bytes(),
            revision: index.revision().to_string(),
            sources,
            confirmed: age.confirmed,
            stale: age.stale,
        })
    }

    /// One advisory by its id, with the sources that have it.
    pub async fn find(&self, id: &str) -> Result<Option<(Advisory, Vec<String>)>, MetadataError> {
        find(self.0.metadata.as_ref(), id).await
    }
}

/// Like [`Advisories::find`], for whoever has the store alone.
pub async fn find(
    metadata: &dyn Metadata,
    id: &str,
) -> Result<Option<(Advisory, Vec<String>)>, MetadataError> {
    let Some(state) = stored::read_state(metadata).await? else { return Ok(None) };
    stored::find(metadata, &state.record, id).await
}

/// Whether the index that is kept is what the records say; `None` where there is none, or one that
/// the next start replaces. For whoever has the store alone.
pub async fn check_kept(
    metadata: &dyn Metadata,
    data: &Path,
) -> Result<Option<Result<(), kept::Unusable>>, MetadataError> {
    let Some(state) = stored::read_state(metadata).await? else { return Ok(None) };
    let (data, record) = (data.to_owned(), state.record.clone());
    let read = tokio::task::spawn_blocking(move || kept::read(&data, &record, None)).await;
    let index = match read.map_err(|fault| MetadataError::Unavailable(fault.to_string()))? {
        Ok(index) => index,
        Err(kept::Unusable::Missing | kept::Unusable::Outdated(_)) => return Ok(None),
        Err(fault) => return Ok(Some(Err(fault))),
    };
    let made = index.outline().since.unwrap_or(Timestamp::MIN);
    let of_records = stored::load(metadata, &state.record, made).await?;
    Ok(Some(if of_records == index { Ok(()) } else { Err(kept::Unusable::differs()) }))
}

/// A source's name stands in keys, in URLs and in front of people.
fn check_source(source: &str) -> Result<(), ImportError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if source.is_empty() || source.len() > MAX_SOURCE || !source.bytes().all(plain) {
        return Err(ImportError::BadSource(format!(
            "the name of a source has 1 to {MAX_SOURCE} letters, digits and - _ ."
        )));
    }
    Ok(())
}
