//! What only a crate itself says, for rules that ask for it: its licence, and whether it runs code.
//!
//! No index says these. Where a rule asks for them and a version is not refused whatever they are,
//! garth fetches the crate, looks into it and decides then; nothing of it is sent before. What is found
//! is kept by the crate's digest, and found again by opening the crate, which is held.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use moka::sync::Cache;
use policies::decision::Decision;
use policies::facts::{Fact, Missing, Stated};
use policies::licence::Licence;
use policies::package::{Algorithm, Digest, Ecosystem, Package, PackageVersion};
use policies::rules::RuleSet;
use tokio::sync::Semaphore;

use super::super::documents::{Inside, open};
use crate::metadata::records::ArtifactRecord;
use crate::pull::PullError;
use crate::pull::comparing::Packed;
use crate::registries::Registry;

const TOLD_BY_CRATES: [Fact; 2] = [Fact::Licence, Fact::InstallScripts];
/// Crates that are opened at once: each takes a processor for as long as it is let.
const AT_ONCE: usize = 2;
/// What is kept of one takes some hundred bytes.
const KEPT: u64 = 50_000;

/// What is known of crates that were opened, by their sha256. Nothing is known of one that can not be
/// opened.
#[derive(Debug)]
pub struct Insides {
    known: Cache<Digest, Option<Arc<Inside>>>,
    /// How many crates of a package were opened: what is shown of its index hangs on it.
    looks: Cache<Package, u64>,
    places: Semaphore,
}

impl Default for Insides {
    fn default() -> Self {
        let (known, looks) = (Cache::new(KEPT), Cache::new(KEPT));
        Self { known, looks, places: Semaphore::new(AT_ONCE) }
    }
}

/// Whether any rule asks for what only a crate says.
pub fn is_asked_for(rules: &RuleSet) -> bool {
    TOLD_BY_CRATES.iter().any(|fact| rules.asks_for(*fact))
}

/// Whether what only the crate says could have decided otherwise.
pub fn could_tell(decision: &Decision) -> bool {
    decision.missing.meets(Missing::of(TOLD_BY_CRATES))
}

impl Insides {
    pub fn is_known(&self, digests: &[Digest]) -> bool {
        sha256(digests).is_some_and(|digest| self.known.contains_key(digest))
    }

    /// The view of an index: another one whenever more is known of its crates.
    pub fn form(&self, package: &Package) -> Cow<'static, str> {
        match self.looks.get(package) {
            None => "index".into(),
            Some(looks) => format!("index {looks}").into(),
        }
    }

    /// With what is known of the inside.
    pub fn complete(&self, stated: &Stated, digests: &[Digest]) -> Stated {
        let mut stated = stated.clone();
        if let Some(Some(inside)) = sha256(digests).and_then(|digest| self.known.get(digest)) {
            let licence = inside.licence.as_deref();
            stated.licence = licence.map(|text| Arc::new(Licence::new(Ecosystem::Cargo, text)));
            // What the index says stands, whatever the crate says.
            let runs_code = inside.runs_code || stated.install_scripts == Some(true);
            stated.install_scripts = Some(runs_code);
        }
        stated
    }

    /// Opens a crate that is held, whose name is spelled so in its index.
    pub async fn look(
        &self,
        registry: &Registry,
        subject: &PackageVersion,
        name: &str,
        record: &ArtifactRecord,
    ) -> Result<(), PullError> {
        let _place = self.places.acquire().await.map_err(|_| PullError::Internal)?;
        if self.known.contains_key(&record.blob) {
            // Whoever waited for the place before has looked.
            return Ok(());
        }
        let store = &registry.garden.store;
        let blob = store.blobs.get_sized(&record.blob, Some(record.size)).await?;
        // Damaged, and fetched again when it is next asked for.
        let blob = blob.ok_or(PullError::Busy)?;
        let root = format!("{name}-{}", subject.version);
        let runtime = store.runtime.clone();
        let opening = move || -> Result<_, PullError> {
            let length = blob.len();
            let mut packed = Packed::new(&blob, runtime, Arc::new(AtomicBool::new(false)));
            let opened = open(&mut packed, length, &root);
            packed.finish()?;
            Ok(opened)
        };
        let opened = tokio::task::spawn_blocking(opening).await;
        let inside = match opened.map_err(|_| PullError::Internal)?? {
            Ok(contents) => Some(Arc::new(contents.inside())),
            Err(why) => {
                tracing::warn!(registry = %registry.name, %subject, why, "a crate can not be opened, so nobody knows its licence");
                None
            }
        };
        self.known.insert(record.blob.clone(), inside);
        let looks = self.looks.get(&subject.package).unwrap_or(0);
        self.looks.insert(subject.package.clone(), looks + 1);
        Ok(())
    }
}

fn sha256(digests: &[Digest]) -> Option<&Digest> {
    digests.iter().find(|digest| digest.algorithm() == Algorithm::Sha256)
}
