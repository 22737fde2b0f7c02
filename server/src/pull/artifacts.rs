//! Artifacts: the files themselves, kept once they are what was promised.
//!
//! A held artifact is a look-up and a blob. One that is not held is fetched by one flight for all
//! who ask: bytes go to the stage, where they are hashed, and from there to every client at its
//! own pace. The last byte is held back until the digests are right, so a wrong file never arrives
//! whole; it is published only then, and its record is written last. Memory does not grow with the
//! size, and the first client to leave does not harm the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use moka::sync::Cache;
use parking_lot::Mutex;
use policies::package::{Algorithm, Digest, PackageVersion};
use tokio::sync::watch;

use super::comparing::WhenHeld;
use super::observe::broken_promise;
use super::store::PullStore;
use super::{CacheOutcome, PullError, Source};
use crate::audit::{Action, Entry};
use crate::blobs::{BlobReader, Digests, Stage, StageReader};
use crate::gate::Admitted;
use crate::metadata::records::ArtifactRecord;
use crate::observability::AlarmKind;
use crate::upstream::{ArtifactTarget, Upstream, UpstreamBody};

/// What a handler asks for, behind the gate.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub file: String,
    /// The digests of first sight; each kind has to be kept.
    pub promised: Arc<[Digest]>,
    /// A part of it is asked for: then the whole has to be there first.
    pub partly: bool,
    /// Told once the bytes are held; nobody waits for what comes of it.
    pub when_held: Option<WhenHeld>,
}

#[derive(Debug)]
pub struct Artifact {
    /// Unknown where the upstream did not say it.
    pub length: Option<u64>,
    /// The sha256 of the whole in hex and in quotes, once it is known.
    pub etag: Option<Bytes>,
    pub outcome: CacheOutcome,
    pub body: ArtifactBody,
    /// Of one that is held.
    record: Option<Arc<ArtifactRecord>>,
}

#[derive(Debug)]
pub enum ArtifactBody {
    Memory(Bytes),
    Blob(BlobReader),
    /// Still on its way from the upstream.
    Arriving(StageReader),
}

type ArtifactKey = (Arc<str>, String, String);

#[derive(Clone, Debug)]
struct Held {
    record: Arc<ArtifactRecord>,
    /// All that its bytes were hashed to, gathered once and not at each serve.
    digests: Arc<[Digest]>,
    etag: Bytes,
    /// The bytes of a small one.
    bytes: Option<Bytes>,
}

impl Held {
    fn new(record: ArtifactRecord) -> Self {
        let digests = std::iter::once(&record.blob).chain(&record.digests).cloned().collect();
        let etag = etag(&record.blob);
        Self { record: Arc::new(record), digests, etag, bytes: None }
    }
}

/// How far a flight is.
#[derive(Clone, Debug)]
enum Flight {
    Asked,
    Streaming {
        length: Option<u64>,
        stage: StageReader,
    },
    /// The digests are right: the last byte may go.
    Verified {
        length: u64,
        stage: StageReader,
        /// The sha256 first.
        digests: Vec<Digest>,
        /// Why it could not be kept: who asks for a part of it finds nothing then.
        unkept: Option<PullError>,
    },
    Failed(PullError),
}

pub struct Artifacts {
    store: PullStore,
    held: Cache<ArtifactKey, Held>,
    /// Files that the upstream's document promises and the upstream truly does not have.
    absent: Cache<ArtifactKey, ()>,
    flights: Mutex<HashMap<ArtifactKey, watch::Receiver<Flight>>>,
}

/// Up to this size an artifact is kept in memory, and a cold one is answered when it is verified:
/// then a wrong one is an error with its reason and not a broken transfer.
const SMALL: u64 = 256 * 1024;
const ABSENT_AT_MOST: u64 = 100_000;
/// Why something is here that nobody was let have.
const LOOKED_INTO: &str = "a rule asks for what only its artifact says, so garth looks into it";

impl Artifacts {
    /// `memory` bounds what is kept there; a file that the upstream does not have is not asked for
    /// again for `absent_age`.
    pub fn new(store: PullStore, memory: u64, absent_age: Duration) -> Arc<Self> {
        let held = Cache::builder()
            .weigher(|_, held: &Held| {
                u32::try_from(held.bytes.as_ref().map_or(0, Bytes::len) + 1024).unwrap_or(u32::MAX)
            })
            .max_capacity(memory)
            .build();
        let absent = Cache::builder().max_capacity(ABSENT_AT_MOST).time_to_live(absent_age).build();
        Arc::new(Self { store, held, absent, flights: Mutex::default() })
    }

    /// `target` says where the upstream keeps it, which only a miss has to know.
    pub async fn get(
        self: &Arc<Self>,
        admitted: &Admitted,
        source: &Arc<Source>,
        wanted: Wanted,
        target: impl FnOnce(&Upstream) -> Option<ArtifactTarget>,
    ) -> Result<Artifact, PullError> {
        let file = wanted.file.clone();
        let entry = || admission(admitted, source, &file);
        self.obtain(admitted.subject(), entry, source, wanted, target).await
    }

    /// Sees to it that it is held, to be looked into here: nothing of it is sent. For rules that ask
    /// for what an artifact alone can tell.
    pub async fn bring(
        self: &Arc<Self>,
        subject: &PackageVersion,
        source: &Arc<Source>,
        wanted: Wanted,
        target: impl FnOnce(&Upstream) -> Option<ArtifactTarget>,
    ) -> Result<Arc<ArtifactRecord>, PullError> {
        // As a part of it is, it is told once it is there whole.
        let wanted = Wanted { partly: true, ..wanted };
        let file = wanted.file.clone();
        let entry = || {
            Entry::new(Action::Admitted)
                .package(&subject.package)
                .versions(Some(subject.version.as_str()))
                .why(Some(LOOKED_INTO))
                .detail("registry", &source.registry)
                .detail("file", &file)
        };
        let artifact = self.obtain(subject, entry, source, wanted, target).await?;
        artifact.record.ok_or(PullError::Internal)
    }

    async fn obtain(
        self: &Arc<Self>,
        subject: &PackageVersion,
        entry: impl FnOnce() -> Entry,
        source: &Arc<Source>,
        wanted: Wanted,
        target: impl FnOnce(&Upstream) -> Option<ArtifactTarget>,
    ) -> Result<Artifact, PullError> {
        let package = subject.package.name().to_owned();
        let key = (Arc::clone(&source.registry), package, wanted.file.clone());
        if let Some(artifact) = self.get_held(&key, &wanted).await? {
            if let (Some(when_held), Some(record)) = (&wanted.when_held, &artifact.record) {
                when_held.tell(record);
            }
            return Ok(artifact);
        }
        let Some(upstream) = source.upstream.clone() else {
            return Err(self.lost_or_absent(&key).await);
        };
        let target = target(&upstream).ok_or(PullError::Absent)?;
        if self.absent.contains_key(&key) {
            return Err(PullError::Absent);
        }
        let (flight, joined) = self.board(&key, || Fetch {
            key: key.clone(),
            version: subject.version.to_string(),
            upstream,
            target,
            wanted: wanted.clone(),
            entry: entry(),
        });
        self.follow(flight, joined, &key, &wanted).await
    }

    /// A file goes away, or another record names it now.
    pub(super) fn forget(&self, registry: &Arc<str>, package: &str, file: &str) {
        self.held.invalidate(&(Arc::clone(registry), package.to_owned(), file.to_owned()));
    }

    /// Of a file that can be fetched nowhere: a record without its bytes is a loss.
    async fn lost_or_absent(&self, key: &ArtifactKey) -> PullError {
        match self.store.read_artifact(&key.0, &key.1, &key.2).await {
            Ok(Some(_)) => self.store.lost(&format!("{} of {}", key.2, key.1)),
            Ok(None) => PullError::Absent,
            Err(fault) => fault,
        }
    }

    /// Returns when nothing is on its way any more: at a stop, what arrived whole is kept.
    pub async fn land(&self) {
        loop {
            let flight = self.flights.lock().values().next().cloned();
            let Some(mut flight) = flight else { return };
            while flight.changed().await.is_ok() {}
            // Its entry goes with it, a moment sooner or later.
            tokio::task::yield_now().await;
        }
    }

    async fn get_held(
        &self,
        key: &ArtifactKey,
        wanted: &Wanted,
    ) -> Result<Option<Artifact>, PullError> {
        let held = if let Some(held) = self.held.get(key) {
            held
        } else {
            let record = self.store.read_artifact(&key.0, &key.1, &key.2).await?;
            let Some(record) = record else { return Ok(None) };
            Held::new(record)
        };
        let Some(held) = self.keep_promises(key, held, &wanted.promised).await? else {
            return Ok(None);
        };
        let record = &held.record;
        if let Some(bytes) = &held.bytes {
            return Ok(Some(whole(&held, ArtifactBody::Memory(bytes.clone()))));
        }
        let Some(blob) = self.store.blobs.get_sized(&record.blob, Some(record.size)).await? else {
            self.held.invalidate(key);
            return Ok(None);
        };
        if record.size > SMALL {
            self.held.insert(key.clone(), held.clone());
            return Ok(Some(whole(&held, ArtifactBody::Blob(blob))));
        }
        let Some(bytes) = self.store.read_blob(&record.blob, record.size).await? else {
            return Ok(None);
        };
        let held = Held { bytes: Some(bytes.clone()), ..held };
        let artifact = whole(&held, ArtifactBody::Memory(bytes));
        self.held.insert(key.clone(), held);
        Ok(Some(artifact))
    }

    /// What is held has to be what is promised now. It was hashed by what was promised when it came:
    /// an algorithm that has joined since is made good once.
    async fn keep_promises(
        &self,
        key: &ArtifactKey,
        held: Held,
        promised: &[Digest],
    ) -> Result<Option<Held>, PullError> {
        let mut held = held;
        if let Some((_, None)) = broken_promise(promised, &held.digests) {
            let Some(record) = self.store.hash_again(key, &held.record, promised).await? else {
                return Ok(None);
            };
            held = Held { bytes: held.bytes, ..Held::new(record) };
            self.held.insert(key.clone(), held.clone());
        }
        let Some(fault) = contradiction("", &key.2, promised, &held.digests) else {
            return Ok(Some(held));
        };
        // The promise of first sight is not what lies here: neither is served as the other.
        self.store.alarm(AlarmKind::DigestMismatch, &format!("{} {}: {fault}", key.0, key.1));
        Err(fault)
    }

    /// The flight for this artifact, and whether it was under way already.
    fn board(
        self: &Arc<Self>,
        key: &ArtifactKey,
        fetch: impl FnOnce() -> Fetch,
    ) -> (watch::Receiver<Flight>, bool) {
        let mut flights = self.flights.lock();
        if let Some(flight) = flights.get(key) {
            return (flight.clone(), true);
        }
        let (state, flight) = watch::channel(Flight::Asked);
        flights.insert(key.clone(), flight.clone());
        let (this, fetch) = (Arc::clone(self), fetch());
        self.store.runtime.spawn(async move {
            // Off the board in any case, also when the task panics.
            let landing = Landing { artifacts: Arc::clone(&this), key: fetch.key.clone() };
            let mut failed = None;
            if let Err(fault) = this.fetch(&fetch, &state, &mut failed).await {
                tracing::warn!(registry = %fetch.key.0, package = fetch.key.1, file = fetch.key.2, %fault, "an artifact could not be fetched");
                // In this order, so that whom a failure or a broken transfer sends back does not
                // board this flight again.
                drop(landing);
                state.send_replace(Flight::Failed(fault.clone()));
                if let Some(stage) = failed {
                    stage.fail(fault.to_string());
                }
            }
        });
        (flight, false)
    }

    /// Waits until there is something to send.
    async fn follow(
        &self,
        mut flight: watch::Receiver<Flight>,
        joined: bool,
        key: &ArtifactKey,
        wanted: &Wanted,
    ) -> Result<Artifact, PullError> {
        let outcome = if joined { CacheOutcome::Joined } else { CacheOutcome::Miss };
        loop {
            let state = flight.borrow_and_update().clone();
            match state {
                Flight::Failed(fault) => return Err(fault),
                Flight::Streaming { length, stage }
                    if !wanted.partly && length.is_none_or(|length| length > SMALL) =>
                {
                    let body = ArtifactBody::Arriving(stage);
                    return Ok(Artifact { length, etag: None, outcome, body, record: None });
                }
                Flight::Verified { unkept: Some(fault), .. } if wanted.partly => return Err(fault),
                Flight::Verified { length, stage, digests, .. } if !wanted.partly => {
                    if let Some(fault) = contradiction("", &key.2, &wanted.promised, &digests) {
                        return Err(fault);
                    }
                    let etag = digests.first().map(etag);
                    let body = ArtifactBody::Arriving(stage);
                    let length = Some(length);
                    return Ok(Artifact { length, etag, outcome, body, record: None });
                }
                _ => {}
            }
            if flight.changed().await.is_err() {
                // Landed: a part of it is asked for, and the whole is there now or never.
                let held = self.get_held(key, wanted).await?;
                return held
                    .map(|artifact| Artifact { outcome, ..artifact })
                    .ok_or(PullError::Internal);
            }
        }
    }

    /// Of a transfer that fails, the stage is left in `failed`: its followers still wait.
    async fn fetch(
        &self,
        fetch: &Fetch,
        state: &watch::Sender<Flight>,
        failed: &mut Option<Stage>,
    ) -> Result<(), PullError> {
        let upstream = &fetch.upstream;
        let promised = &fetch.wanted.promised;
        // Another flight may have landed between the look and this one: those who wait find what
        // that one left.
        if self.get_held(&fetch.key, &fetch.wanted).await?.is_some() {
            return Ok(());
        }
        if self.absent.contains_key(&fetch.key) {
            return Err(PullError::Absent);
        }
        let mut body = upstream.artifact(fetch.target.clone()).await.map_err(|fault| {
            let fault = PullError::from_upstream(upstream, fault);
            if matches!(fault, PullError::Absent) {
                self.absent.insert(fetch.key.clone(), ());
            }
            fault
        })?;
        let algorithms: Vec<Algorithm> = promised.iter().map(Digest::algorithm).collect();
        let mut stage = self.store.blobs.stage(&algorithms).await?;
        let reader = stage.follower();
        let length = body.length;
        state.send_replace(Flight::Streaming { length, stage: reader.clone() });
        let digests = match self.receive(fetch, &mut body, &mut stage).await {
            Ok(digests) => digests,
            Err(fault) => {
                *failed = Some(stage);
                return Err(fault);
            }
        };
        stage.verified();
        state.send_replace(Flight::Verified {
            length: digests.len,
            stage: reader,
            digests: all(&digests),
            unkept: None,
        });
        let now = self.store.clock.now();
        if let Err(fault) = self.keep(fetch, stage, digests, body.place(), now).await {
            // The clients have their bytes, which were right; only the next one asks again.
            let (registry, package, file) = &fetch.key;
            self.store.alarm(
                AlarmKind::StoreFailing,
                &format!("{file} of {package} from {registry} could not be kept: {fault}"),
            );
            state.send_modify(|flight| {
                if let Flight::Verified { unkept, .. } = flight {
                    *unkept = Some(fault);
                }
            });
        }
        Ok(())
    }

    async fn receive(
        &self,
        fetch: &Fetch,
        body: &mut UpstreamBody,
        stage: &mut Stage,
    ) -> Result<Digests, PullError> {
        let fault = |fault| PullError::from_upstream(&fetch.upstream, fault);
        while let Some(chunk) = body.chunk().await.map_err(fault)? {
            stage.write(chunk).await?;
        }
        let digests = stage.finish().await?;
        self.verify(fetch, &digests)?;
        Ok(digests)
    }

    fn verify(&self, fetch: &Fetch, digests: &Digests) -> Result<(), PullError> {
        let (upstream, file) = (fetch.upstream.name(), &fetch.wanted.file);
        match contradiction(upstream, file, &fetch.wanted.promised, &all(digests)) {
            None => Ok(()),
            Some(fault) => {
                self.store.alarm(AlarmKind::DigestMismatch, &fault.to_string());
                Err(fault)
            }
        }
    }

    async fn keep(
        &self,
        fetch: &Fetch,
        stage: Stage,
        digests: Digests,
        source: String,
        now: Timestamp,
    ) -> Result<(), PullError> {
        let record = ArtifactRecord {
            blob: digests.sha256.clone(),
            size: digests.len,
            digests: digests.others,
            version: fetch.version.clone(),
            source: Some(source),
            fetched: now,
            own: false,
        };
        let (registry, package, file) = &fetch.key;
        // What stands behind the path may be a secret.
        let place = record.source.as_deref().and_then(|source| source.split(['?', '#']).next());
        let entry =
            fetch.entry.clone().detail("digest", &record.blob).detail_if("source", place.as_ref());
        self.store.keep_artifact((registry, package, file), stage, &record, entry).await?;
        let held = Held::new(record);
        if let Some(when_held) = &fetch.wanted.when_held {
            when_held.tell(&held.record);
        }
        self.held.insert(fetch.key.clone(), held);
        Ok(())
    }
}

/// All that a flight needs to know.
#[derive(Clone, Debug)]
struct Fetch {
    key: ArtifactKey,
    version: String,
    upstream: Upstream,
    target: ArtifactTarget,
    wanted: Wanted,
    /// What the audit log says once it is held, by whoever asked first.
    entry: Entry,
}

struct Landing {
    artifacts: Arc<Artifacts>,
    key: ArtifactKey,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.artifacts.flights.lock().remove(&self.key);
    }
}

/// That this version comes here, and what let it in.
fn admission(admitted: &Admitted, source: &Source, file: &str) -> Entry {
    let (subject, decision) = (admitted.subject(), admitted.decision());
    Entry::new(Action::Admitted)
        .package(&subject.package)
        .versions(Some(subject.version.as_str()))
        .why(Some(&decision.reason))
        .revision(&decision.revision)
        .detail("registry", &source.registry)
        .detail("file", &file)
        .detail("effect", &decision.effect)
        .detail_if("rule", decision.rule.as_ref())
        .detail_if("waiver", decision.waiver.as_ref())
}

fn etag(digest: &Digest) -> Bytes {
    format!("\"{}\"", digest.hex()).into()
}

fn whole(held: &Held, body: ArtifactBody) -> Artifact {
    Artifact {
        length: Some(held.record.size),
        etag: Some(held.etag.clone()),
        outcome: CacheOutcome::Hit,
        body,
        record: Some(Arc::clone(&held.record)),
    }
}

/// The sha256 first.
fn all(digests: &Digests) -> Vec<Digest> {
    std::iter::once(&digests.sha256).chain(&digests.others).cloned().collect()
}

/// Names the first promise that is not kept.
fn contradiction(
    upstream: &str,
    file: &str,
    promised: &[Digest],
    got: &[Digest],
) -> Option<PullError> {
    let (expected, other) = broken_promise(promised, got)?;
    Some(PullError::Contradicts {
        upstream: upstream.to_owned(),
        file: file.to_owned(),
        expected: expected.clone(),
        got: other.cloned(),
    })
}

impl std::fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifacts")
            .field("under_way", &self.flights.lock().len())
            .finish_non_exhaustive()
    }
}
