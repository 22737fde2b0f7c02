//! Documents: what the upstream says of a package, kept unfiltered, parsed once.
//!
//! The way of a request: in memory and fresh → served. Else one flight for all who ask: what lies
//! on disk is loaded, the upstream is asked whether it is still the newest, what is new is parsed
//! before it is kept, compared with what is remembered ([`observe`](super::observe)), and written
//! blob first, record last. When the upstream can not be asked, the document of before is served
//! as stale, within its limit.
//!
//! What a document *means* is the format's business ([`DocumentFormat`]); who may see which
//! version is the gate's. Nothing here is filtered, so nothing here may be sent as it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use moka::sync::Cache;
use policies::package::{Package, Version};

use super::flights::Flights;
use super::format::DocumentFormat;
use super::freshness::{Judgement, age};
use super::room::Room;
use super::store::{PullStore, Saved, Update};
use super::{CacheOutcome, PullError, Source};
use crate::metadata::records::VersionRecord;
use crate::upstream::{DocumentAnswer, Upstream, UpstreamBody, Validators};

/// Which document, and what to ask the upstream for.
#[derive(Clone, Debug)]
pub struct DocumentRequest {
    pub package: Package,
    /// Below the upstream's address, encoded.
    pub path: String,
    pub accept: &'static str,
}

/// How new the answer has to be.
#[derive(Clone, Debug)]
pub enum Need {
    /// Confirmed within the registry's `max_age`.
    Fresh,
    /// Any that knows this version: what is known of a version does not age. A version that is
    /// not known is looked for at the upstream.
    Version(Version),
}

/// One state of a document. The id is another one for each state, in this process.
#[derive(Debug)]
pub struct Content<P> {
    pub id: u64,
    pub parsed: P,
    /// First-seen dates and pinned digests.
    pub versions: HashMap<Version, VersionRecord>,
    size: usize,
}

/// A document as it is served.
#[derive(Debug)]
pub struct Document<P> {
    pub content: Arc<Content<P>>,
    pub checked: Timestamp,
    /// When the upstream was last asked in vain to confirm it; it is marked as stale then.
    pub unconfirmed: Option<Timestamp>,
    /// The upstream has no such package any more. That is an answer, so `max_stale` does not apply.
    withdrawn: bool,
    pub outcome: CacheOutcome,
}

impl<P> Document<P> {
    /// As it is served without asking anybody.
    fn as_held(&self) -> Self {
        let outcome =
            if self.unconfirmed.is_some() { CacheOutcome::Stale } else { CacheOutcome::Hit };
        Self { outcome, ..self.clone() }
    }
}

impl<P> Clone for Document<P> {
    fn clone(&self) -> Self {
        Self { content: Arc::clone(&self.content), ..*self }
    }
}

type DocumentKey = (Arc<str>, Package);

#[derive(Clone, Copy, Debug)]
pub struct DocumentsSettings {
    /// Bounds the bytes of documents that are kept parsed.
    pub memory: u64,
    /// Bounds the bytes of documents that are on their way.
    pub room: u64,
    /// How long what an upstream does not have is not asked for again.
    pub absent_age: Duration,
}

/// The documents of one format, of all its registries.
pub struct Documents<F: DocumentFormat> {
    store: PullStore,
    loaded: Cache<DocumentKey, Document<F::Parsed>>,
    /// Packages, and versions, that the upstream truly does not have, for a short time.
    absent: Cache<(DocumentKey, Option<Version>), ()>,
    flights: Flights<DocumentKey, Result<Document<F::Parsed>, PullError>>,
    next_id: AtomicU64,
    room: Room,
}

/// Behind a refresh that failed, how long the document of before is served without asking again.
const PAUSE: Duration = Duration::from_secs(5);
/// Of a document's problems, so many are in the log.
const PROBLEMS_TOLD: usize = 5;
/// Packages and versions that are remembered as absent.
const ABSENT_AT_MOST: u64 = 100_000;

impl<F: DocumentFormat> Documents<F> {
    pub fn new(store: PullStore, settings: DocumentsSettings) -> Arc<Self> {
        let DocumentsSettings { memory, absent_age, .. } = settings;
        let loaded = Cache::builder()
            .weigher(|_, document: &Document<F::Parsed>| {
                // The spans of a parsed document take about as much again as its bytes.
                u32::try_from(document.content.size.saturating_mul(2) + 1024).unwrap_or(u32::MAX)
            })
            .max_capacity(memory)
            .build();
        let absent = Cache::builder().max_capacity(ABSENT_AT_MOST).time_to_live(absent_age).build();
        let flights = Flights::new(store.runtime.clone());
        Arc::new(Self {
            store,
            loaded,
            absent,
            flights,
            next_id: AtomicU64::new(0),
            room: Room::new(settings.room),
        })
    }

    pub async fn get(
        self: &Arc<Self>,
        source: &Arc<Source>,
        request: DocumentRequest,
        need: Need,
    ) -> Result<Document<F::Parsed>, PullError> {
        let key = (Arc::clone(&source.registry), request.package.clone());
        if let Some(document) = self.loaded.get(&key)
            && self.serves(source, &key, &document, &need)
        {
            return Ok(document.as_held());
        }
        if self.absent.contains_key(&(key.clone(), None)) {
            return Err(PullError::Absent);
        }
        let begun = self.store.clock.now();
        loop {
            let (this, source_of, request, wanted) =
                (Arc::clone(self), Arc::clone(source), request.clone(), need.clone());
            let work = || async move { this.refresh(&source_of, &request, &wanted).await };
            let landed = self.flights.join(key.clone(), work).await.ok_or(PullError::Internal)?;
            let mut document = landed.value?;
            if !landed.joined {
                return Ok(document);
            }
            // Whoever started the flight may have needed less: then it is our turn to ask.
            let asked = document.checked >= begun
                || (matches!(need, Need::Fresh)
                    && document.unconfirmed.is_some_and(|asked| asked >= begun));
            if !asked && !self.serves(source, &key, &document, &need) {
                continue;
            }
            if document.outcome != CacheOutcome::Stale {
                document.outcome = CacheOutcome::Joined;
            }
            return Ok(document);
        }
    }

    fn serves(
        &self,
        source: &Source,
        key: &DocumentKey,
        document: &Document<F::Parsed>,
        need: &Need,
    ) -> bool {
        let now = self.store.clock.now();
        match need {
            Need::Fresh => match source.freshness.judge(document.checked, now) {
                Judgement::Fresh => true,
                judgement => {
                    let asked_lately =
                        document.unconfirmed.is_some_and(|asked| age(asked, now) < PAUSE);
                    let expired = matches!(judgement, Judgement::Expired { .. });
                    asked_lately && (document.withdrawn || !expired)
                }
            },
            Need::Version(version) => {
                document.content.versions.contains_key(version)
                    || self.absent.contains_key(&(key.clone(), Some(version.clone())))
            }
        }
    }

    async fn refresh(
        &self,
        source: &Source,
        request: &DocumentRequest,
        need: &Need,
    ) -> Result<Document<F::Parsed>, PullError> {
        let key = (Arc::clone(&source.registry), request.package.clone());
        let (before, saved) = self.load(source, request).await?;
        if let Some(document) = &before
            && self.serves(source, &key, document, need)
        {
            self.loaded.insert(key, document.clone());
            return Ok(document.as_held());
        }
        let Some(upstream) = &source.upstream else {
            return before.ok_or(PullError::Absent);
        };
        let validators = saved.as_ref().map(|saved| Validators {
            etag: saved.record.etag.clone(),
            last_modified: saved.record.last_modified.clone(),
        });
        let asked = upstream.document(&request.path, request.accept, validators.as_ref()).await;
        let result = match (asked, before.as_ref(), saved) {
            (Ok(DocumentAnswer::NotModified), Some(before), Some(saved)) => {
                Ok(self.confirm(source, request, before, saved).await)
            }
            (Ok(DocumentAnswer::NotModified), ..) => Err(PullError::Broken {
                upstream: upstream.name().to_owned(),
                cause: "it answers 304 to a request that names no version of the document".into(),
            }),
            (Ok(DocumentAnswer::Found(body)), before, saved) => {
                self.keep_newer(source, upstream, request, body, before, saved).await
            }
            (Err(fault), ..) => Err(PullError::from_upstream(upstream, fault)),
        };
        let document = match (result, before) {
            (Ok(document), _) => document,
            (Err(fault), before) => self.serve_stale(source, &key, need, before, fault)?,
        };
        if let Need::Version(version) = need
            && !document.content.versions.contains_key(version)
        {
            self.absent.insert((key.clone(), Some(version.clone())), ());
        }
        self.loaded.insert(key, document.clone());
        Ok(document)
    }

    /// The upstream can not be asked, or has no such package any more: what we hold is served, as
    /// stale where it is only out of reach.
    fn serve_stale(
        &self,
        source: &Source,
        key: &DocumentKey,
        need: &Need,
        before: Option<Document<F::Parsed>>,
        fault: PullError,
    ) -> Result<Document<F::Parsed>, PullError> {
        let now = self.store.clock.now();
        let Some(before) = before else {
            if matches!(fault, PullError::Absent) {
                self.absent.insert((key.clone(), None), ());
            }
            return Err(fault);
        };
        let withdrawn = matches!(fault, PullError::Absent);
        let expired =
            matches!(source.freshness.judge(before.checked, now), Judgement::Expired { .. });
        // That we do not know a version does not mean that the upstream does not have it.
        let unknown = matches!(need, Need::Version(version) if !before.content.versions.contains_key(version));
        if !withdrawn && (expired || unknown) {
            return Err(fault);
        }
        let (registry, package) = (source.registry.as_ref(), &key.1);
        tracing::warn!(registry, %package, %fault, "serving a document that could not be confirmed");
        let outcome = CacheOutcome::Stale;
        Ok(Document { unconfirmed: Some(now), withdrawn, outcome, ..before })
    }

    /// From memory, else from the store. A record whose blob is damaged or gone counts as not
    /// there, so that it is fetched again.
    async fn load(
        &self,
        source: &Source,
        request: &DocumentRequest,
    ) -> Result<(Option<Document<F::Parsed>>, Option<Saved>), PullError> {
        let saved = self.store.read_saved(&source.registry, &request.package).await?;
        let Some(saved) = saved else { return Ok((None, None)) };
        let key = (Arc::clone(&source.registry), request.package.clone());
        if let Some(document) = self.loaded.get(&key) {
            return Ok((Some(document), Some(saved)));
        }
        let Some(bytes) = self.store.read_blob(&saved.record.blob, saved.record.size).await? else {
            return Ok((None, None));
        };
        let retained = match &saved.retained {
            Some(retained) => self.store.read_blob(&retained.blob, retained.size).await?,
            None => None,
        };
        let versions = self.store.read_versions(&source.registry, &request.package).await?;
        let content = self.parse(&request.package, bytes, retained, versions).await;
        match content {
            Ok(content) => {
                let document = Document {
                    content: Arc::new(content),
                    checked: saved.record.checked,
                    unconfirmed: None,
                    withdrawn: false,
                    outcome: CacheOutcome::Hit,
                };
                Ok((Some(document), Some(saved)))
            }
            Err(cause) => {
                // What was kept was parsed before; only another version of garth reads it otherwise.
                tracing::error!(registry = %source.registry, package = %request.package, cause, "a kept document can not be read; it is fetched again");
                Ok((None, None))
            }
        }
    }

    async fn confirm(
        &self,
        source: &Source,
        request: &DocumentRequest,
        before: &Document<F::Parsed>,
        mut saved: Saved,
    ) -> Document<F::Parsed> {
        saved.record.checked = self.store.clock.now();
        self.store.write_checked(&source.registry, &request.package, &saved.record).await;
        Document {
            content: Arc::clone(&before.content),
            checked: saved.record.checked,
            unconfirmed: None,
            withdrawn: false,
            outcome: CacheOutcome::Hit,
        }
    }

    /// Parses before anything is kept; writes the blob before the record that names it.
    async fn keep_newer(
        &self,
        source: &Source,
        upstream: &Upstream,
        request: &DocumentRequest,
        mut body: UpstreamBody,
        before: Option<&Document<F::Parsed>>,
        saved: Option<Saved>,
    ) -> Result<Document<F::Parsed>, PullError> {
        let package = &request.package;
        let collected = self.room.collect(upstream, &mut body).await?;
        let bytes = collected.bytes.clone();
        let known = self.store.read_versions(&source.registry, package).await?;
        let content = self.parse(package, bytes.clone(), None, known).await.map_err(|cause| {
            PullError::Broken {
                upstream: source.upstream_name(),
                cause: format!("what it gave for {package} is no document of it: {cause}"),
            }
        })?;
        let problems = F::problems(&content.parsed);
        if !problems.is_empty() {
            let first = problems.iter().take(PROBLEMS_TOLD).cloned().collect::<Vec<_>>().join("; ");
            tracing::warn!(registry = %source.registry, %package, count = problems.len(), first, "versions are left out, because they can not be checked");
        }
        let update = Update {
            registry: &source.registry,
            package,
            bytes,
            etag: body.etag.clone(),
            last_modified: body.last_modified.clone(),
            media_type: body.media_type.clone(),
            saved,
        };
        let before = before.map(|document| &document.content.parsed);
        let kept = self
            .store
            .keep_document::<F>(update, &content.parsed, &content.versions, before)
            .await?;
        let content = match kept.retained {
            Some(retained) => self
                .parse(package, kept.bytes, Some(retained), kept.versions)
                .await
                .map_err(|cause| PullError::Broken { upstream: source.upstream_name(), cause })?,
            None => Content { versions: kept.versions, ..content },
        };
        Ok(Document {
            content: Arc::new(content),
            checked: kept.checked,
            unconfirmed: None,
            withdrawn: false,
            outcome: CacheOutcome::Miss,
        })
    }

    async fn parse(
        &self,
        package: &Package,
        bytes: Bytes,
        retained: Option<Bytes>,
        versions: HashMap<Version, VersionRecord>,
    ) -> Result<Content<F::Parsed>, String> {
        let package = package.clone();
        let size = bytes.len() + retained.as_ref().map_or(0, Bytes::len);
        let parsing = move || F::parse(&package, bytes, retained);
        let parsed = tokio::task::spawn_blocking(parsing)
            .await
            .map_err(|fault| format!("reading it failed: {fault}"))??;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Ok(Content { id, parsed, versions, size })
    }
}

impl<F: DocumentFormat> std::fmt::Debug for Documents<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents")
            .field("loaded", &self.loaded.entry_count())
            .finish_non_exhaustive()
    }
}
