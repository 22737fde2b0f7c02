#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;

use policies::package::{Algorithm, Ecosystem};

use super::*;
use crate::metadata::records::{check_value, commit_in_parts};
use crate::metadata::sled::{Sled, SledOptions};
use crate::metadata::{MAX_BATCH_BYTES, Metadata};

fn store() -> (tempfile::TempDir, Arc<dyn Metadata>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Sled::open(directory.path(), SledOptions::default()).unwrap();
    (directory, Arc::new(store))
}

fn package() -> Package {
    Package::new(Ecosystem::Npm, "@acme/x").unwrap()
}

fn version(n: usize) -> Version {
    Version::new(&format!("{n}.0.0-rc.1+build")).unwrap()
}

fn record(n: usize) -> VersionRecord {
    let digest = |algorithm: Algorithm| {
        let bytes: Vec<u8> =
            (0..algorithm.length()).map(|at| ((at + n) % 251).try_into().unwrap()).collect();
        Digest::new(algorithm, &bytes).unwrap()
    };
    VersionRecord {
        first_seen: "2026-11-20T10:00:00.123456789Z".parse().unwrap(),
        published: Some("2026-11-20T09:00:00.123456789Z".parse().unwrap()),
        // Not in the order of their strength: it is kept.
        digests: [digest(Algorithm::Sha1), digest(Algorithm::Sha512)].into(),
        vanished: None,
        conflict: None,
        own: n.is_multiple_of(7),
        compared: None,
        size: None,
        inside: None,
    }
}

#[test]
fn an_entry_is_never_longer_than_was_made_room_for() {
    let full = VersionRecord {
        vanished: Some(record(0).first_seen),
        conflict: Some(record(0).first_seen),
        own: true,
        compared: Some(Compared { found: Comparison::Contradicts, said: "0".repeat(SAID) }),
        size: Some(u64::MAX),
        ..record(0)
    };
    let entry =
        |version: &str| VersionsRecord { versions: vec![(version.to_owned(), full.clone())] };
    for version in ["1.0.0", "1.0.0-\u{1}\"\\"] {
        let length = encode(&entry(version)).len() - encode(&VersionsRecord::default()).len();
        assert!(length <= size_at_most(version, &record(0)), "{version:?}: {length}");
    }
}

async fn read(store: &dyn Metadata) -> (HashMap<Version, VersionRecord>, VersionPlaces) {
    read_versions(store, "npm", &package()).await.unwrap()
}

async fn write(store: &dyn Metadata, versions: &HashMap<Version, VersionRecord>) -> Batch {
    let batch = read(store).await.1.put(versions).unwrap();
    commit_in_parts(store, batch.clone(), Batch::default()).await.unwrap();
    batch
}

#[tokio::test]
async fn many_versions_are_read_back_from_few_records() {
    let (_directory, store) = store();
    let mut all: HashMap<_, _> = (0..6000).map(|n| (version(n), record(n))).collect();
    let written = write(store.as_ref(), &all).await;
    assert!(written.bytes() > MAX_BATCH_BYTES, "so it is written in parts");
    assert!(written.changes.len() < 6000 / 30, "{} records", written.changes.len());
    for change in &written.changes {
        check_value(&change.key, change.value.as_ref().unwrap()).unwrap();
    }
    assert_eq!(read(store.as_ref()).await.0, all);

    // All of them come to be as long as they can.
    for record in all.values_mut() {
        record.vanished = Some(record.first_seen);
        record.conflict = Some(record.first_seen);
        record.own = true;
    }
    let again = write(store.as_ref(), &all).await;
    assert_eq!(again.changes.len(), written.changes.len());
    assert_eq!(read(store.as_ref()).await.0, all);
}

#[tokio::test]
async fn a_changed_version_and_a_new_one_rewrite_their_records_only() {
    let (_directory, store) = store();
    let first: HashMap<_, _> = (0..500).map(|n| (version(n), record(n))).collect();
    let written = write(store.as_ref(), &first).await;
    let (mut all, mut places) = read(store.as_ref()).await;
    let changed = VersionRecord { vanished: Some(record(0).first_seen), ..record(3) };
    let some = HashMap::from([(version(3), changed), (version(500), record(500))]);
    let batch = places.put(&some).unwrap();
    assert!(batch.changes.len() <= 2 && written.changes.len() > 5, "{}", batch.changes.len());
    store.commit(batch).await.unwrap();
    all.extend(some);
    assert_eq!(read(store.as_ref()).await.0, all);
}

#[tokio::test]
async fn what_somebody_else_wrote_meanwhile_is_not_lost() {
    let (_directory, store) = store();
    let one = HashMap::from([(version(1), record(1))]);
    let other = HashMap::from([(version(2), record(2))]);
    let (mut slow, mut of_one) = (read(store.as_ref()).await.1, read(store.as_ref()).await.1);
    store.commit(of_one.put(&one).unwrap()).await.unwrap();
    let refused = store.commit(slow.put(&other).unwrap()).await;
    assert!(matches!(refused, Err(MetadataError::Conflict { .. })), "{refused:?}");
    assert_eq!(read(store.as_ref()).await.0, one);
    // In parts too.
    let many: HashMap<_, _> = (2..6000).map(|n| (version(n), record(n))).collect();
    let mut late = read(store.as_ref()).await.1;
    write(store.as_ref(), &other).await;
    let refused = commit_in_parts(store.as_ref(), late.put(&many).unwrap(), Batch::default()).await;
    assert!(matches!(refused, Err(MetadataError::Conflict { .. })), "{refused:?}");
    let found = read(store.as_ref()).await.0;
    assert_eq!((found.len(), &found[&version(1)]), (2, &record(1)));
}

#[tokio::test]
async fn what_is_put_twice_is_expected_as_it_was_put_first() {
    let (_directory, store) = store();
    let mut places = read(store.as_ref()).await.1;
    let first = places.put(&HashMap::from([(version(1), record(1))])).unwrap();
    let second = places.put(&HashMap::from([(version(2), record(2))])).unwrap();
    store.commit(first).await.unwrap();
    store.commit(second).await.unwrap();
    let expected = (1..3).map(|n| (version(n), record(n))).collect::<HashMap<_, _>>();
    assert_eq!(read(store.as_ref()).await.0, expected);
}

#[tokio::test]
async fn a_record_that_is_missing_is_not_written_over() {
    let (_directory, store) = store();
    let first: HashMap<_, _> = (0..150).map(|n| (version(n), record(n))).collect();
    let written = write(store.as_ref(), &first).await;
    assert!(written.changes.len() > 2);
    let missing = VersionsRecord::key("npm", package().name(), 1);
    store.commit(Batch::default().remove_record(&missing)).await.unwrap();
    let mut left = read(store.as_ref()).await.0;
    let more: HashMap<_, _> = (150..400).map(|n| (version(n), record(n))).collect();
    write(store.as_ref(), &more).await;
    left.extend(more);
    assert_eq!(read(store.as_ref()).await.0, left);
}

#[test]
fn a_digest_that_is_none_is_damage() {
    let key = VersionsRecord::key("npm", "x", 0);
    for digests in ["[\"\"]", "[\"md5-AAAA\"]", "[\"sha1-AAAA\"]", "\"\"", "[1]"] {
        let value =
            format!("\u{1}[[\"1\",{{\"seen\":\"2026-11-20T10:00:00Z\",\"digests\":{digests}}}]]");
        let refused = decode::<VersionsRecord>(key.as_bytes(), value.as_bytes());
        assert!(matches!(refused, Err(MetadataError::Damaged { .. })), "{digests}: {refused:?}");
    }
}
