#![allow(clippy::unwrap_used)]

use std::path::Path;

use policies::package::{Digest, Ecosystem, Package};

use super::*;
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::{Blobs, BlobsOptions};
use crate::clock::Clock;
use crate::metadata::sled::{Sled, SledOptions};
use crate::observability::Metrics;
use crate::pull::documents::DocumentsSettings;
use crate::pull::freshness::Freshness;
use crate::pull::store::PullStore;
use crate::pull::summaries::Summaries;
use crate::registries::cargo::documents::CargoDocuments;

const AGE: Duration = Duration::from_mins(1);

fn documents(home: &Path) -> Arc<Documents<CargoDocuments>> {
    let sled = Sled::open(&home.join("metadata"), SledOptions::default()).unwrap();
    let engine = Arc::new(DiskBlobs::open(home, DiskOptions::default()).unwrap());
    let alarm = Arc::new(|_: &Digest, _: &str| {});
    let store = PullStore {
        metadata: Arc::new(sled),
        blobs: Blobs::open(engine, home.join("stage"), alarm, BlobsOptions::default()).unwrap(),
        clock: Clock::system(),
        metrics: Metrics::new(),
        summaries: Summaries::default(),
        runtime: tokio::runtime::Handle::current(),
    };
    let settings = DocumentsSettings { memory: 1 << 20, room: 1 << 20, absent_age: AGE };
    Documents::new(store, settings)
}

fn due() -> Due {
    let package = Package::new(Ecosystem::Cargo, "seed").unwrap();
    Due {
        source: Arc::new(Source {
            registry: "cargo".into(),
            upstream: None,
            freshness: Freshness { max_age: AGE, max_stale: AGE },
        }),
        request: DocumentRequest { package, path: |_| "seed".to_owned(), accept: "text/plain" },
        version: Version::new("1.0.0").unwrap(),
    }
}

/// An archive that would never end once held every place, and who asked for another waited for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_finds_no_place_to_look_comes_again_later() {
    let home = tempfile::tempdir().unwrap();
    let documents = documents(home.path());
    let record = ArtifactRecord {
        blob: Digest::sha256_of(b""),
        size: 0,
        digests: Vec::new(),
        version: "1.0.0".to_owned(),
        source: None,
        fetched: documents.store().clock.now(),
        own: false,
    };
    let look = async |wait| documents.look_within(wait, due(), &record).await;
    let places = documents.comparisons.looks.acquire_many(AT_ONCE).await.unwrap();
    let looked = look(Duration::from_millis(20)).await;
    assert!(matches!(looked, Err(PullError::Busy)), "{looked:?}");
    drop(places);
    // There is no such document, which is soon told.
    look(AGE).await.unwrap();
    documents.store().metadata.close().await;
}
