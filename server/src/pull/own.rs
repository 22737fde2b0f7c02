//! Own packages: documents that are changed here, and files that come from people.
//!
//! ```text
//! handler → staged files ─┐
//!                         ├ change_own: state → format's change → blobs → one commit → in memory
//!           what is there ┘
//! ```
//!
//! An own document is a document without an upstream: the flow serves it, the gate screens it and
//! views are made of it like of any other. It is changed by reading it, having the format make
//! another of it, and writing that where nothing was written meanwhile, in one commit with the
//! records of the files that came or went. Bytes are durable before that commit, so what is
//! acknowledged is whole, and what is not is not there. What takes more than one commit, an unpublish
//! of very much, is told by a note in the first ([`unpublishing`]). Changes of one package take turns here, so
//! that the expectation fails only where another process writes; then the change is made anew.
//!
//! Nobody can fetch an own document again: damage is told and never taken for absence.

mod arrivals;
mod before;
mod telling;
mod unpublishing;
mod writing;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::package::{Digest, Package, Version};

use self::arrivals::Arrivals;
use self::before::Before;
use self::writing::{Changed, write};
use super::artifacts::Artifacts;
use super::documents::Documents;
use super::format::{DocumentFormat, VersionClaim};
use super::{PullError, Source};
use crate::audit::Action;
use crate::blobs::{Digests, Stage};
use crate::edge;
use crate::metadata::records::{
    ArtifactRecord, DocumentRecord, Key, OwnRecord, UnpublishingRecord, VersionRecord,
};

/// A change that nobody else should make at the same time is tried so often.
const TRIES: usize = 8;

/// By what whoever publishes does next.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OwnError {
    /// This name is known from an upstream. What was installed under it must not become something
    /// else.
    #[error("{0} is known here from an upstream")]
    Clash(Package),
    /// Its name differs too little from that of another own package.
    #[error("{package} can not be told from {other}")]
    Collides { package: Package, other: String },
    /// What was unpublished earlier has not gone whole, and nothing is changed before that.
    #[error("an unpublish of {package} from {since:.0} is not finished: {fault}")]
    Unfinished { package: Box<Package>, since: Timestamp, fault: Box<PullError> },
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// Which package is changed.
#[derive(Clone, Debug)]
pub struct Target {
    pub source: Arc<Source>,
    pub package: Package,
    /// Its name without what names must not differ by alone.
    pub folded: String,
    /// Names that are this one to the registry's clients, in other spellings: what is known by one of
    /// them from elsewhere stands in the way of a new package.
    pub spellings: fn(&Package) -> Vec<Package>,
}

/// A file that came: checked by the format, and kept if the change is.
#[derive(Debug)]
pub struct Arrival {
    pub file: String,
    pub version: Version,
    pub stage: Stage,
    pub digests: Digests,
}

/// What is there before a change.
#[derive(Clone, Debug)]
pub struct OwnState {
    /// The document, as the format made it.
    pub document: Option<Bytes>,
    pub versions: Arc<HashMap<Version, VersionRecord>>,
    /// When the change is made.
    pub now: Timestamp,
}

/// What a format makes of it.
#[derive(Debug)]
pub struct Edit {
    /// The new document.
    pub document: Bytes,
    /// Versions that come, with the digests that are pinned.
    pub published: Vec<(Version, Vec<Digest>)>,
    /// Versions that go, with all their files. They stay remembered: nothing else is ever published
    /// under them.
    pub unpublished: Vec<Version>,
    /// What else is changed.
    pub told: Vec<Told>,
}

/// A change for the audit log.
#[derive(Clone, Debug)]
pub struct Told {
    pub action: Action,
    pub versions: Vec<String>,
    /// A tag, or what is said of the versions.
    pub text: Option<String>,
}

impl<F: DocumentFormat> Documents<F> {
    /// Changes an own document; it is durable and seen by everybody when this returns. Once begun
    /// it is brought to its end, though whoever asked may leave. `change` may be asked again.
    pub async fn change_own<E: From<OwnError> + Send + 'static>(
        self: &Arc<Self>,
        artifacts: &Arc<Artifacts>,
        target: Target,
        arrivals: Vec<Arrival>,
        change: impl Fn(&OwnState) -> Result<Edit, E> + Send + Sync + 'static,
    ) -> Result<(), E> {
        let (this, artifacts) = (Arc::clone(self), Arc::clone(artifacts));
        let changing = async move {
            let key = (Arc::clone(&target.source.registry), target.package.clone());
            let turn = this.take_when_finished(&artifacts, &key).await?;
            let mut arrivals = Arrivals::Staged(arrivals);
            let change = Arc::new(change);
            for _ in 0..TRIES {
                let tried = this.try_change(&target, &mut arrivals, &change).await;
                match tried {
                    Ok(Some(changed)) => {
                        let has_rest = changed.has_rest;
                        this.show_own(key.clone(), changed, &artifacts).await;
                        drop(turn);
                        if has_rest
                            && let Err(fault) =
                                this.finish_unpublishing(&artifacts, &key.0, &key.1).await
                        {
                            // It is done, and what is left of it goes from the note.
                            tracing::warn!(registry = %key.0, package = %key.1, %fault, "nothing unpublished is served, and not all of it is off the disk yet; garth goes on by itself");
                        }
                        return Ok(());
                    }
                    Ok(None) => {}
                    Err(fault) => {
                        arrivals.give_up(this.store()).await;
                        return Err(fault);
                    }
                }
            }
            arrivals.give_up(this.store()).await;
            Err(OwnError::from(PullError::Busy).into())
        };
        let changing = edge::on_behalf_of(edge::current(), changing);
        let task = self.store().runtime.spawn(changing);
        task.await.map_err(|_| OwnError::from(PullError::Internal).into()).and_then(|done| done)
    }

    /// `None`: somebody else was faster.
    async fn try_change<E: From<OwnError> + Send + 'static>(
        &self,
        target: &Target,
        arrivals: &mut Arrivals,
        change: &Arc<impl Fn(&OwnState) -> Result<Edit, E> + Send + Sync + 'static>,
    ) -> Result<Option<Changed<F>>, E> {
        let store = self.store();
        let before = Before::read(store, target).await.map_err(E::from)?;
        let state = before.state.clone();
        let change = Arc::clone(change);
        let edit = tokio::task::spawn_blocking(move || change(&state))
            .await
            .map_err(|_| E::from(PullError::Internal.into()))??;
        let parsed = self
            .read(&target.package, edit.document.clone(), None)
            .await
            .map_err(|cause| E::from(unreadable(target, &cause).into()))?;
        let (claims, summary) = (F::claims(&parsed), F::summary(&parsed, true));
        let changed = write(store, target, &before, arrivals, edit, (&claims, &summary)).await;
        let changed = changed.map_err(E::from)?;
        if changed.is_some() {
            let registry = &target.source.registry;
            store.summaries.note(registry, target.package.name(), &summary);
        }
        Ok(changed.map(|changed| changed.with(parsed)))
    }

    async fn show_own(
        &self,
        key: (Arc<str>, Package),
        changed: Changed<F>,
        artifacts: &Arc<Artifacts>,
    ) {
        let Changed { content, saved, released, .. } = changed;
        for file in &released.files {
            artifacts.forget(&key.0, key.1.name(), file);
        }
        self.show(key, Arc::new(content), Arc::new(saved));
        for (blob, key) in released.blobs {
            self.store().release(&blob, &key).await;
        }
    }
}

/// What the format made can not be read by the same format: a fault of ours.
fn unreadable(target: &Target, cause: &str) -> PullError {
    tracing::error!(package = %target.package, cause, "a changed document can not be read; nothing was kept");
    PullError::Internal
}

impl Target {
    fn document(&self) -> Key<DocumentRecord> {
        DocumentRecord::key(&self.source.registry, self.package.name(), DocumentRecord::NEWEST)
    }

    fn artifact(&self, file: &str) -> Key<ArtifactRecord> {
        ArtifactRecord::key(&self.source.registry, self.package.name(), file)
    }

    fn unpublishing(&self, n: u32) -> Key<UnpublishingRecord> {
        UnpublishingRecord::key(&self.source.registry, self.package.name(), n)
    }

    fn own(&self) -> Key<OwnRecord> {
        OwnRecord::key(&self.source.registry, &self.folded)
    }
}

/// Records of versions that are in the document and nowhere else, as after a rebuild from what
/// lies beside the blobs.
pub(super) fn complete(
    versions: &mut HashMap<Version, VersionRecord>,
    claims: &[VersionClaim],
    written: Timestamp,
) {
    for claim in claims {
        let first_seen = claim.published.unwrap_or(written);
        versions
            .entry(claim.version.clone())
            .or_insert_with(|| remembered(first_seen, claim.published, Arc::clone(&claim.digests)));
    }
}

fn remembered(
    first_seen: Timestamp,
    published: Option<Timestamp>,
    digests: Arc<[Digest]>,
) -> VersionRecord {
    VersionRecord {
        first_seen,
        published,
        digests,
        vanished: None,
        conflict: None,
        own: true,
        compared: None,
        size: None,
        inside: None,
    }
}

#[cfg(test)]
mod tests;
