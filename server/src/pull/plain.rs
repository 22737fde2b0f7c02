//! Documents that are passed on as they are: the keys of a registry, the attestations of a version.
//!
//! They have no versions of their own, so nothing in them is filtered or observed. One flight for
//! all who ask; what is held is served when the upstream can not be asked, within its limit. They
//! lie in the store like other documents, the registry's own under a package name that no package
//! can have:
//!
//! ```text
//! document/{registry}/-/{document}            of the registry
//! document/{registry}/{package}/{document}    of a package, or of one version of it
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::time::Instant;

use super::flights::Flights;
use super::freshness::Judgement;
use super::store::{NewDocument, PullStore};
use super::{CacheOutcome, PullError, Source};
use crate::gate::Admitted;
use crate::metadata::Batch;
use crate::metadata::records::{DocumentRecord, Key};
use crate::upstream::{DocumentAnswer, Upstream, Validators};

/// No package has this name.
const NO_PACKAGE: &str = "-";
/// Behind a refresh that failed, how long the upstream is not asked again.
const PAUSE: Duration = Duration::from_secs(5);
const ABSENT_AT_MOST: u64 = 100_000;
/// The bytes of such documents that are kept in memory.
const MEMORY: u64 = 8 << 20;

/// Which document, and what to ask the upstream for.
#[derive(Clone, Debug)]
pub struct PlainRequest {
    /// Its name in the store.
    pub document: String,
    /// Below the upstream's address, encoded.
    pub path: String,
    pub at_most: u64,
    pub keep: Keep,
    /// What is no such document is not kept, and the error says why.
    pub check: fn(&[u8]) -> Result<(), String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Confirmed when it is older than the registry's `max_age`.
    AsFresh,
    /// It does not change any more.
    Forever,
}

#[derive(Clone, Debug)]
pub struct Plain {
    pub bytes: Bytes,
    record: Arc<DocumentRecord>,
    /// When the upstream was last asked in vain.
    failed: Option<Instant>,
    pub outcome: CacheOutcome,
}

impl Plain {
    /// The sha256 of its bytes.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.record.blob.hex())
    }
}

type PlainKey = (Arc<str>, String, String);

pub struct PlainDocuments {
    store: PullStore,
    loaded: Cache<PlainKey, Plain>,
    absent: Cache<PlainKey, ()>,
    flights: Flights<PlainKey, Result<Plain, PullError>>,
}

impl PlainDocuments {
    pub fn new(store: PullStore, absent_age: Duration) -> Arc<Self> {
        let loaded = Cache::builder()
            .weigher(|_, plain: &Plain| u32::try_from(plain.bytes.len() + 1024).unwrap_or(u32::MAX))
            .max_capacity(MEMORY)
            .build();
        let absent = Cache::builder().max_capacity(ABSENT_AT_MOST).time_to_live(absent_age).build();
        let flights = Flights::new(store.runtime.clone());
        Arc::new(Self { store, loaded, absent, flights })
    }

    /// A document of the registry itself, which tells of no package.
    pub async fn of_registry(
        self: &Arc<Self>,
        source: &Arc<Source>,
        request: PlainRequest,
    ) -> Result<Plain, PullError> {
        self.get(source, NO_PACKAGE, request).await
    }

    /// A document of a version, which is sent only to whom the version is.
    pub async fn of_version(
        self: &Arc<Self>,
        admitted: &Admitted,
        source: &Arc<Source>,
        request: PlainRequest,
    ) -> Result<Plain, PullError> {
        self.get(source, admitted.subject().package.name(), request).await
    }

    async fn get(
        self: &Arc<Self>,
        source: &Arc<Source>,
        package: &str,
        request: PlainRequest,
    ) -> Result<Plain, PullError> {
        let key = (Arc::clone(&source.registry), package.to_owned(), request.document.clone());
        if let Some(plain) = self.loaded.get(&key)
            && self.is_good(source, &plain, request.keep)
        {
            return Ok(plain);
        }
        if self.absent.contains_key(&key) {
            return Err(PullError::Absent);
        }
        let (this, source, request) = (Arc::clone(self), Arc::clone(source), request);
        let key_of = key.clone();
        let work = || async move { this.bring(&source, &key_of, &request).await };
        self.flights.join(key, work).await.ok_or(PullError::Internal)?.value
    }

    /// A document goes away with its package.
    pub(super) fn forget(&self, registry: &Arc<str>, package: &str, document: &str) {
        let key = (Arc::clone(registry), package.to_owned(), document.to_owned());
        self.loaded.invalidate(&key);
    }

    /// Whether it is served without asking anybody.
    fn is_good(&self, source: &Source, plain: &Plain, keep: Keep) -> bool {
        if plain.record.upstream != source.address() {
            return false;
        }
        let lately = plain.failed.is_some_and(|failed| failed.elapsed() < PAUSE);
        match source.freshness.judge(plain.record.checked, self.store.clock.now()) {
            _ if keep == Keep::Forever || source.upstream.is_none() => true,
            Judgement::Fresh => true,
            Judgement::Stale { .. } => lately,
            Judgement::Expired { .. } => false,
        }
    }

    async fn bring(
        &self,
        source: &Source,
        key: &PlainKey,
        request: &PlainRequest,
    ) -> Result<Plain, PullError> {
        let held = match self.loaded.get(key) {
            Some(plain) => Some(plain),
            None => self.load(key).await?,
        };
        let held = held.filter(|plain| plain.record.upstream == source.address());
        if let Some(plain) = &held
            && self.is_good(source, plain, request.keep)
        {
            self.loaded.insert(key.clone(), plain.clone());
            return Ok(plain.clone());
        }
        let Some(upstream) = &source.upstream else { return Err(PullError::Absent) };
        // As above: another flight may have landed between the look and this one.
        if self.absent.contains_key(key) {
            return Err(PullError::Absent);
        }
        let brought = match self.ask(upstream, source, key, request, held.as_ref()).await {
            Ok(plain) => plain,
            Err(PullError::Absent) => {
                self.absent.insert(key.clone(), ());
                return Err(PullError::Absent);
            }
            Err(fault) => self.stand_in(source, held, fault)?,
        };
        let outcome = match brought.outcome {
            CacheOutcome::Stale => CacheOutcome::Stale,
            _ => CacheOutcome::Hit,
        };
        self.loaded.insert(key.clone(), Plain { outcome, ..brought.clone() });
        Ok(brought)
    }

    /// What is held, where the upstream can not be asked.
    fn stand_in(
        &self,
        source: &Source,
        held: Option<Plain>,
        fault: PullError,
    ) -> Result<Plain, PullError> {
        let now = self.store.clock.now();
        let held = held.filter(|plain| {
            let judgement = source.freshness.judge(plain.record.checked, now);
            !matches!(judgement, Judgement::Expired { .. })
        });
        let Some(plain) = held else { return Err(fault) };
        tracing::warn!(registry = %source.registry, %fault, "a document could not be confirmed");
        Ok(Plain { failed: Some(Instant::now()), outcome: CacheOutcome::Stale, ..plain })
    }

    async fn load(&self, key: &PlainKey) -> Result<Option<Plain>, PullError> {
        let record = self.store.read_or_fetch_again(&record_key(key)).await?;
        let Some(record) = record else { return Ok(None) };
        let bytes = self.store.read_blob(&record.blob, record.size).await?;
        let outcome = CacheOutcome::Hit;
        Ok(bytes.map(|bytes| Plain { bytes, record: Arc::new(record), failed: None, outcome }))
    }

    async fn ask(
        &self,
        upstream: &Upstream,
        source: &Source,
        key: &PlainKey,
        request: &PlainRequest,
        held: Option<&Plain>,
    ) -> Result<Plain, PullError> {
        let fault = |fault| PullError::from_upstream(upstream, fault);
        let broken = |cause: String| PullError::Broken {
            upstream: upstream.name().to_owned(),
            cause: format!("what it gave at {} is no such document: {cause}", request.path),
        };
        let validators = held.map(|plain| Validators {
            etag: plain.record.etag.clone(),
            last_modified: plain.record.last_modified.clone(),
        });
        let answer = upstream
            .document(&request.path, "application/json", validators.as_ref())
            .await
            .map_err(fault)?;
        let body = match (answer, held) {
            (DocumentAnswer::Found(body), _) => body.at_most(request.at_most),
            (DocumentAnswer::NotModified, Some(plain)) => {
                return Ok(self.confirm(key, plain).await);
            }
            (DocumentAnswer::NotModified, None) => return Err(broken("nothing".to_owned())),
        };
        let (etag, last_modified) = (body.etag.clone(), body.last_modified.clone());
        let media_type = body.media_type.clone();
        let bytes = body.read_all().await.map_err(fault)?;
        (request.check)(&bytes).map_err(broken)?;
        let upstream = source.address();
        let document = NewDocument {
            bytes: bytes.clone(),
            etag,
            last_modified,
            media_type,
            upstream,
            folded: None,
        };
        let record = self.keep(key, document).await?;
        let outcome = CacheOutcome::Miss;
        Ok(Plain { bytes, record: Arc::new(record), failed: None, outcome })
    }

    async fn confirm(&self, key: &PlainKey, plain: &Plain) -> Plain {
        let mut record = DocumentRecord::clone(&plain.record);
        record.checked = self.store.clock.now();
        let batch = Batch::default().put_record(&record_key(key), &record);
        if let Err(fault) = self.store.metadata.commit(batch).await {
            tracing::warn!(registry = %key.0, %fault, "the date of a confirmation could not be kept");
        }
        let (bytes, outcome) = (plain.bytes.clone(), CacheOutcome::Hit);
        Plain { bytes, record: Arc::new(record), failed: None, outcome }
    }

    /// The blob before its record, and the bytes of before when nothing names them any more.
    async fn keep(
        &self,
        key: &PlainKey,
        document: NewDocument,
    ) -> Result<DocumentRecord, PullError> {
        let store = &self.store;
        let now = store.clock.now();
        let place = record_key(key);
        let before = store.read_or_fetch_again(&place).await?;
        let record = store.put_document(&place, document, now).await?;
        store.metadata.commit(Batch::default().put_record(&place, &record)).await?;
        if let Some(before) = before.filter(|before| before.blob != record.blob) {
            store.release(&before.blob, place.as_bytes()).await;
        }
        Ok(record)
    }
}

fn record_key((registry, package, document): &PlainKey) -> Key<DocumentRecord> {
    DocumentRecord::key(registry, package, document)
}

impl std::fmt::Debug for PlainDocuments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainDocuments")
            .field("loaded", &self.loaded.entry_count())
            .finish_non_exhaustive()
    }
}
