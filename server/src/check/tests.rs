#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use tempfile::TempDir;

use super::*;
use crate::blobs::{Blobs, BlobsOptions, Side};
use crate::metadata::Batch;
use crate::metadata::records::{
    AdvisoriesRecord, ArtifactRecord, DocumentRecord, Key, OwnRecord, Record, RecordedPlace,
    RecordedRecord, RuleRecord, encode, read,
};
use jiff::Timestamp;
use policies::decision::Effect;

/// A data directory as a server leaves it.
struct Data(TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    async fn open(&self) -> Open {
        let store = open_store(&store_directory(self.path())).await.unwrap();
        let engine = open_blobs(self.path()).await.unwrap();
        let stage = DiskBlobs::stage_dir(self.path());
        let alarm = Arc::new(|_: &Digest, _: &str| ());
        let blobs = Blobs::open(engine, stage, alarm, BlobsOptions::default()).unwrap();
        Open { store, blobs }
    }

    /// A rule, two artifacts of one blob, and a document.
    async fn furnish(&self) {
        let open = self.open().await;
        open.commit(&RuleRecord::key("r"), &rule()).await;
        open.keep(&ArtifactRecord::key("npm", "a", "a.tgz"), b"tarball", artifact).await;
        open.keep(&ArtifactRecord::key("npm", "b", "b.tgz"), b"tarball", artifact).await;
        open.keep(&DocumentRecord::key("npm", "a", "full"), b"{}", |blob, size| {
            document(blob, size, "2026-11-01T00:00:00Z")
        })
        .await;
        open.store.close().await;
    }

    async fn check(&self) -> Report {
        check(self.path(), &|_| ()).await.unwrap()
    }

    async fn rebuild(&self) -> Rebuilt {
        let now = time("2026-11-21T12:00:00Z");
        rebuild(self.path(), now, &|_| ()).await.unwrap()
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.path().join("blobs/sha256").join(&hex[..2]).join(&hex[2..])
    }
}

struct Open {
    store: Sled,
    blobs: Blobs,
}

impl Open {
    async fn commit<R: Record>(&self, key: &Key<R>, record: &R) {
        self.store.commit(Batch::default().put_record(key, record)).await.unwrap();
    }

    async fn keep<R: Record>(
        &self,
        key: &Key<R>,
        bytes: &'static [u8],
        record: impl Fn(Digest, u64) -> R,
    ) {
        let mut stage = self.blobs.stage(&[]).await.unwrap();
        stage.write(Bytes::from_static(bytes)).await.unwrap();
        let digest = stage.finish().await.unwrap().sha256;
        let record = record(digest.clone(), bytes.len() as u64);
        let side = Side::new(key.as_bytes(), &encode(&record));
        self.blobs.put_with_sides(stage, &digest, &[side]).await.unwrap();
        self.commit(key, &record).await;
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn rule() -> RuleRecord {
    serde_json::from_value(serde_json::json!({
        "effect": Effect::Allow, "packages": ["npm:a"], "created": "2026-11-01T00:00:00Z",
        "created_by": "test",
    }))
    .unwrap()
}

fn artifact(blob: Digest, size: u64) -> ArtifactRecord {
    ArtifactRecord {
        blob,
        size,
        digests: vec![],
        version: "1.0.0".into(),
        source: None,
        fetched: time("2026-11-01T00:00:00Z"),
        own: true,
    }
}

fn document(blob: Digest, size: u64, fetched: &str) -> DocumentRecord {
    DocumentRecord {
        upstream: None,
        blob,
        size,
        etag: None,
        last_modified: None,
        media_type: None,
        fetched: time(fetched),
        checked: time(fetched),
        own: false,
        folded: None,
    }
}

fn digest_of(bytes: &[u8]) -> Digest {
    crate::blobs::conformance::digest_of(bytes)
}

fn kinds(report: &Report) -> Vec<String> {
    let mut kinds: Vec<String> = report
        .findings
        .iter()
        .map(|finding| {
            assert!(!finding.to_string().is_empty());
            serde_json::to_value(finding).unwrap()["finding"].as_str().unwrap().to_owned()
        })
        .collect();
    kinds.sort();
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_store_has_no_findings() {
    let data = Data::new();
    data.furnish().await;
    let report = data.check().await;
    assert_eq!((report.findings, report.leftovers), (vec![], vec![]));
    // With the one that says what wrote the store.
    assert_eq!((report.records, report.blobs, report.bytes), (5, 2, 9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_damage_is_found_and_nothing_is_changed() {
    type Damage = fn(&Data, &Digest);
    let rows: [(&str, Damage, &[&str]); 6] = [
        (
            "bit flipped",
            |data, digest| std::fs::write(data.blob_path(digest), "tarbalL").unwrap(),
            &["damaged-blob"],
        ),
        (
            "truncated",
            |data, digest| std::fs::write(data.blob_path(digest), "tarb").unwrap(),
            &["damaged-blob", "wrong-size", "wrong-size"],
        ),
        (
            "emptied",
            |data, digest| std::fs::write(data.blob_path(digest), "").unwrap(),
            &["damaged-blob", "wrong-size", "wrong-size"],
        ),
        (
            "deleted",
            |data, digest| std::fs::remove_file(data.blob_path(digest)).unwrap(),
            &["missing-blob", "missing-blob"],
        ),
        (
            "side files deleted",
            |data, digest| {
                for entry in std::fs::read_dir(data.blob_path(digest).parent().unwrap()).unwrap() {
                    let path = entry.unwrap().path();
                    if path.extension().is_some_and(|extension| extension == "side") {
                        std::fs::remove_file(path).unwrap();
                    }
                }
            },
            &["missing-side-file", "missing-side-file"],
        ),
        ("nothing", |_, _| (), &[]),
    ];
    for (name, damage, expected) in rows {
        let data = Data::new();
        data.furnish().await;
        damage(&data, &digest_of(b"tarball"));
        assert_eq!(kinds(&data.check().await), expected, "{name}");
        assert_eq!(kinds(&data.check().await), expected, "{name}: again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_that_can_not_be_read_is_found() {
    let data = Data::new();
    let open = data.open().await;
    let batch = Batch::default()
        .put("artifact/npm/a/a.tgz", "\u{7}{}")
        .put("rule/r", "\u{1}{")
        .put("unheard/of", "\u{1}{}");
    open.store.commit(batch).await.unwrap();
    open.store.close().await;
    assert_eq!(kinds(&data.check().await), ["damaged-record"; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_leaves_is_no_finding() {
    let data = Data::new();
    data.furnish().await;
    let open = data.open().await;
    let mut stage = open.blobs.stage(&[]).await.unwrap();
    stage.write(Bytes::from_static(b"its record was never written")).await.unwrap();
    let digest = stage.finish().await.unwrap().sha256;
    open.blobs.put(stage, &digest).await.unwrap();
    open.store.close().await;
    let staged = data.path().join("stage/7");
    std::fs::write(&staged, "half").unwrap();

    let report = data.check().await;
    assert_eq!(report.findings, vec![]);
    assert_eq!(
        report.leftovers,
        [Leftover::StagedFile { path: staged }, Leftover::UnreferredBlob { digest, bytes: 28 }]
    );
}

/// As after the end of a process that was about to remove what lies beside the blobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_beside_a_blob_for_a_record_that_is_gone_is_named() {
    let data = Data::new();
    data.furnish().await;
    let open = data.open().await;
    let gone = ArtifactRecord::key("npm", "b", "b.tgz");
    let moved = DocumentRecord::key("npm", "a", "full");
    // Another blob, to which the old one's side file does not belong.
    open.store.commit(Batch::default().remove_record(&gone)).await.unwrap();
    open.keep(&ArtifactRecord::key("npm", "c", "c.tgz"), b"{}", artifact).await;
    open.keep(&moved, b"{ }", |blob, size| document(blob, size, "2026-11-09T00:00:00Z")).await;
    open.store.close().await;

    let report = data.check().await;
    assert_eq!(report.findings, vec![]);
    let named = |key: &[u8], bytes| Leftover::UnreferredSideFile {
        record: show_key(key),
        digest: digest_of(bytes),
    };
    let expected = [named(gone.as_bytes(), b"tarball"), named(moved.as_bytes(), b"{}")];
    assert_eq!(report.leftovers, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_server_keeps_check_and_rebuild_out() {
    let data = Data::new();
    data.furnish().await;
    let _running = data.open().await;
    let checked = check(data.path(), &|_| ()).await;
    assert!(matches!(checked, Err(CheckError::Running(_))), "{checked:?}");
    let rebuilt = rebuild(data.path(), time("2026-11-21T12:00:00Z"), &|_| ()).await;
    assert!(matches!(rebuilt, Err(CheckError::Running(_))), "{rebuilt:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_store_is_rebuilt_from_beside_the_blobs() {
    let data = Data::new();
    data.furnish().await;
    std::fs::remove_dir_all(store_directory(data.path())).unwrap();
    let rebuilt = data.rebuild().await;
    assert_eq!((rebuilt.kept, rebuilt.recovered, rebuilt.old), (0, 3, None));
    assert_eq!(data.check().await.findings, vec![]);

    let open = data.open().await;
    let key = ArtifactRecord::key("npm", "b", "b.tgz");
    let found = read(&open.store, &key).await.unwrap().unwrap();
    assert_eq!(found, artifact(digest_of(b"tarball"), 7));
    let key = DocumentRecord::key("npm", "a", "full");
    assert!(read(&open.store, &key).await.unwrap().is_some());
}

/// Its record has no blob, so nothing lies beside one for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_of_an_own_package_is_kept_again() {
    let data = Data::new();
    let open = data.open().await;
    let date = "2026-11-01T00:00:00Z";
    let own = |blob, size| DocumentRecord {
        own: true,
        folded: Some("leftpad".to_owned()),
        ..document(blob, size, date)
    };
    open.keep(&DocumentRecord::key("npm", "left-pad", "newest"), b"{}", own).await;
    open.keep(&DocumentRecord::key("npm", "foreign", "newest"), b"[]", |blob, size| {
        document(blob, size, date)
    })
    .await;
    open.store.close().await;
    std::fs::remove_dir_all(store_directory(data.path())).unwrap();
    assert_eq!(data.rebuild().await.recovered, 3);
    assert_eq!(data.rebuild().await.recovered, 0, "it is there now");
    let open = data.open().await;
    let found = read(&open.store, &OwnRecord::key("npm", "leftpad")).await.unwrap();
    assert_eq!(found, Some(OwnRecord { package: "left-pad".to_owned(), since: time(date) }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_store_is_put_aside_and_rebuilt() {
    let data = Data::new();
    data.furnish().await;
    std::fs::write(store_directory(data.path()).join("conf"), "\0\0garbage").unwrap();
    assert!(matches!(check(data.path(), &|_| ()).await, Err(CheckError::Store(_))));
    let rebuilt = data.rebuild().await;
    assert_eq!((rebuilt.kept, rebuilt.recovered), (0, 3));
    assert_eq!(rebuilt.unreadable.len(), 1);
    let old = rebuilt.old.unwrap();
    assert_eq!(old, data.path().join("metadata.old-2026-11-21T12-00-00Z"));
    assert_eq!(std::fs::read_to_string(old.join("conf")).unwrap(), "\0\0garbage");
    assert!(old.join("db").exists(), "nothing of the old store is deleted");
    assert_eq!(data.check().await.findings, vec![]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readable_store_keeps_its_rules_and_newer_words() {
    let data = Data::new();
    data.furnish().await;
    let open = data.open().await;
    let key = DocumentRecord::key("npm", "a", "full");
    let mut newer = read(&open.store, &key).await.unwrap().unwrap();
    newer.checked = time("2026-11-20T00:00:00Z");
    open.commit(&key, &newer).await;
    let lost = ArtifactRecord::key("npm", "a", "a.tgz");
    open.store.commit(Batch::default().remove_record(&lost).put("rule/bad", "?")).await.unwrap();
    let place = RecordedPlace { hour: 7, writer: "w".to_owned(), n: 1 };
    let (recorded, use_of) = (
        RecordedRecord::key(&place),
        RecordedRecord { rows: 1, requests: 2, packed: String::new() },
    );
    open.commit(&recorded, &use_of).await;
    open.store.close().await;

    let rebuilt = data.rebuild().await;
    assert_eq!((rebuilt.kept, rebuilt.recovered, rebuilt.dropped), (4, 1, 1));
    assert!(rebuilt.unreadable[0].contains("rule/bad"), "{rebuilt:?}");
    let open = data.open().await;
    assert_eq!(read(&open.store, &key).await.unwrap(), Some(newer));
    assert!(read(&open.store, &lost).await.unwrap().is_some());
    assert_eq!(read(&open.store, &RuleRecord::key("r")).await.unwrap(), Some(rule()));
    assert_eq!(read(&open.store, &recorded).await.unwrap(), Some(use_of));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_of_two_side_files_counts() {
    let data = Data::new();
    let open = data.open().await;
    let key = DocumentRecord::key("npm", "a", "full");
    let dates = ["2026-11-02T00:00:00Z", "2026-11-09T00:00:00Z", "2026-11-05T00:00:00Z"];
    for (bytes, date) in [&b"second"[..], b"newest", b"third"].into_iter().zip(dates) {
        open.keep(&key, bytes, |blob, size| document(blob, size, date)).await;
    }
    open.store.close().await;
    std::fs::remove_dir_all(store_directory(data.path())).unwrap();
    data.rebuild().await;
    let open = data.open().await;
    let found = read(&open.store, &key).await.unwrap().unwrap();
    assert_eq!(found, document(digest_of(b"newest"), 6, dates[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_of_a_damaged_blob_is_not_rebuilt() {
    let data = Data::new();
    data.furnish().await;
    std::fs::write(data.blob_path(&digest_of(b"tarball")), "tarbalL").unwrap();
    let rebuilt = data.rebuild().await;
    assert_eq!((rebuilt.kept, rebuilt.recovered, rebuilt.dropped), (2, 0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_read_is_dropped_and_the_rest_is_rebuilt() {
    type Damage = fn(&Data, &Digest);
    // A directory in the place of a file can not be read by anybody, root included.
    let rows: [(&str, Damage, (u64, u64, u64)); 2] = [
        (
            "blob",
            |data, digest| {
                std::fs::remove_file(data.blob_path(digest)).unwrap();
                std::fs::create_dir(data.blob_path(digest)).unwrap();
            },
            // Two records of the blob, and the blob.
            (2, 0, 3),
        ),
        (
            "side file",
            |data, digest| {
                let path = data.blob_path(digest);
                std::fs::create_dir(path.with_extension("0.side")).unwrap();
            },
            (4, 0, 1),
        ),
    ];
    for (name, damage, expected) in rows {
        let data = Data::new();
        data.furnish().await;
        damage(&data, &digest_of(b"tarball"));
        let rebuilt = data.rebuild().await;
        assert_eq!((rebuilt.kept, rebuilt.recovered, rebuilt.dropped), expected, "{name}");
        assert_eq!(rebuilt.unreadable_blobs.len(), 1, "{name}: {rebuilt:?}");
        assert!(rebuilt.unreadable_blobs[0].contains(&digest_of(b"tarball").hex()), "{rebuilt:?}");
        assert!(!data.check().await.findings.is_empty(), "{name}: it is told again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_of_advisories_is_held_against_the_records_and_goes_with_a_rebuild() {
    let data = Data::new();
    let open = data.open().await;
    let state = AdvisoriesRecord { revision: "r".to_owned(), ..AdvisoriesRecord::default() };
    open.commit(&AdvisoriesRecord::key(), &state).await;
    open.store.close().await;
    assert_eq!(kinds(&data.check().await), [""; 0], "the next start makes it");
    let index = policies::advisories::Builder::default().finish("r", &[]);
    advisories::kept::write(data.path(), &index).unwrap();
    assert_eq!(kinds(&data.check().await), [""; 0]);
    let path = advisories::kept::path_in(data.path());
    std::fs::write(&path, "garth advisories 1\nx").unwrap();
    assert_eq!(kinds(&data.check().await), ["damaged-index"]);
    data.rebuild().await;
    assert!(!path.exists(), "a store with less in it does not go by it");
    assert_eq!(kinds(&data.check().await), [""; 0]);
}
