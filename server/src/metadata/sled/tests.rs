#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use crate::disk::faults::Operation;
use crate::metadata::Change;
use crate::metadata::conformance::{Engine, conformance};
use crate::metadata::records::commit_in_parts;

/// An engine whose end a test can see.
struct Watched {
    directory: TempDir,
    fatal: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), fatal: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("metadata")
    }

    fn options(&self) -> SledOptions {
        let fatal = Arc::clone(&self.fatal);
        SledOptions {
            cache_bytes: 8 * 1024 * 1024,
            on_fatal: Arc::new(move |cause| fatal.lock().push(cause.to_owned())),
            ..SledOptions::default()
        }
    }

    fn open(&self) -> Sled {
        Sled::open(&self.path(), self.options()).unwrap()
    }

    fn open_with(&self, faults: Faults) -> Sled {
        Sled::open(&self.path(), SledOptions { faults, ..self.options() }).unwrap()
    }
}

#[async_trait]
impl Engine for Watched {
    async fn open(&self) -> Arc<dyn Metadata> {
        Arc::new(self.open())
    }
}

conformance!(sled, super::Watched::new());

fn put(key: &str, value: impl Into<Bytes>) -> Batch {
    Batch::default().put(key.to_owned(), value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_writers_share_their_fsyncs() {
    let watched = Watched::new();
    let store = watched.open();
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    store.commit(put(&format!("{writer}/{n}"), format!("{n}"))).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let (commits, syncs) = store.commits_and_syncs();
    assert_eq!(commits, 64 * 20);
    assert!(syncs <= commits / 8, "{commits} commits paid {syncs} fsyncs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lone_commits_pay_an_fsync_each() {
    let watched = Watched::new();
    let store = watched.open();
    for n in 0..10 {
        store.commit(put("k", format!("{n}"))).await.unwrap();
    }
    assert_eq!(store.commits_and_syncs(), (10, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_before_its_fsync() {
    let watched = Watched::new();
    let acknowledged = Arc::new(AtomicBool::new(false));
    let early = Arc::new(AtomicBool::new(false));
    let (seen, too_early) = (Arc::clone(&acknowledged), Arc::clone(&early));
    let store = watched.open_with(Faults::hooked(move |operation| {
        if operation == Operation::SyncLog {
            std::thread::sleep(Duration::from_millis(30));
            too_early.fetch_or(seen.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        Ok(())
    }));
    store.commit(put("k", "1")).await.unwrap();
    acknowledged.store(true, Ordering::SeqCst);
    assert!(!early.load(Ordering::SeqCst));
    assert_eq!(store.commits_and_syncs(), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_nth_operation_acknowledges_nothing_and_loses_nothing() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for n in 1.. {
            let watched = Watched::new();
            watched.open().commit(put("live", "old").put("other", "old")).await.unwrap();

            let (faults, seen) = Faults::nth(n, kind);
            let store = watched.open_with(faults);
            let failed = store.commit(put("live", "new").put("more", "new")).await;
            if failed.is_ok() {
                assert!(seen.load(Ordering::SeqCst) < n && n > 4, "only {n} operations are asked");
                break;
            }
            let fatal = !watched.fatal.lock().is_empty();
            match (n, &failed) {
                // No room: the store goes on and takes the next commit.
                (1, Err(MetadataError::Full(_))) if kind == ErrorKind::StorageFull => {
                    assert!(!fatal);
                    store.commit(put("live", "again")).await.unwrap();
                }
                (1, Err(MetadataError::Unavailable(_))) => assert!(!fatal),
                (_, Err(MetadataError::Unavailable(_))) => {
                    assert!(fatal, "the engine failed at {n} and garth would go on");
                    let refused = store.commit(put("live", "again")).await;
                    assert!(matches!(refused, Err(MetadataError::Unavailable(_))), "{refused:?}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(store.get(b"other").await.unwrap().unwrap(), "old", "reads go on");
            drop(store);

            let store = watched.open();
            assert_eq!(store.get(b"other").await.unwrap().unwrap(), "old");
            let live = store.get(b"live").await.unwrap().unwrap();
            let more = store.get(b"more").await.unwrap();
            match &*live {
                b"old" | b"again" => assert_eq!(more, None, "half a batch at {n}"),
                b"new" => assert_eq!(more.unwrap(), "new", "half a batch at {n}"),
                other => panic!("{other:?}"),
            }
            store.commit(put("live", "new")).await.unwrap();
            assert_eq!(store.get(b"live").await.unwrap().unwrap(), "new");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_of_the_engine_ends_the_store() {
    let watched = Watched::new();
    let store = watched.open_with(Faults::hooked(|operation| {
        assert!(operation != Operation::Flush, "the engine panicked");
        Ok(())
    }));
    let failed = store.commit(put("k", "1")).await;
    assert!(matches!(failed, Err(MetadataError::Unavailable(_))), "{failed:?}");
    assert!(watched.fatal.lock()[0].contains("the engine panicked"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_of_a_group_sees_what_the_earlier_ones_left() {
    let watched = Watched::new();
    let applied = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&applied);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let store = watched.open_with(Faults::hooked(move |operation| {
        match operation {
            Operation::Apply => *seen.lock() += 1,
            // Until the other end is dropped, and not at all from then on.
            Operation::SyncLog => drop(released.lock().recv()),
            _ => {}
        }
        Ok(())
    }));
    // All others come while the engine is busy with this one, and are one group.
    let busy = tokio::spawn({
        let store = store.clone();
        async move { store.commit(put("first", "1")).await }
    });
    while *applied.lock() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let value = |text: &'static str| Some(Bytes::from(text));
    let commits = [
        put("a", "1").expect("a", None),
        put("a", "2").put("never", "seen").expect("a", None),
        put("a", "3").expect("a", value("1")).expect("never", None),
        Batch::default().expect("a", value("3")).remove("a"),
        put("b", "1").expect("a", None).expect("first", None),
        put("c", "1").expect("a", None),
    ]
    .map(|batch| store.commit(batch));
    let mut all = futures_util::future::join_all(commits);
    assert!((&mut all).now_or_never().is_none(), "they wait for the first");
    drop(release);
    let ends: Vec<Option<String>> =
        all.await.into_iter().map(|end| end.err().map(|fault| fault.to_string())).collect();
    let conflict = |key: &str| Some(MetadataError::Conflict { key: key.to_owned() }.to_string());
    busy.await.unwrap().unwrap();
    assert_eq!(ends, [None, conflict("a"), None, None, conflict("first"), None]);
    for (key, there) in [("a", false), ("b", false), ("c", true), ("never", false)] {
        assert_eq!(store.get(key.as_bytes()).await.unwrap().is_some(), there, "{key}");
    }
    assert_eq!((*applied.lock(), store.commits_and_syncs()), (2, (5, 2)));
}

/// The engine takes so long for each group.
fn slow(each: Duration) -> Faults {
    Faults::hooked(move |operation| {
        if operation == Operation::SyncLog {
            std::thread::sleep(each);
        }
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_queue_is_not_taken_for_a_stuck_engine() {
    let watched = Watched::new();
    let options = SledOptions {
        stalled: Duration::from_secs(3),
        faults: slow(Duration::from_millis(200)),
        ..watched.options()
    };
    let store = Sled::open(&watched.path(), options).unwrap();
    // Each fills a group of its own, so the last one waits for twenty.
    let commits = (0..20).map(|n| {
        let batch = (0..17).fold(Batch::default(), |batch, part| {
            batch.put(format!("{n}/{part}"), vec![7; MAX_VALUE])
        });
        store.commit(batch)
    });
    let started = std::time::Instant::now();
    for committed in futures_util::future::join_all(commits).await {
        committed.unwrap();
    }
    assert!(started.elapsed() > Duration::from_millis(3500), "the queue was too short to show it");
    assert!(watched.fatal.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_engine_ends_the_store_once() {
    let watched = Watched::new();
    let options = SledOptions {
        stalled: Duration::from_millis(100),
        faults: slow(Duration::from_secs(2)),
        ..watched.options()
    };
    let store = Sled::open(&watched.path(), options).unwrap();
    let commits = (0..5).map(|n| store.commit(put("k", format!("{n}"))));
    for refused in futures_util::future::join_all(commits).await {
        assert!(matches!(refused, Err(MetadataError::Unavailable(_))), "{refused:?}");
    }
    assert_eq!(watched.fatal.lock().len(), 1, "{:?}", watched.fatal.lock());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_refused_when_the_reserve_is_reached() {
    let watched = Watched::new();
    watched.open().commit(put("k", "1")).await.unwrap();
    let options = SledOptions { reserve_bytes: u64::MAX / 2, ..watched.options() };
    let store = Sled::open(&watched.path(), options).unwrap();
    let refused = store.commit(put("k", "2")).await;
    assert!(matches!(refused, Err(MetadataError::Full(_))), "{refused:?}");
    assert_eq!(store.get(b"k").await.unwrap().unwrap(), "1");
    assert!(watched.fatal.lock().is_empty());
}

#[test]
fn held_directory_is_named_with_the_remedy() {
    let watched = Watched::new();
    let _held = watched.open();
    let options = SledOptions { patience: Duration::from_millis(120), ..watched.options() };
    let error = Sled::open(&watched.path(), options).unwrap_err();
    assert!(matches!(error, OpenError::Held { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&*watched.path().to_string_lossy()) && text.contains("--data"), "{text}");
}

#[test]
fn next_process_waits_for_the_last_one_to_let_go() {
    let watched = Watched::new();
    let held = watched.open();
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(held);
    });
    watched.open();
    letting_go.join().unwrap();
}

/// A program that the last owner was starting has the log open, and locked, until it runs.
#[test]
fn remnant_of_the_last_owner_s_lock_is_waited_for() {
    let watched = Watched::new();
    drop(watched.open());
    // What a fork leaves: the last owner's handle, without its lock on the directory.
    let remnant = std::fs::File::open(watched.path().join("db")).unwrap();
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    while rustix::fs::flock(&remnant, exclusive).is_err() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let options = SledOptions { patience: Duration::from_millis(120), ..watched.options() };
    let error = Sled::open(&watched.path(), options).unwrap_err();
    assert!(matches!(error, OpenError::Held { .. }), "{error}");
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(remnant);
    });
    watched.open();
    letting_go.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_store_lets_its_directory_go_while_clones_are_there() {
    let watched = Watched::new();
    let mut closed = Vec::new();
    for n in 0..10 {
        let store = watched.open();
        store.commit(put("k", format!("{n}"))).await.unwrap();
        store.close().await;
        closed.push(store);
    }
}

#[test]
fn foreign_directory_is_left_as_it_is() {
    let watched = Watched::new();
    std::fs::create_dir(watched.path()).unwrap();
    std::fs::write(watched.path().join("thesis.tex"), "years of work").unwrap();
    let error = Sled::open(&watched.path(), watched.options()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_eq!(std::fs::read_dir(watched.path()).unwrap().count(), 1, "nothing was written");
}

#[test]
fn database_of_another_program_is_foreign() {
    let watched = Watched::new();
    let theirs = ::sled::Config::new().path(watched.path()).segment_size(2 * 1024 * 1024);
    let theirs = theirs.open().unwrap();
    theirs.insert("their", "value").unwrap();
    drop(theirs);
    let error = Sled::open(&watched.path(), watched.options()).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_of_another_version_is_refused() {
    let watched = Watched::new();
    let key = crate::metadata::records::FORMAT_KEY;
    watched.open().commit(Batch::default().put(key, "garth 1")).await.unwrap();
    let error = Sled::open(&watched.path(), watched.options()).unwrap_err();
    assert!(matches!(error, OpenError::OtherVersion { .. }), "{error}");
    assert!(error.to_string().contains("garth 1"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_store_names_the_path_and_the_rebuild() {
    type Damage = fn(&mut Vec<u8>);
    let rows: [(&str, &str, Damage); 4] = [
        ("conf", "garbage", |bytes| *bytes = b"\0\0garbage".to_vec()),
        ("db", "zeros", |bytes| bytes.fill(0)),
        ("db", "ones", |bytes| bytes.fill(0xff)),
        ("db", "emptied", Vec::clear),
    ];
    for (file, name, damage) in rows {
        let watched = Watched::new();
        let store = watched.open();
        for n in 0..100 {
            store.commit(put(&format!("k/{n}"), vec![7; 1000])).await.unwrap();
        }
        store.close().await;
        let path = watched.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let error = Sled::open(&watched.path(), watched.options()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{file} {name}: {error}");
        let text = error.to_string();
        assert!(text.contains(&*watched.path().to_string_lossy()), "{text}");
        assert!(text.contains("garth check --rebuild"), "{text}");
    }
}

#[tokio::test]
async fn snapshot_that_a_kill_left_half_written_does_not_close_the_store() {
    let watched = Watched::new();
    let store = watched.open();
    store.commit(put("key", "value")).await.unwrap();
    store.close().await;
    for torn in ["", "half of one"] {
        std::fs::write(watched.path().join("snap.7FFFFFFFFFFFFFFF.generating"), torn).unwrap();
        let store = watched.open();
        assert_eq!(store.get(b"key").await.unwrap().as_deref(), Some(b"value".as_slice()));
        store.close().await;
    }
}

#[test]
fn store_whose_making_was_cut_off_is_made_anew() {
    let watched = Watched::new();
    std::fs::create_dir_all(watched.path().join("blobs")).unwrap();
    for file in ["new", "conf", "db"] {
        std::fs::write(watched.path().join(file), "half").unwrap();
    }
    watched.open();
    assert!(!watched.path().join("new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn largest_values_stay_in_the_log() {
    let watched = Watched::new();
    let store = watched.open();
    for n in 0..200 {
        let key = [vec![b'k'; MAX_KEY - 3], format!("{n:03}").into_bytes()].concat();
        store.commit(Batch::default().put(key, vec![7; MAX_VALUE])).await.unwrap();
    }
    let beside = std::fs::read_dir(watched.path().join("blobs")).unwrap().count();
    assert_eq!(beside, 0, "sled put values where it never syncs them");
}

#[test]
fn end_of_a_prefix_is_the_first_key_behind_it() {
    let rows: [(&[u8], Option<&[u8]>); 6] = [
        (b"", None),
        (b"a", Some(b"b")),
        (b"a\xff", Some(b"b")),
        (b"a\xfe\xff\xff", Some(b"a\xff")),
        (b"\xff", None),
        (b"\xff\xff", None),
    ];
    for (prefix, end) in rows {
        assert_eq!(behind(prefix).as_deref(), end, "{prefix:?}");
    }
}

/// `count` records of nearly a kilobyte.
fn many(count: usize) -> Batch {
    let change =
        |n| Change { key: format!("many/{n:05}").into(), value: Some(format!("{n:0>980}").into()) };
    Batch { changes: (0..count).map(change).collect(), ..Batch::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_batch_holds_is_committed_in_parts() {
    // How many records, and how many commits they come to.
    let rows = [(0, 1), (100, 1), (600, 4), (3000, 13)];
    for (count, commits) in rows {
        let watched = Watched::new();
        let store = watched.open();
        let last = put("last", "1").put("many/00000", "by the last one");
        commit_in_parts(&store, many(count), last).await.unwrap();
        assert_eq!(store.commits_and_syncs().0, commits, "{count}");
        let found = store.scan(b"many/", None, usize::MAX).await.unwrap();
        assert_eq!(found.len(), count.max(1));
        assert_eq!(found[0].value, "by the last one", "{count}");
        assert_eq!(store.get(b"last").await.unwrap().unwrap(), "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_batch_is_not_begun_where_a_part_fails_or_it_is_too_large() {
    let watched = Watched::new();
    let store = watched.open();
    let too_large = put("last", vec![0; MAX_VALUE + 1]);
    let refused = commit_in_parts(&store, many(3000), too_large).await;
    assert!(matches!(refused, Err(MetadataError::TooLarge { .. })), "{refused:?}");
    assert_eq!(store.scan(b"many/", None, 1).await.unwrap(), [], "nothing was written");
    store.close().await;

    // Four operations a commit; the fifth commit fails.
    let (faults, _) = Faults::nth(18, ErrorKind::Other);
    let store = watched.open_with(faults);
    let failed = commit_in_parts(&store, many(3000), put("last", "1")).await;
    assert!(matches!(failed, Err(MetadataError::Unavailable(_))), "{failed:?}");
    drop(store);
    let store = watched.open();
    let found = store.scan(b"many/", None, usize::MAX).await.unwrap().len();
    assert!(found > 500 && found < 3000, "{found}");
    assert_eq!(store.get(b"last").await.unwrap(), None);
    commit_in_parts(&store, many(3000), put("last", "1")).await.unwrap();
    assert_eq!(store.scan(b"many/", None, usize::MAX).await.unwrap().len(), 3000);
}

/// What comes and goes lies in the log between what stays: without [`Store::tidy`] hardly any of it is
/// written again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_makes_room_though_something_between_stays() {
    let watched = Watched::new();
    let options = || SledOptions { tidy_above: 0, ..watched.options() };
    let store = Sled::open(&watched.path(), options()).unwrap();
    let waiting = |n: u64| format!("waiting/{n:08}").into_bytes();
    let mut written = 0;
    for n in 0..400u64 {
        let mut batch = Batch::default();
        for at in n * 100..(n + 1) * 100 {
            batch = batch.put(waiting(at), vec![b'x'; 600]);
            if let Some(gone) = at.checked_sub(100) {
                batch = batch.remove(waiting(gone));
            }
        }
        for at in 0..20 {
            let stays = (n * 20 + at).wrapping_mul(2_654_435_761) % 100_000;
            batch = batch.put(format!("stays/{stays:06}").into_bytes(), vec![b'y'; 60]);
        }
        written += batch.bytes() as u64;
        store.commit(batch).await.unwrap();
    }
    let there = store.size().await.unwrap();
    assert!(there < written / 2, "{there} bytes for {written} that were written");
    let kept = store.scan(b"", None, 20_000).await.unwrap();
    assert_eq!(kept.iter().filter(|entry| entry.key.starts_with(b"waiting/")).count(), 100);
    store.close().await;
    let again = watched.open();
    assert_eq!(again.scan(b"", None, 20_000).await.unwrap(), kept);
    assert!(watched.fatal.lock().is_empty());
}
