//! Documents whose text is not in memory.

use jiff::Timestamp;
use policies::package::Ecosystem;
use serde_json::json;

use super::*;
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::{Blobs, BlobsOptions};
use crate::metadata::records::DocumentRecord;
use crate::pull::original::Stored;
use crate::pull::store::Saved;
use crate::pull::views::Sections;

const BASE: &str = "https://garth.example.com/npm";

fn version(version: &str) -> serde_json::Value {
    json!({
        "name": "left-pad",
        "version": version,
        "readme": format!("about {version}"),
        "scripts": {"install": "node x"},
        "dist": {"tarball": "https://up.example/x.tgz", "shasum": "0".repeat(40)},
    })
}

fn record(blob: &Digest, bytes: &Bytes) -> DocumentRecord {
    DocumentRecord {
        blob: blob.clone(),
        size: bytes.len() as u64,
        etag: None,
        last_modified: None,
        media_type: None,
        upstream: None,
        fetched: Timestamp::UNIX_EPOCH,
        checked: Timestamp::UNIX_EPOCH,
        own: false,
        folded: None,
    }
}

/// With the latest version left out, so that the fields at the top follow another one.
fn views(packument: &Packument) -> Result<Vec<Vec<u8>>, PullError> {
    let all = packument.entries.iter().map(|entry| Shown { entry, pinned: None });
    let shown: Vec<Shown<'_>> =
        all.filter(|shown| shown.entry.version.as_str() != "3.0.0").collect();
    let mut views: Vec<Vec<u8>> = shown
        .iter()
        .map(|shown| render_manifest(packument, shown, BASE))
        .collect::<Result<_, _>>()?;
    let tags = offered_tags(packument, &shown);
    let offer = Offer { packument, shown, tags };
    for form in [Form::Full, Form::Abbreviated] {
        let text = PackumentText::new(offer.clone(), form, BASE);
        let (mut at_once, mut by_section) = (Vec::new(), Vec::new());
        text.write_all(&mut at_once)?;
        (0..text.count()).try_for_each(|section| text.write(section, &mut by_section))?;
        assert_eq!(at_once, by_section);
        views.push(at_once);
    }
    let two = ["1.0.0", "4.0.0"].map(|text| Version::new(text).unwrap());
    views.push(NpmDocuments::retain(packument, &HashSet::from(two))?.to_vec());
    Ok(views)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_text_that_is_read_from_the_store_makes_the_same_views() {
    let home = tempfile::tempdir().unwrap();
    let engine = Arc::new(DiskBlobs::open(home.path(), DiskOptions::default()).unwrap());
    let alarm = Arc::new(|_: &Digest, _: &str| {});
    let stages = home.path().join("stage");
    let blobs = Blobs::open(engine, stages, alarm, BlobsOptions::default()).unwrap();

    let mut changed = version("2.0.0");
    changed["_resolved"] = "https://up.example/".into();
    let newest = json!({
        "name": "left-pad",
        "dist-tags": {"latest": "3.0.0"},
        "versions": {"1.0.0": version("1.0.0"), "2.0.0": changed, "3.0.0": version("3.0.0")},
        "time": {"1.0.0": "2024-01-01T00:00:00Z", "created": "2023-01-01T00:00:00Z"},
        "readme": "about 3.0.0",
    });
    let retained = json!({
        "name": "left-pad",
        "versions": {"1.0.0": version("1.0.0"), "4.0.0": version("4.0.0")},
    });
    let [newest, retained] = [newest, retained].map(|text| Bytes::from(text.to_string()));
    let package = Package::new(Ecosystem::Npm, "left-pad").unwrap();
    let held = NpmDocuments::parse(&package, newest.clone(), Some(retained.clone())).unwrap();
    assert_eq!(held.entries.len(), 4);

    let newest_blob = blobs.put_bytes(newest.clone(), |_| Vec::new()).await.unwrap();
    let retained_blob = blobs.put_bytes(retained.clone(), |_| Vec::new()).await.unwrap();
    let saved = Saved {
        record: record(&newest_blob, &newest),
        retained: Some(record(&retained_blob, &retained)),
    };
    let stored = Stored::new(blobs.clone(), tokio::runtime::Handle::current(), &saved);
    let stored = NpmDocuments::read_from(&held, Original::Stored(Box::new(stored)));
    let stored = Arc::new(stored);

    let reading = Arc::clone(&stored);
    let read = tokio::task::spawn_blocking(move || views(&reading)).await.unwrap();
    let views_of_held = views(&held).unwrap();
    assert_eq!(read.unwrap(), views_of_held);
    let full = String::from_utf8(views_of_held[3].clone()).unwrap();
    assert!(full.contains("about 2.0.0") && !full.contains("about 3.0.0"), "{full}");

    blobs.delete(&newest_blob).await.unwrap();
    let read = tokio::task::spawn_blocking(move || views(&stored)).await.unwrap();
    assert!(matches!(read, Err(PullError::Outdated)), "{read:?}");
}
