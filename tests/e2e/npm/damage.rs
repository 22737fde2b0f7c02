//! Bytes on disk that are no longer what they were.

use std::fs;
use std::path::{Path, PathBuf};

use policies::package::Digest;
use support::http::Asked;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

use super::views::{large_packument, unpacked};
use super::{registry, setup, upstream};

type Damage = fn(&Path);

/// What a bad disk does to a file.
const DAMAGES: &[(&str, Damage)] = &[
    ("a flipped bit at the start", |path| flip(path, |_| 0)),
    ("a flipped bit in the middle", |path| flip(path, |length| length / 2)),
    ("a flipped bit at the end", |path| flip(path, |length| length - 1)),
    ("cut in half", |path| truncate(path, |length| length / 2)),
    ("one byte short", |path| truncate(path, |length| length - 1)),
    ("empty", |path| truncate(path, |_| 0)),
    ("a byte too many", |path| truncate(path, |length| length + 1)),
    ("gone", |path| fs::remove_file(path).unwrap()),
];

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    overwrite(path, &bytes);
}

fn truncate(path: &Path, length: impl Fn(u64) -> u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(length(file.metadata().unwrap().len())).unwrap();
}

/// In place: the file stays the same one, also for who has it open.
fn overwrite(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// The file of these bytes below `data/blobs`.
fn blob_of(setup: &Setup, bytes: &[u8]) -> PathBuf {
    let hex = Digest::sha256_of(bytes).hex();
    let mut directories = vec![setup.data().join("blobs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.file_name().is_some_and(|name| hex.ends_with(&*name.to_string_lossy())) {
                return path;
            }
        }
    }
    panic!("the blob {hex} is not held");
}

/// A small tarball, which garth keeps in memory, and one that it reads from disk each time.
async fn small_and_large() -> ScriptedUpstream {
    let up = upstream().await;
    up.npm("large").version("1.0.0", |version| version.generated(1_500_000)).publish();
    up
}

const SMALL: (&str, &str) = ("left-pad", "1.3.0");
const LARGE: (&str, &str) = ("large", "1.0.0");

fn path_of((name, version): (&str, &str)) -> String {
    format!("/npm/{name}/-/{name}-{version}.tgz")
}

fn bytes_of(up: &ScriptedUpstream, (name, version): (&str, &str)) -> Vec<u8> {
    let body = up.tarball(name, version).body;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < body.length() {
        bytes.extend_from_slice(&body.piece(bytes.len() as u64, 1 << 20));
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_damaged_while_garth_is_stopped_is_fetched_again() {
    let up = small_and_large().await;
    for subject in [SMALL, LARGE] {
        let (path, bytes) = (path_of(subject), bytes_of(&up, subject));
        let garth = setup(&up).start();
        garth.run(&["allow", "npm:*"]);
        garth.hold(&path).await;
        let mut setup = garth.stop().0;
        for (name, damage) in DAMAGES {
            damage(&blob_of(&setup, &bytes));
            let garth = setup.start();
            check_recovery(&garth, 0, name, &path, &bytes).await;
            garth.hold(&path).await;
            setup = garth.stop().0;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_damaged_while_garth_runs_is_fetched_again() {
    let up = small_and_large().await;
    for subject in [SMALL, LARGE] {
        let (path, bytes) = (path_of(subject), bytes_of(&up, subject));
        let garth = setup(&up).start();
        garth.run(&["allow", "npm:*"]);
        for (name, damage) in DAMAGES {
            garth.hold(&path).await;
            let before = garth.alarms("blob-damaged").await;
            damage(&blob_of(garth.setup(), &bytes));
            if subject == SMALL {
                // From memory, which nothing has damaged. On disk the scrub finds it.
                assert_eq!(garth.get(&path).await.whole().as_deref(), Some(&*bytes), "{name}");
                break;
            }
            check_recovery(&garth, before, name, &path, &bytes).await;
        }
    }
}

/// Never a whole answer of wrong bytes; soon the right ones; and somebody is told, which was `before`
/// so many times.
async fn check_recovery(garth: &TestServer, before: u64, name: &str, path: &str, bytes: &[u8]) {
    let range = Asked::get(path).header("Range", "bytes=10-19");
    let mut recovered = false;
    for attempt in 0..2 {
        let answer = garth.get(path).await;
        let whole = answer.whole().filter(|_| answer.status == 200);
        if let Some(whole) = &whole {
            assert!(whole == bytes, "{name}, attempt {attempt}: a whole answer of wrong bytes");
            recovered = true;
        }
        let part = garth.ask(&range).await;
        if part.status == 206
            && let Some(part) = part.whole()
        {
            assert!(part == bytes[10..20], "{name}, attempt {attempt}: a wrong part");
        }
    }
    assert!(recovered, "{name}: it is not fetched again\n{}", garth.story());
    if name != "gone" {
        let alarms = garth.alarms("blob-damaged").await;
        assert!(alarms > before, "{name}: nobody is told\n{}", garth.story());
        assert!(garth.log().contains("a blob is damaged"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_damaged_blob_is_no_way_around_the_check() {
    let up = small_and_large().await;
    let bytes = bytes_of(&up, LARGE);
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    garth.hold(&path_of(LARGE)).await;
    let setup = garth.stop().0;
    flip(&blob_of(&setup, &bytes), |_| 1000);
    up.go_offline();
    let garth = setup.start();
    let range = Asked::get(&path_of(LARGE)).header("Range", "bytes=990-1009");
    let answer = garth.ask(&range).await;
    let came_whole = answer.status == 206 && answer.whole().is_some();
    assert!(!came_whole, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_blob_is_not_served_when_it_can_not_be_fetched_again() {
    let up = small_and_large().await;
    for subject in [SMALL, LARGE] {
        let (path, bytes) = (path_of(subject), bytes_of(&up, subject));
        for (name, damage) in DAMAGES {
            up.go_online();
            let garth = setup(&up).start();
            garth.run(&["allow", "npm:*"]);
            garth.hold(&path).await;
            let setup = garth.stop().0;
            damage(&blob_of(&setup, &bytes));
            up.go_offline();
            let garth = setup.start();
            for _ in 0..2 {
                let answer = garth.get(&path).await;
                let came_whole = answer.status == 200 && answer.whole().is_some();
                assert!(!came_whole, "{name}: {}", answer.status);
            }
            assert_eq!(garth.get(&path).await.status, 502, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_document_is_fetched_again() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    let expected = garth.get("/npm/left-pad").await.json();
    let mut setup = garth.stop().0;
    for (name, damage) in DAMAGES {
        damage(&largest_blob(&setup));
        let garth = setup.start();
        let packument = garth.get("/npm/left-pad").await;
        assert_eq!(packument.status, 200, "{name}: {}", packument.text());
        let served = packument.json();
        assert_eq!(served["versions"].as_object().unwrap().len(), 3, "{name}");
        assert_eq!(served["dist-tags"], expected["dist-tags"], "{name}");
        setup = garth.stop().0;
    }
    damage_and_go_offline(&up, setup).await;
}

/// Of a document whose text has no room in memory, and what it means has.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_view_takes_of_a_damaged_document_is_fetched_again() {
    let up = ScriptedUpstream::start().await;
    up.place("/huge", "application/json", large_packument(40, 20_000));
    let garth = registry(&up, "[limits]\nmemory_cache = \"1MiB\"").start();
    garth.run(&["allow", "npm:huge"]);
    let packed = Asked::get("/npm/huge").header("Accept-Encoding", "gzip");
    let versions = async |asked: &Asked| {
        let answer = garth.ask(asked).await;
        assert_eq!(answer.status, 200);
        let packument: serde_json::Value = serde_json::from_slice(&unpacked(&answer)).unwrap();
        packument["versions"].as_object().unwrap().len()
    };
    let deny = |n: usize| garth.run(&["deny", &format!("npm:huge@1.{n}.0")]);
    assert_eq!(versions(&packed).await, 40);
    deny(0);
    assert_eq!(versions(&packed).await, 39);
    assert_eq!(versions(&Asked::get("/npm/huge")).await, 39);
    assert_eq!(up.requests("/huge"), 1, "the rest of the text is read from the store");
    for (n, (name, damage)) in DAMAGES.iter().enumerate() {
        damage(&largest_blob(garth.setup()));
        deny(n + 1);
        assert_eq!(versions(&packed).await, 38 - n, "{name}");
        assert_eq!(up.requests("/huge"), 2 + n, "{name}");
    }
}

async fn damage_and_go_offline(up: &ScriptedUpstream, setup: Setup) {
    flip(&largest_blob(&setup), |length| length / 2);
    up.go_offline();
    let garth = setup.start();
    assert_eq!(garth.get("/npm/left-pad").await.status, 502);
}

/// Where one document is held, it is larger than its side file.
fn largest_blob(setup: &Setup) -> PathBuf {
    let mut largest = None;
    let mut directories = vec![setup.data().join("blobs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let length = fs::metadata(&path).unwrap().len();
            if path.is_dir() {
                directories.push(path);
            } else if largest.as_ref().is_none_or(|(longest, _)| length > *longest) {
                largest = Some((length, path));
            }
        }
    }
    largest.expect("a document is held").1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_fetched_again_or_fails_closed_and_is_an_alarm() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    garth.hold(&path_of(SMALL)).await;
    let setup = garth.stop().0;
    // What the upstream can say again is asked again. What only we know, the first promise of a
    // version, is not taken for unknown.
    let rows = [
        (b"document/npm/left-pad/newest".as_slice(), 200),
        (b"artifact/npm/left-pad/left-pad-1.3.0.tgz", 200),
        (b"versions/npm/left-pad/000000", 503),
    ];
    let mut setup = setup;
    for (key, status) in rows {
        let before = super::replace_record(&setup, key, b"\x01{").await;
        let garth = setup.start();
        let answer = garth.get(&path_of(SMALL)).await;
        assert_eq!(
            answer.status,
            status,
            "{}: {}\n{}",
            String::from_utf8_lossy(key),
            answer.text(),
            garth.story()
        );
        assert_eq!(garth.get("/npm/@s/n/-/n-1.0.0.tgz").await.status, 200);
        assert!(garth.alarms("record-damaged").await >= 1);
        setup = garth.stop().0;
        super::replace_record(&setup, key, &before).await;
    }
    assert_eq!(setup.start().get(&path_of(SMALL)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_is_an_alarm_and_what_is_held_is_served() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    garth.hold(&path_of(SMALL)).await;
    let stage = garth.setup().data().join("stage");
    fs::remove_dir_all(&stage).unwrap();
    fs::write(&stage, "no directory").unwrap();
    let ready = Asked::get("/readyz");
    let answer = garth.wait_for(&ready, |answer| answer.text().contains("degraded")).await;
    assert!(
        answer.text().contains("blobs: degraded: nothing new can be kept"),
        "{}",
        answer.text()
    );
    assert_eq!(garth.alarms("store-failing").await, 1);
    assert_eq!(garth.get(&path_of(SMALL)).await.status, 200);
    let cold = garth.get("/npm/@s/n/-/n-1.0.0.tgz").await;
    assert_eq!(cold.status, 503, "{}", cold.text());
}
