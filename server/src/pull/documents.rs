//! Documents: what the upstream says of a package, kept unfiltered, parsed once.
//!
//! The way of a request: in memory and fresh → served. Else one flight for all who ask: what lies
//! on disk is loaded, the upstream is asked whether it is still the newest, what is new is parsed
//! before it is kept, compared with what is remembered ([`observe`](super::observe)), and written
//! blob first, record last. When the upstream can not be asked, the document of before is served
//! as stale, within its limit.
//!
//! [`judging`] says whether what is held is good enough, [`fetching`] brings it to the upstream's
//! state; here is who gets what of it.
//!
//! To serve a stored view takes a [`Document`], which is small: its state, and no text. The parsed
//! [`Content`] has its own place in memory, and that of a large document a second one without the
//! text, of which there are many: what a view takes of the text is read from the store. A content
//! that had to make room is read again as a whole. So a document larger than all of the memory is a
//! stored view like others.
//!
//! What a document *means* is the format's business ([`DocumentFormat`]); who may see which
//! version is the gate's. Nothing here is filtered, so nothing here may be sent as it is.

mod contents;
mod fetching;
mod judging;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use policies::facts::Stated;
use policies::package::{Digest, Package, Version};
use tokio::time::Instant;

use self::contents::Contents;
use self::judging::{Verdict, lacks};
use self::turns::Turns;
use super::comparing::Comparisons;
use super::content::{Content, ContentId};
use super::flights::Flights;
use super::format::{DocumentFormat, Promise};
use super::observe::promised;
use super::room::Room;
use super::store::{PullStore, Saved};
use super::{CacheOutcome, PullError, Source};
use crate::metadata::records::VersionRecord;

/// Which document, and what to ask the upstream for.
#[derive(Clone, Debug)]
pub struct DocumentRequest {
    pub package: Package,
    /// Below the upstream's address, encoded: made where it is asked.
    pub path: fn(&Package) -> String,
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

/// The state of a document, as it is served.
#[derive(Clone, Debug)]
pub struct Document {
    /// Which [`Content`] it has.
    pub content: ContentId,
    /// Of the content.
    pub size: usize,
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

impl Document {
    /// Published here: no upstream is ever asked for it.
    pub fn is_own(&self) -> bool {
        self.saved.is_own()
    }

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

pub(super) type DocumentKey = (Arc<str>, Package);

/// What is held of a document.
struct Held<F: DocumentFormat> {
    document: Option<Document>,
    /// That of `document`, where it was in memory or had to be read.
    content: Option<Arc<Content<F::Parsed>>>,
    /// The versions that the upstream took away, where the newest bytes can not be read.
    remains: Option<F::Parsed>,
    saved: Option<Arc<Saved>>,
}

/// How asking the upstream ended: it never knows what somebody needed, so it serves all who joined.
#[derive(Debug)]
struct Asked<P> {
    /// The newest that there is now, confirmed or not.
    document: Option<Document>,
    content: Option<Arc<Content<P>>>,
    /// Why it could not be confirmed.
    fault: Option<PullError>,
    /// What lay on the disk was enough for the one who asked.
    only_loaded: bool,
}

impl<P> Clone for Asked<P> {
    fn clone(&self) -> Self {
        Self {
            document: self.document.clone(),
            content: self.content.clone(),
            fault: self.fault.clone(),
            only_loaded: self.only_loaded,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DocumentsSettings {
    /// Bounds what is kept of documents.
    pub memory: u64,
    /// Bounds the bytes of documents that are on their way.
    pub room: u64,
    /// How long what an upstream does not have is not asked for again.
    pub absent_age: Duration,
}

/// A document, and its content where that was at hand.
#[derive(Debug)]
pub struct Found<P> {
    pub document: Document,
    content: Option<Arc<Content<P>>>,
}

/// What is known of one version: all that it takes to serve its file.
#[derive(Debug)]
pub struct Known {
    content: ContentId,
    pub promise: Promise,
    /// First-seen date, pinned digests, and what came of comparing it with what is said of it now.
    pub remembered: Option<VersionRecord>,
    /// What the same document states of it.
    pub stated: Stated,
    /// What its bytes have to be, by both.
    pub promised: Arc<[Digest]>,
    /// Names what is said of it; absent where its file says nothing of itself.
    pub(super) said: Option<String>,
}

/// What lies in the store: `None` if it has to be fetched again.
type Reading<P> = Result<Option<Arc<Content<P>>>, PullError>;

/// The documents of one format, of all its registries.
pub struct Documents<F: DocumentFormat> {
    store: PullStore,
    loaded: Cache<DocumentKey, Document>,
    pub(super) contents: Contents<F>,
    pub(super) known: Cache<(DocumentKey, Version), Arc<Known>>,
    /// Packages, and versions, that the upstream truly does not have, for a short time.
    absent: Cache<(DocumentKey, Option<Version>), ()>,
    flights: Flights<DocumentKey, Asked<F::Parsed>>,
    readings: Flights<DocumentKey, Reading<F::Parsed>>,
    room: Room,
    pub(super) turns: Turns,
    pub(super) comparisons: Comparisons,
}

/// Packages and versions that are remembered as absent.
const ABSENT_AT_MOST: u64 = 100_000;

/// What a document's state and a version's promise take in memory, about.
const STATE_SIZE: u32 = 1024;

impl<F: DocumentFormat> Documents<F> {
    pub fn new(store: PullStore, settings: DocumentsSettings) -> Arc<Self> {
        let DocumentsSettings { memory, absent_age, .. } = settings;
        let contents = Contents::new(memory / 4 * 3);
        let small = memory / 8;
        let loaded = Cache::builder().weigher(|_, _| STATE_SIZE).max_capacity(small).build();
        let known = Cache::builder().weigher(|_, _| STATE_SIZE).max_capacity(small).build();
        let absent = Cache::builder().max_capacity(ABSENT_AT_MOST).time_to_live(absent_age).build();
        Arc::new(Self {
            flights: Flights::new(store.runtime.clone()),
            readings: Flights::new(store.runtime.clone()),
            room: Room::new(settings.room),
            turns: Turns::new(),
            comparisons: Comparisons::default(),
            store,
            loaded,
            contents,
            known,
            absent,
        })
    }

    pub async fn get(
        self: &Arc<Self>,
        source: &Arc<Source>,
        request: &DocumentRequest,
        need: Need,
    ) -> Result<Found<F::Parsed>, PullError> {
        let key = key_of(source, request);
        if let Some(document) = self.loaded.get(&key) {
            let content = match need {
                Need::Fresh => None,
                Need::Version(_) => self.content_in_memory(&key, &document),
            };
            match self.judge(source, &key, &document, &need, content.as_deref()) {
                Verdict::Serve => return Ok(Found { document: document.as_held(), content }),
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
            if landed.joined
                && landed.value.only_loaded
                && !self.serves(source, &key, &need, &landed.value)
            {
                // Whoever started the flight needed less: now it is our turn.
                continue;
            }
            let mut found = self.settle(source, &key, &need, landed.value)?;
            if landed.joined && found.document.outcome != CacheOutcome::Stale {
                found.document.outcome = CacheOutcome::Joined;
            }
            return Ok(found);
        }
    }

    /// One version, from a document that knows it if there is one; `None` if there is none.
    pub async fn version(
        self: &Arc<Self>,
        source: &Arc<Source>,
        request: &DocumentRequest,
        version: &Version,
    ) -> Result<(Found<F::Parsed>, Option<Arc<Known>>), PullError> {
        let key = (key_of(source, request), version.clone());
        if let (Some(known), Some(document)) = (self.known.get(&key), self.loaded.get(&key.0))
            && known.content == document.content
        {
            return Ok((Found { document: document.as_held(), content: None }, Some(known)));
        }
        let found = self.get(source, request, Need::Version(version.clone())).await?;
        let document = found.document.clone();
        let content = self.content(source, request, &found).await?;
        let said = self.said(&content, version).await?;
        let promise = F::promise(&content.parsed, version);
        let known = promise.map(|promise| {
            let mut remembered = content.versions.get(version).cloned();
            let promised = promised(remembered.as_ref(), &promise.digests).into();
            if let Some(remembered) = &mut remembered {
                remembered.compared.take_if(|compared| Some(&compared.said) != said.as_ref());
            }
            let stated = F::stated(&content.parsed, version).cloned().unwrap_or_default();
            Arc::new(Known { content: content.id, promise, remembered, stated, promised, said })
        });
        if let Some(known) = &known {
            self.known.insert(key, Arc::clone(known));
        }
        Ok((Found { document, content: Some(content) }, known))
    }

    /// What the document says, or its successor if it has one by now.
    pub async fn content(
        self: &Arc<Self>,
        source: &Arc<Source>,
        request: &DocumentRequest,
        found: &Found<F::Parsed>,
    ) -> Result<Arc<Content<F::Parsed>>, PullError> {
        let key = key_of(source, request);
        let at_hand = |found: &Found<F::Parsed>| {
            found.content.clone().or_else(|| self.content_in_memory(&key, &found.document))
        };
        if let Some(content) = at_hand(found) {
            return Ok(content);
        }
        let (this, source_of, request_of) = (Arc::clone(self), Arc::clone(source), request.clone());
        let document = found.document.clone();
        let key_of = key.clone();
        let reading = || async move {
            if !document.is_own() {
                return this.read_content(&source_of, &request_of, &document.saved).await;
            }
            // The bytes of an own document go with the change that replaces it.
            let _turn = this.turns.take(&key_of).await;
            let document = this.loaded.get(&key_of).unwrap_or(document);
            this.read_content(&source_of, &request_of, &document.saved).await
        };
        let landed = self.readings.join(key.clone(), reading).await.ok_or(PullError::Internal)?;
        if let Some(content) = landed.value? {
            self.rename(&key, found.document.content, content.id);
            return Ok(content);
        }
        // What was kept is gone or damaged: it has to be fetched again.
        self.loaded.invalidate(&key);
        let found = self.get(source, request, Need::Fresh).await?;
        at_hand(&found).ok_or(PullError::Internal)
    }

    /// The same document has another content from now on.
    pub(super) fn rename(&self, key: &DocumentKey, before: ContentId, after: ContentId) {
        if before != after
            && let Some(document) = self.loaded.get(key).filter(|known| known.content == before)
        {
            self.loaded.insert(key.clone(), Document { content: after, ..document });
        }
    }

    /// It is loaded again when it is next asked for.
    pub(super) fn drop_loaded(&self, key: &DocumentKey) {
        self.loaded.invalidate(key);
    }

    /// What was read of it does not hold any more: it is read again.
    pub fn forget_content(
        &self,
        source: &Arc<Source>,
        request: &DocumentRequest,
        content: ContentId,
    ) {
        self.contents.forget(&key_of(source, request), content);
    }

    pub(super) fn store(&self) -> &PullStore {
        &self.store
    }

    /// A changed own document takes the place of the one in memory.
    pub(super) fn show(
        &self,
        key: DocumentKey,
        content: Arc<Content<F::Parsed>>,
        saved: Arc<Saved>,
    ) {
        self.absent.invalidate(&(key.clone(), None));
        let document = Document {
            content: content.id,
            size: content.size,
            saved,
            unconfirmed: None,
            outcome: CacheOutcome::Hit,
        };
        self.contents.insert_whole(key.clone(), content);
        self.loaded.insert(key, document);
    }

    /// For what is not there any more.
    pub(super) fn drop_from_memory(&self, key: &DocumentKey) {
        self.loaded.invalidate(key);
        self.contents.remove(key);
        self.absent.invalidate(&(key.clone(), None));
    }

    fn content_in_memory(
        &self,
        key: &DocumentKey,
        document: &Document,
    ) -> Option<Arc<Content<F::Parsed>>> {
        self.contents.get(key, document.content)
    }

    /// Brings what is held to the state of the upstream, as far as that can be asked.
    async fn ask(
        &self,
        source: &Source,
        request: &DocumentRequest,
        key: &DocumentKey,
        need: &Need,
    ) -> Asked<F::Parsed> {
        let _turn = match source.upstream {
            None => Some(self.turns.take(key).await),
            Some(_) => None,
        };
        let failed =
            |fault| Asked { document: None, content: None, fault: Some(fault), only_loaded: false };
        let held = match self.load(source, request, key, need).await {
            Ok(held) => held,
            Err(fault) => return failed(fault),
        };
        let content = held.content.clone();
        // It may only have to be brought into memory, and another flight may have landed between
        // the look of whoever asks and this one: what that one found holds here too.
        let Some(document) = &held.document else {
            if self.absent.contains_key(&(key.clone(), None)) {
                return failed(PullError::Absent);
            }
            return self.ask_upstream(source, request, key, need, held).await;
        };
        let fault = match self.judge(source, key, document, need, content.as_deref()) {
            Verdict::Serve => None,
            Verdict::Refuse(fault) => Some(fault),
            Verdict::Ask => return self.ask_upstream(source, request, key, need, held).await,
        };
        self.loaded.insert(key.clone(), document.clone());
        let (document, only_loaded) = (Some(document.as_held()), fault.is_none());
        Asked { document, content, fault, only_loaded }
    }

    async fn ask_upstream(
        &self,
        source: &Source,
        request: &DocumentRequest,
        key: &DocumentKey,
        need: &Need,
        held: Held<F>,
    ) -> Asked<F::Parsed> {
        let (before, content) = (held.document.clone(), held.content.clone());
        let asked = match self.confirm_or_fetch(source, request, held).await {
            Ok(Found { document, content }) => {
                // Before this flight lands, so that none that starts behind it asks again.
                if let Some(version) = lacks::<F>(need, content.as_deref()) {
                    self.remember_lack(key, &document, version);
                }
                Asked { document: Some(document), content, fault: None, only_loaded: false }
            }
            Err(fault) => self.fall_back(key, before, content, fault),
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
        before: Option<Document>,
        content: Option<Arc<Content<F::Parsed>>>,
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
        Asked { document, content, fault: Some(fault), only_loaded: false }
    }
}

pub(super) fn key_of(source: &Source, request: &DocumentRequest) -> DocumentKey {
    (Arc::clone(&source.registry), request.package.clone())
}

impl<F: DocumentFormat> std::fmt::Debug for Documents<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Documents")
            .field("loaded", &self.loaded.entry_count())
            .finish_non_exhaustive()
    }
}
