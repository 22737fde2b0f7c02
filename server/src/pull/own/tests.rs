#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use policies::package::Ecosystem;
use tempfile::TempDir;

use super::*;
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::{Blobs, BlobsOptions};
use crate::clock::Clock;
use crate::disk::faults::{Faults, Operation};
use crate::metadata::records::{self, SummaryRecord};
use crate::metadata::refusing::Refusing;
use crate::metadata::sled::{Sled, SledOptions};
use crate::metadata::{Batch, MAX_BATCH_CHANGES, Metadata};
use crate::observability::Metrics;
use crate::pull::documents::{DocumentRequest, DocumentsSettings, Need};
use crate::pull::format::{LeftOut, Opened, Promise, Said, Verdict};
use crate::pull::freshness::Freshness;
use crate::pull::original::Original;
use crate::pull::store::PullStore;
use crate::pull::summaries::Summaries;

/// A document is its versions, a line each.
struct Lines;

impl DocumentFormat for Lines {
    type Parsed = Vec<Version>;

    fn parse(_: &Package, bytes: Bytes, _: Option<Bytes>) -> Result<Self::Parsed, String> {
        let text = String::from_utf8_lossy(&bytes);
        text.lines().map(|line| Version::new(line).map_err(|fault| fault.to_string())).collect()
    }

    fn claims(_: &Self::Parsed) -> Vec<VersionClaim> {
        Vec::new()
    }

    fn offers(parsed: &Self::Parsed, version: &Version) -> bool {
        parsed.contains(version)
    }

    fn promise(_: &Self::Parsed, _: &Version) -> Option<Promise> {
        None
    }

    fn stated<'p>(_: &'p Self::Parsed, _: &Version) -> Option<&'p policies::facts::Stated> {
        None
    }

    fn tags(_: &Self::Parsed) -> Vec<(String, String)> {
        Vec::new()
    }

    fn left_out(_: &Self::Parsed) -> &[LeftOut] {
        &[]
    }

    fn summary(_: &Self::Parsed, _: bool) -> SummaryRecord {
        SummaryRecord::default()
    }

    fn said(_: &Self::Parsed, _: &Version) -> Result<Option<Said>, PullError> {
        Ok(None)
    }

    fn compare(_: &Said, _: &mut dyn Read, _: u64) -> Opened {
        Verdict::Agrees.into()
    }

    fn retain(_: &Self::Parsed, _: &HashSet<Version>) -> Result<Bytes, PullError> {
        Ok(Bytes::new())
    }

    fn read_from(parsed: &Self::Parsed, _: Original) -> Self::Parsed {
        parsed.clone()
    }

    fn weight(_: &Self::Parsed) -> usize {
        0
    }
}

struct Garden {
    home: TempDir,
    metadata: Arc<Refusing>,
    documents: Arc<Documents<Lines>>,
    artifacts: Arc<Artifacts>,
    source: Arc<Source>,
}

impl Garden {
    fn new(faults: impl FnOnce(&Path) -> Faults) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Sled::open(&home.path().join("metadata"), SledOptions::default()).unwrap();
        let metadata = Refusing::new(store);
        let faults = faults(home.path());
        let options = DiskOptions { faults, ..DiskOptions::default() };
        let engine = Arc::new(DiskBlobs::open(home.path(), options).unwrap());
        let alarm = Arc::new(|_: &Digest, _: &str| {});
        let stages = home.path().join("stage");
        let store = PullStore {
            metadata: Arc::clone(&metadata) as Arc<dyn Metadata>,
            blobs: Blobs::open(engine, stages, alarm, BlobsOptions::default()).unwrap(),
            clock: Clock::system(),
            metrics: Metrics::new(),
            summaries: Summaries::default(),
            runtime: tokio::runtime::Handle::current(),
        };
        let age = Duration::from_mins(1);
        let settings = DocumentsSettings { memory: 1 << 20, room: 1 << 20, absent_age: age };
        Self {
            home,
            metadata,
            artifacts: Artifacts::new(store.clone(), 1 << 20, age),
            documents: Documents::new(store, settings),
            source: Arc::new(Source {
                registry: "npm".into(),
                upstream: None,
                freshness: Freshness { max_age: age, max_stale: age },
            }),
        }
    }

    fn store(&self) -> &PullStore {
        self.documents.store()
    }

    async fn arrival(&self, file: &str, text: &str) -> Arrival {
        let mut stage = self.store().blobs.stage(&[]).await.unwrap();
        stage.write(Bytes::copy_from_slice(text.as_bytes())).await.unwrap();
        let digests = stage.finish().await.unwrap();
        Arrival { file: file.to_owned(), version: version("1.0.0"), stage, digests }
    }

    /// Makes the document one of these versions; what came or went besides is said.
    async fn change(
        &self,
        versions: &'static [&'static str],
        arrivals: Vec<Arrival>,
        published: &[&str],
        unpublished: &[&str],
    ) -> Result<(), OwnError> {
        let target = Target {
            source: Arc::clone(&self.source),
            package: package(),
            folded: "x".to_owned(),
            spellings: |_| Vec::new(),
        };
        let published: Vec<_> = published.iter().map(|text| (version(text), Vec::new())).collect();
        let unpublished: Vec<_> = unpublished.iter().map(|text| version(text)).collect();
        let change = move |_: &OwnState| {
            let document = versions.join("\n").into();
            let (published, unpublished) = (published.clone(), unpublished.clone());
            Ok(Edit { document, published, unpublished, told: Vec::new() })
        };
        self.documents.change_own(&self.artifacts, target, arrivals, change).await
    }

    async fn shown(&self) -> Vec<Version> {
        let request =
            DocumentRequest { package: package(), path: |_| "x".to_owned(), accept: "text/plain" };
        let found = self.documents.get(&self.source, &request, Need::Fresh).await.unwrap();
        self.documents.content(&self.source, &request, &found).await.unwrap().parsed.to_vec()
    }

    async fn files(&self) -> usize {
        let prefix = ArtifactRecord::of_package("npm", "x");
        self.store().read_all(&prefix).await.unwrap().len()
    }

    /// The blobs and what lies beside them.
    fn blobs(&self) -> usize {
        files_below(&self.home.path().join("blobs")).len()
    }
}

#[allow(clippy::disallowed_methods, reason = "a test")]
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

fn package() -> Package {
    Package::new(Ecosystem::Npm, "x").unwrap()
}

fn is_gone(versions: &HashMap<Version, VersionRecord>) -> bool {
    versions[&version("1.0.0")].vanished.is_some()
}

/// Two versions, the first of them with more files than one commit takes away.
async fn garden_with_many_files() -> (Garden, ArtifactRecord) {
    let garden = Garden::new(|_| Faults::default());
    let tarball = garden.arrival("x-1.0.0.tgz", "bytes").await;
    garden.change(&["1.0.0", "2.0.0"], vec![tarball], &["1.0.0", "2.0.0"], &[]).await.unwrap();
    let key = ArtifactRecord::key("npm", "x", "x-1.0.0.tgz");
    let metadata = garden.store().metadata.as_ref();
    let record = records::read(metadata, &key).await.unwrap().unwrap();
    let mut more = Batch::default();
    for n in 0..=MAX_BATCH_CHANGES {
        more = more.put_record(&ArtifactRecord::key("npm", "x", &format!("{n}.sig")), &record);
    }
    let of_two = ArtifactRecord { version: "2.0.0".to_owned(), ..record.clone() };
    more = more.put_record(&ArtifactRecord::key("npm", "x", "x-2.0.0.tgz"), &of_two);
    records::commit_in_parts(metadata, more, Batch::default()).await.unwrap();
    (garden, record)
}

/// The disk is full, or the process is killed, after each of the commits in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_only_half_is_shown_as_gone_and_goes_without_anybody_asking() {
    let (registry, package): (Arc<str>, _) = ("npm".into(), package());
    for taken in 1.. {
        let (garden, record) = garden_with_many_files().await;
        let before = garden.files().await;
        let read = || garden.store().read_versions("npm", &package);
        let mut left = taken;
        garden.metadata.refuse_commits(move |_| {
            left -= 1;
            left < 0
        });
        garden.change(&["2.0.0"], Vec::new(), &[], &["1.0.0"]).await.unwrap();
        assert_eq!(garden.shown().await, [version("2.0.0")], "{taken}: what is committed is shown");
        let waiting = garden.documents.unpublishing("npm", Ecosystem::Npm).await.unwrap();
        if waiting.is_empty() {
            assert!(taken > 5, "there is a commit of the document, of the versions, of each page");
            assert_eq!(garden.files().await, 1);
            garden.store().metadata.close().await;
            return;
        }
        assert_eq!(waiting, std::slice::from_ref(&package), "{taken}");
        if taken == 1 {
            assert_eq!(garden.files().await, before, "what is not committed is there");
            assert!(!is_gone(&read().await.unwrap()));
            let bytes = garden.store().read_blob(&record.blob, record.size).await.unwrap();
            assert!(bytes.is_some(), "records still name it");
        }
        // Nothing else is changed meanwhile, and whoever tries is told why.
        let tarball = garden.arrival("x-3.0.0.tgz", "three").await;
        let refused = garden.change(&["2.0.0", "3.0.0"], vec![tarball], &["3.0.0"], &[]).await;
        assert!(matches!(refused, Err(OwnError::Unfinished { .. })), "{taken}: {refused:?}");
        assert_eq!(garden.shown().await, [version("2.0.0")], "{taken}");

        garden.metadata.refuse_commits(|_| false);
        let finish =
            || garden.documents.finish_unpublishing(&garden.artifacts, &registry, &package);
        assert!(finish().await.unwrap(), "{taken}");
        assert!(!finish().await.unwrap(), "{taken}: once");
        assert_eq!(garden.files().await, 1, "{taken}: the other version's stays");
        assert!(is_gone(&read().await.unwrap()), "{taken}");
        assert_eq!(garden.shown().await, [version("2.0.0")], "{taken}");
        let waiting = garden.documents.unpublishing("npm", Ecosystem::Npm).await.unwrap();
        assert_eq!(waiting, [], "{taken}: the note went with the last of it");
        garden.store().metadata.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_change_of_a_package_finishes_what_went_only_half() {
    let (garden, record) = garden_with_many_files().await;
    garden.metadata.refuse_commits(|batch| {
        batch.changes.iter().any(|change| change.key.starts_with(b"artifact/"))
    });
    garden.change(&["2.0.0"], Vec::new(), &[], &["1.0.0"]).await.unwrap();
    garden.metadata.refuse_commits(|_| false);
    garden.change(&[], Vec::new(), &[], &["2.0.0"]).await.unwrap();
    assert_eq!((garden.files().await, garden.shown().await), (0, Vec::new()));
    let bytes = garden.store().read_blob(&record.blob, record.size).await.unwrap();
    assert!(bytes.is_none(), "its bytes went with it");
    garden.store().metadata.close().await;
}

/// The tarball is a blob already when the disk does not take what came with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_companion_can_not_be_kept_is_not_kept_either() {
    let full = Arc::new(Mutex::new(None::<usize>));
    let hook = Arc::clone(&full);
    let garden = Garden::new(move |home| {
        let blobs = home.join("blobs");
        Faults::hooked(move |operation| {
            let is_full = hook.lock().is_some_and(|most| files_below(&blobs).len() >= most);
            if is_full && operation == Operation::Rename {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            Ok(())
        })
    });
    let arrivals = async || {
        let tarball = garden.arrival("x-1.0.0.tgz", "tarball").await;
        vec![tarball, garden.arrival("x-1.0.0.sigstore", "provenance").await]
    };
    // A blob, and what lies beside it.
    for most in [0, 1, 2, 3] {
        let coming = arrivals().await;
        *full.lock() = Some(most);
        let failed = garden.change(&["1.0.0"], coming, &["1.0.0"], &[]).await;
        assert!(matches!(failed, Err(OwnError::Pull(_))), "{most}: {failed:?}");
        assert_eq!(garden.blobs(), 0, "{most}: nothing of it is left");
        assert_eq!(garden.files().await, 0, "{most}");
    }
    *full.lock() = None;
    garden.change(&["1.0.0"], arrivals().await, &["1.0.0"], &[]).await.unwrap();
    assert_eq!((garden.files().await, garden.shown().await), (2, vec![version("1.0.0")]));
    garden.store().metadata.close().await;
}

/// No change without its entry in the audit log, also not of a package's first publish and its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_or_goes_without_its_entry_is_refused() {
    let garden = Garden::new(|_| Faults::default());
    let notes = |batch: &Batch| {
        batch.changes.iter().any(|change| change.key.starts_with(b"audit-waiting/"))
    };
    let tarball = async || vec![garden.arrival("x-1.0.0.tgz", "bytes").await];
    let (first, coming) = (tarball().await, tarball().await);
    garden.metadata.refuse_commits(notes);
    let refused = garden.change(&["1.0.0"], first, &["1.0.0"], &[]).await;
    assert!(matches!(refused, Err(OwnError::Pull(_))), "{refused:?}");
    let stored = garden.store().metadata.scan(b"", None, 100).await.unwrap();
    let keys: Vec<&[u8]> = stored.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, [b"meta/format"], "nothing of it is stored, its name neither");

    garden.metadata.refuse_commits(|_| false);
    garden.change(&["1.0.0"], coming, &["1.0.0"], &[]).await.unwrap();
    garden.metadata.refuse_commits(notes);
    let refused = garden.change(&[], Vec::new(), &[], &["1.0.0"]).await;
    assert!(matches!(refused, Err(OwnError::Pull(_))), "{refused:?}");
    assert_eq!((garden.files().await, garden.shown().await), (1, vec![version("1.0.0")]));
    garden.store().metadata.close().await;
}
