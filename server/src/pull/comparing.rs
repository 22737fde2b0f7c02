//! Whether an artifact says of itself what its document says of it.
//!
//! ```text
//! artifact is kept, or served and was never compared
//!    └ WhenHeld → a place → open the blob within bounds ─┬→ VersionRecord, observation, metric, log
//!                        what the document says of it ───┘
//! ```
//!
//! Clients resolve by the document and run what lies in the artifact, so an upstream where the two
//! differ shows one package and delivers another. Nobody waits for a comparison: it is made when
//! the bytes are here, a few at a time, and what came of it is a fact from then on. One that a
//! stop, a crash or an error kept from being made is made when the artifact is next served.
//!
//! Where artifacts say what rules can ask for and documents do not, that is kept with the same commit.
//! Whoever has to know it before it is decided waits for it ([`Documents::look`]).
//!
//! What the two have to agree on is the format's business; nothing is decided here.

mod packed;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use policies::facts::Comparison;
use policies::package::Version;
use tokio::sync::Semaphore;

pub use self::packed::Packed;
use super::content::Content;
use super::documents::{DocumentKey, DocumentRequest, Documents, Known, key_of};
use super::format::{DocumentFormat, Opened, Verdict};
use super::store::Comparing;
use super::{PullError, Source};
use crate::metadata::records::{
    ArtifactRecord, Compared, InsideRecord, ObservationKind, VersionRecord,
};

/// Comparisons that are made at once: each takes a processor for as long as it is let.
const AT_ONCE: u32 = 2;
/// Clients give up after half a minute of silence, which a download may have begun: whoever waits for
/// what a comparison tells is answered before, and asks again.
const LOOKED_FOR: Duration = Duration::from_secs(20);
/// Who finds no place by then is compared when it is next served: each of those before it has an end.
const QUEUED: Duration = Duration::from_mins(30);
/// Comparisons that wait for a place; more are made when their artifacts are next served.
const WAITING: usize = 10_000;
/// Behind one that was begun, how long no other is begun for the same.
const PAUSE: Duration = Duration::from_mins(1);
const BEGUN_AT_MOST: u64 = 100_000;

/// To be told when the bytes of an artifact are held.
#[derive(Clone)]
pub struct WhenHeld(Arc<Tell>);

type Tell = dyn Fn(&Arc<ArtifactRecord>) + Send + Sync;

impl WhenHeld {
    pub fn tell(&self, record: &Arc<ArtifactRecord>) {
        (self.0)(record);
    }
}

impl std::fmt::Debug for WhenHeld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WhenHeld")
    }
}

/// What is under way.
pub(super) struct Comparisons {
    places: Semaphore,
    /// For those who wait for what comes of it, so that they wait for no others.
    looks: Semaphore,
    waiting: AtomicUsize,
    /// By what was said: where the document says something else, it is another comparison.
    begun: Cache<(DocumentKey, String), ()>,
    stopping: Arc<AtomicBool>,
}

impl Default for Comparisons {
    fn default() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE as usize),
            looks: Semaphore::new(AT_ONCE as usize),
            waiting: AtomicUsize::new(0),
            begun: Cache::builder().max_capacity(BEGUN_AT_MOST).time_to_live(PAUSE).build(),
            stopping: Arc::default(),
        }
    }
}

/// One that is to be made.
#[derive(Clone, Debug)]
struct Due {
    source: Arc<Source>,
    request: DocumentRequest,
    version: Version,
}

impl<F: DocumentFormat> Documents<F> {
    /// What to tell of this version's artifact, if it was not compared yet with what is said of it
    /// now, or an older garth did not keep its size.
    pub fn when_held(
        self: &Arc<Self>,
        source: &Arc<Source>,
        request: impl FnOnce() -> DocumentRequest,
        version: &Version,
        known: &Known,
    ) -> Option<WhenHeld> {
        if !is_due::<F>(known.remembered.as_ref()?) {
            return None;
        }
        let said = known.said.clone()?;
        let (source, version) = (Arc::clone(source), version.clone());
        let due = Due { source, request: request(), version };
        let this = Arc::clone(self);
        Some(WhenHeld(Arc::new(move |record| this.begin(&due, &said, record))))
    }

    /// Opens the artifact of a version, which is held, for what it alone says; that is known, and
    /// durable, when this returns. Busy where that takes longer than anybody waits: it is opened all
    /// the same.
    pub async fn look(
        self: &Arc<Self>,
        source: &Arc<Source>,
        request: DocumentRequest,
        version: &Version,
        record: &ArtifactRecord,
    ) -> Result<(), PullError> {
        let due = Due { source: Arc::clone(source), request, version: version.clone() };
        self.look_within(LOOKED_FOR, due, record).await
    }

    async fn look_within(
        self: &Arc<Self>,
        wait: Duration,
        due: Due,
        record: &ArtifactRecord,
    ) -> Result<(), PullError> {
        let waiting = &self.comparisons.waiting;
        if waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(PullError::Busy);
        }
        // It keeps its place among those that wait, and is done, whoever waits for it.
        let (this, record) = (Arc::clone(self), record.clone());
        let looking = self.store().runtime.spawn(async move {
            let place = this.comparisons.looks.acquire().await;
            this.comparisons.waiting.fetch_sub(1, Ordering::Relaxed);
            // Stopping.
            let _place = place.map_err(|_| PullError::Busy)?;
            let looked = this.look_at(&due, &record).await;
            if let Err(fault) = &looked {
                let (registry, package) = (&due.source.registry, &due.request.package);
                tracing::warn!(%registry, %package, version = %due.version, %fault, "an artifact could not be looked into; it is when it is next asked for");
            }
            looked
        });
        in_time(wait, looking).await?.map_err(|_| PullError::Internal)?
    }

    async fn look_at(&self, due: &Due, record: &ArtifactRecord) -> Result<(), PullError> {
        let key = (key_of(&due.source, &due.request), due.version.clone());
        let known = self.known.get(&key);
        let remembered = known.as_ref().and_then(|known| known.remembered.as_ref());
        if remembered.is_some_and(|remembered| !is_due::<F>(remembered)) {
            // Whoever had the place before has looked.
            return Ok(());
        }
        self.compare(due, record).await
    }

    /// Returns when every comparison that is due was made, and begins no other.
    pub async fn land(&self) {
        // Whoever waits for a place comes first.
        if let Ok(all) = self.comparisons.places.acquire_many(AT_ONCE).await {
            all.forget();
        }
        self.give_up();
    }

    /// What is being compared is left, and compared again after the next start.
    pub fn give_up(&self) {
        self.comparisons.stopping.store(true, Ordering::Relaxed);
        self.comparisons.places.close();
        self.comparisons.looks.close();
    }

    fn begin(self: &Arc<Self>, due: &Due, said: &str, record: &Arc<ArtifactRecord>) {
        let comparisons = &self.comparisons;
        let key = (key_of(&due.source, &due.request), said.to_owned());
        if comparisons.begun.contains_key(&key) {
            return;
        }
        if comparisons.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            comparisons.waiting.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        comparisons.begun.insert(key, ());
        let (this, due, record) = (Arc::clone(self), due.clone(), Arc::clone(record));
        self.store().runtime.spawn(async move {
            let place = in_time(QUEUED, this.comparisons.places.acquire()).await;
            this.comparisons.waiting.fetch_sub(1, Ordering::Relaxed);
            let compared = match place {
                Ok(Ok(_place)) => this.compare(&due, &record).await,
                // Stopping.
                Ok(Err(_)) => return,
                Err(fault) => Err(fault),
            };
            if let Err(fault) = compared {
                let (registry, package) = (&due.source.registry, &due.request.package);
                tracing::warn!(%registry, %package, version = %due.version, %fault, "an artifact could not be compared with what is said of it; it is when it is next served");
            }
        });
    }

    /// Names what is said of this version; nothing where that can not be read just now.
    pub(super) async fn said(
        &self,
        content: &Arc<Content<F::Parsed>>,
        version: &Version,
    ) -> Result<Option<String>, PullError> {
        let (content, version) = (Arc::clone(content), version.clone());
        let reading = move || F::said(&content.parsed, &version);
        match tokio::task::spawn_blocking(reading).await.map_err(|_| PullError::Internal)? {
            Ok(said) => Ok(said.map(|said| said.id)),
            Err(PullError::Outdated) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn compare(&self, due: &Due, record: &ArtifactRecord) -> Result<(), PullError> {
        let Due { source, request, version } = due;
        let key = key_of(source, request);
        let store = self.store();
        let content = {
            // The bytes of an own document go with the change that replaces it.
            let _turn = self.turns.take(&key).await;
            self.content_at_hand(source, &key, request).await?
        };
        let Some(content) = content else { return Ok(()) };
        let Some(blob) = store.blobs.get_sized(&record.blob, Some(record.size)).await? else {
            return Ok(());
        };
        let is_own = content.versions.get(version).is_some_and(|record| record.own);
        let (runtime, of) = (store.runtime.clone(), version.clone());
        let stopping = Arc::clone(&self.comparisons.stopping);
        let comparing = move || -> Result<_, PullError> {
            let Some(said) = F::said(&content.parsed, &of)? else { return Ok(None) };
            // It may be large, and this may take long.
            drop(content);
            let length = blob.len();
            let mut packed = Packed::new(&blob, runtime, stopping);
            let opened = F::compare(&said, &mut packed, length);
            Ok(packed.finish()?.then_some((said, opened)))
        };
        let compared = tokio::task::spawn_blocking(comparing).await;
        let Some((said, Opened { verdict, inside })) =
            compared.map_err(|_| PullError::Internal)??
        else {
            return Ok(());
        };
        let comparing = Comparing {
            compared: Compared { found: found(&verdict), said: said.id },
            size: record.size,
            inside: F::ARTIFACTS_TELL.then(|| InsideRecord { blob: record.blob.clone(), inside }),
            seen: observed(&verdict),
        };
        let record = {
            let _turn = self.turns.take(&key).await;
            let registry = &source.registry;
            let own = if is_own { self.own_record(due, &key).await? } else { None };
            let kept = store.keep_comparison(registry, &request.package, version, comparing, own);
            let Some(record) = kept.await? else { return Ok(()) };
            self.show_comparison(&key, version, &record);
            record
        };
        if !record.own {
            self.report(due, &verdict);
        }
        Ok(())
    }

    /// What the document has of a version that is published here: it is known of it even where the store
    /// lost what it remembered. The caller has the turn of the package.
    async fn own_record(
        &self,
        due: &Due,
        key: &DocumentKey,
    ) -> Result<Option<VersionRecord>, PullError> {
        let content = self.content_at_hand(&due.source, key, &due.request).await?;
        let record = content.and_then(|content| content.versions.get(&due.version).cloned());
        Ok(record.filter(|record| record.own))
    }

    /// From memory, else from the store; `None` if it would have to be fetched.
    async fn content_at_hand(
        &self,
        source: &Source,
        key: &DocumentKey,
        request: &DocumentRequest,
    ) -> Result<Option<Arc<Content<F::Parsed>>>, PullError> {
        if let Some(content) = self.contents.newest(key) {
            return Ok(Some(content));
        }
        match self.store().read_saved(source, &request.package).await? {
            Some(saved) => self.read_content(source, request, &saved).await,
            None => Ok(None),
        }
    }

    /// A record of a version has changed in the store. Who read the store before and comes to memory
    /// after this has it wrong until its file is next served.
    fn show_comparison(&self, key: &DocumentKey, version: &Version, record: &VersionRecord) {
        match self.contents.remember(key, version, record) {
            Some((before, after)) => self.rename(key, before, after),
            // Whose content it is can not be told without it.
            None => self.drop_loaded(key),
        }
        self.known.invalidate(&(key.clone(), version.clone()));
    }

    fn report(&self, due: &Due, verdict: &Verdict) {
        let (registry, package, version) =
            (&due.source.registry, &due.request.package, &due.version);
        self.store().metrics.compared(registry, found(verdict));
        match observed(verdict) {
            None => {}
            Some(what @ ObservationKind::Contradicts { .. }) => {
                let what = in_words(&what);
                tracing::warn!(%registry, %package, %version, "{what}");
            }
            Some(what) => {
                let what = in_words(&what);
                tracing::info!(%registry, %package, %version, "{what}");
            }
        }
    }
}

/// Whoever waits longer comes again.
async fn in_time<T>(wait: Duration, done: impl Future<Output = T>) -> Result<T, PullError> {
    tokio::time::timeout(wait, done).await.map_err(|_| PullError::Busy)
}

/// What is published here was checked when it came; what it alone says is read all the same.
fn is_due<F: DocumentFormat>(record: &VersionRecord) -> bool {
    let is_compared = record.own || (record.compared.is_some() && record.size.is_some());
    !is_compared || (F::ARTIFACTS_TELL && record.inside.is_none())
}

fn found(verdict: &Verdict) -> Comparison {
    match verdict {
        Verdict::Agrees => Comparison::Agrees,
        Verdict::Contradicts(_) => Comparison::Contradicts,
        Verdict::Unreadable(_) => Comparison::Unreadable,
    }
}

fn observed(verdict: &Verdict) -> Option<ObservationKind> {
    match verdict {
        Verdict::Agrees => None,
        Verdict::Contradicts(differences) => {
            Some(ObservationKind::Contradicts { differences: differences.clone() })
        }
        Verdict::Unreadable(why) => Some(ObservationKind::Unreadable { why: why.clone() }),
    }
}

/// What came of a comparison, for people; empty where it is something else.
pub fn in_words(what: &ObservationKind) -> String {
    match what {
        ObservationKind::Contradicts { differences } => {
            let mut text = "it is not what the registry says: ".to_owned();
            for (n, difference) in differences.iter().enumerate() {
                let and = if n == 0 { "" } else { "; " };
                let (field, artifact, upstream) =
                    (&difference.field, &difference.artifact, &difference.upstream);
                let _ = write!(
                    text,
                    "{and}of {field} its archive says {artifact}, the registry says {upstream}"
                );
            }
            text
        }
        ObservationKind::Unreadable { why } => {
            format!("what its archive says can not be compared: {why}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
