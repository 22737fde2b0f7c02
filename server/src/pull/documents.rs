//! Documents: what the upstream says of a package, kept unfiltered, parsed once.
//!
//! The way of a request: in memory and fresh → served. Else one flight for all who ask: what lies
//! on disk is loaded, the upstream is asked whether it is still the newest, what is new is parsed
//! before it is kept, compared with what is remembered ([`observe`](super::observe)), and written
//! blob first, record last. When the upstream can not be asked, the document of before is served
//! as stale, within its limit.
//!
//! [`fetching`] brings what is held to the upstream's state; here is who gets what of it.
//!
//! What a document *means* is the format's business ([`DocumentFormat`]); who may see which
//! version is the gate's. Nothing here is filtered, so nothing here may be sent as it is.

mod fetching;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use policies::package::{Package, Version};
use tokio::time::Instant;

use super::content::Content;
use super::flights::Flights;
use super::format::DocumentFormat;
use super::freshness::Judgement;
use super::room::Room;
use super::store::{PullStore, Saved};
use super::{CacheOutcome, PullError, Source};

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

/// A document as it is served.
#[derive(Debug)]
pub struct Document<P> {
    pub content: Arc<Content<P>>,
    saved: Arc<Saved>,
    /// Set while the upstream was last asked in vain.
    unconfirmed: Option<Arc<Unconfirmed>>,
    pub outcome: CacheOutcome,
}

#[derive(Debug)]
struct Unconfirmed {
    at: Instant,
    fault: PullError,
}

impl<P> Document<P> {
    /// When the upstream last confirmed it.
    pub fn checked(&self) -> Timestamp {
        self.saved.record.checked
    }

    /// As it is served without asking anybody.
    fn as_held(&self) -> Self {
        let outcome =
            if self.unconfirmed.is_some() { CacheOutcome::Stale } else { CacheOutcome::Hit };
        Self { outcome, ..self.clone() }
    }
}

impl<P> Clone for Document<P> {
    fn clone(&self) -> Self {
        Self {
            content: Arc::clone(&self.content),
            saved: Arc::clone(&self.saved),
            unconfirmed: self.unconfirmed.clone(),
            outcome: self.outcome,
        }
    }
}

type DocumentKey = (Arc<str>, Package);

/// What is held of a document.
struct Held<F: DocumentFormat> {
    document: Option<Document<F::Parsed>>,
    /// The versions that the upstream took away, where the newest bytes can not be read.
    remains: Option<F::Parsed>,
    saved: Option<Arc<Saved>>,
}

/// How asking the upstream ended: it never knows what somebody needed, so it serves all who joined.
#[derive(Debug)]
struct Asked<P> {
    /// The newest that there is now, confirmed or not.
    document: Option<Document<P>>,
    /// Why it could not be confirmed.
    fault: Option<PullError>,
    /// What lay on the disk was enough for the one who asked.
    only_loaded: bool,
}

impl<P> Clone for Asked<P> {
    fn clone(&self) -> Self {
        Self {
            document: self.document.clone(),
            fault: self.fault.clone(),
            only_loaded: self.only_loaded,
        }
    }
}

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
    flights: Flights<DocumentKey, Asked<F::Parsed>>,
    room: Room,
}

/// Behind a refresh that failed, how long the upstream is not asked again for this document.
const PAUSE: Duration = Duration::from_secs(5);
/// Packages and versions that are remembered as absent.
const ABSENT_AT_MOST: u64 = 100_000;

enum Verdict {
    Serve,
    Refuse(PullError),
    Ask,
}

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
        Arc::new(Self { store, loaded, absent, flights, room: Room::new(settings.room) })
    }

    pub async fn get(
        self: &Arc<Self>,
        source: &Arc<Source>,
        request: DocumentRequest,
        need: Need,
    ) -> Result<Document<F::Parsed>, PullError> {
        let key = (Arc::clone(&source.registry), request.package.clone());
        if let Some(document) = self.loaded.get(&key) {
            match self.judge(source, &key, &document, &need) {
                Verdict::Serve => return Ok(document.as_held()),
                Verdict::Refuse(fault) => return Err(fault),
                Verdict::Ask => {}
            }
        } else if self.absent.contains_key(&(key.clone(), None)) {
            return Err(PullError::Absent);
        }
        loop {
            let (this, source_of, request) =
                (Arc::clone(self), Arc::clone(source), request.clone());
            let (wanted, key_of) = (need.clone(), key.clone());
            let work = || async move { this.ask(&source_of, &request, &key_of, &wanted).await };
            let landed = self.flights.join(key.clone(), work).await.ok_or(PullError::Internal)?;
            if landed.joined && landed.value.only_loaded && !self.is_served(source, &key, &need) {
                // Whoever started the flight needed less: now it is our turn.
                continue;
            }
            let mut document = self.settle(source, &key, &need, landed.value)?;
            if landed.joined && document.outcome != CacheOutcome::Stale {
                document.outcome = CacheOutcome::Joined;
            }
            return Ok(document);
        }
    }

    fn is_served(&self, source: &Source, key: &DocumentKey, need: &Need) -> bool {
        self.loaded.get(key).is_some_and(|document| {
            matches!(self.judge(source, key, &document, need), Verdict::Serve)
        })
    }

    /// Whether this is good enough, without asking anybody.
    fn judge(
        &self,
        source: &Source,
        key: &DocumentKey,
        document: &Document<F::Parsed>,
        need: &Need,
    ) -> Verdict {
        let freshness = source.freshness.judge(document.checked(), self.store.clock.now());
        let lately = document.unconfirmed.as_ref().filter(|asked| asked.at.elapsed() < PAUSE);
        let is_good = match need {
            Need::Fresh => freshness == Judgement::Fresh,
            Need::Version(version) => {
                F::offers(&document.content.parsed, version)
                    || self.absent.contains_key(&(key.clone(), Some(version.clone())))
            }
        };
        match lately {
            _ if is_good => Verdict::Serve,
            None => Verdict::Ask,
            Some(asked) if can_stand_in(need, freshness, &asked.fault) => Verdict::Serve,
            Some(asked) => Verdict::Refuse(asked.fault.clone()),
        }
    }

    /// What somebody with this need gets of how asking ended.
    fn settle(
        &self,
        source: &Source,
        key: &DocumentKey,
        need: &Need,
        asked: Asked<F::Parsed>,
    ) -> Result<Document<F::Parsed>, PullError> {
        let Asked { document, fault, .. } = asked;
        let Some(document) = document else { return Err(fault.unwrap_or(PullError::Internal)) };
        let lacks = match need {
            Need::Version(version) if !F::offers(&document.content.parsed, version) => {
                Some(version)
            }
            _ => None,
        };
        match (fault, lacks) {
            (None, None) => Ok(document),
            (None, Some(version)) => {
                self.absent.insert((key.clone(), Some(version.clone())), ());
                Ok(document)
            }
            (Some(_), None) if matches!(need, Need::Version(_)) => Ok(document),
            (Some(fault), _) => {
                let freshness = source.freshness.judge(document.checked(), self.store.clock.now());
                if can_stand_in(need, freshness, &fault) { Ok(document) } else { Err(fault) }
            }
        }
    }

    /// Brings what is held to the state of the upstream, as far as that can be asked.
    async fn ask(
        &self,
        source: &Source,
        request: &DocumentRequest,
        key: &DocumentKey,
        need: &Need,
    ) -> Asked<F::Parsed> {
        let held = match self.load(source, request, key).await {
            Ok(held) => held,
            Err(fault) => return Asked { document: None, fault: Some(fault), only_loaded: false },
        };
        if let Some(document) = &held.document
            && matches!(self.judge(source, key, document, need), Verdict::Serve)
        {
            // It only had to be brought into memory.
            self.loaded.insert(key.clone(), document.clone());
            let document = Some(document.as_held());
            return Asked { document, fault: None, only_loaded: true };
        }
        let before = held.document.clone();
        let asked = match self.confirm_or_fetch(source, request, held).await {
            Ok(document) => Asked { document: Some(document), fault: None, only_loaded: false },
            Err(fault) => self.fall_back(key, before, fault),
        };
        if let Some(document) = &asked.document {
            self.loaded.insert(key.clone(), document.clone());
        }
        asked
    }

    /// The upstream can not be asked, or has no such package any more.
    fn fall_back(
        &self,
        key: &DocumentKey,
        before: Option<Document<F::Parsed>>,
        fault: PullError,
    ) -> Asked<F::Parsed> {
        if before.is_none() && matches!(fault, PullError::Absent) {
            self.absent.insert((key.clone(), None), ());
        }
        let document = before.map(|before| {
            tracing::warn!(registry = %key.0, package = %key.1, %fault, "a document could not be confirmed");
            let unconfirmed = Unconfirmed { at: Instant::now(), fault: fault.clone() };
            Document {
                unconfirmed: Some(Arc::new(unconfirmed)),
                outcome: CacheOutcome::Stale,
                ..before
            }
        });
        Asked { document, fault: Some(fault), only_loaded: false }
    }
}

/// Whether a document that could not be confirmed is served all the same. That the upstream has no
/// such package any more is an answer, so the limit of stale ones does not hold for it. That we do
/// not know a version does not mean that the upstream does not have it.
fn can_stand_in(need: &Need, freshness: Judgement, fault: &PullError) -> bool {
    let withdrawn = matches!(fault, PullError::Absent);
    let expired = matches!(freshness, Judgement::Expired { .. });
    withdrawn || (!expired && matches!(need, Need::Fresh))
}

impl<F: DocumentFormat> std::fmt::Debug for Documents<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents")
            .field("loaded", &self.loaded.entry_count())
            .finish_non_exhaustive()
    }
}
