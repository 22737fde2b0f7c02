//! Bytes that decay on the disk.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use policies::package::{Algorithm, Digest};
use sha2::Digest as _;
use support::client::Client;
use support::server::Setup;
use support::upstream::{Generated, ScriptedUpstream};

use super::super::pull::{ALLOW_ALL, eventually};

const LARGE: u64 = 24 << 20;
const DAMAGED: &str = "garth_alarms_total{kind=\"blob-damaged\"}";

/// Where the blob of these bytes lies.
fn blob_of(setup: &Setup, bytes: &[u8]) -> PathBuf {
    let digest = Digest::new(Algorithm::Sha256, &sha2::Sha256::digest(bytes)).unwrap();
    let hex = digest.hex();
    setup.data().join("blobs/sha256").join(&hex[..2]).join(&hex[2..])
}

fn flip(path: &PathBuf, offset: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

async fn garden() -> (ScriptedUpstream, Setup) {
    let up = ScriptedUpstream::start().await;
    up.npm("small").plain_version("1.0.0").publish();
    up.npm("other").plain_version("1.0.0").publish();
    up.npm("large").version("1.0.0", |v| v.generated(LARGE)).publish();
    let setup = Setup::npm(up.url().as_str());
    setup.write_policy("all", ALLOW_ALL);
    let server = setup.start();
    let client = Client::of(&server);
    for name in ["small", "other", "large"] {
        assert!(client.get(&format!("/npm/{name}/-/{name}-1.0.0.tgz")).await.is_whole());
    }
    up.forget_requests();
    (up, server.stop().0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_a_blob_that_nobody_reads_is_found_and_told() {
    let (up, setup) = garden().await;
    let bytes = up.tarball("small", "1.0.0").bytes();
    let blob = blob_of(&setup, &bytes);
    flip(&blob, bytes.len() as u64 / 2);
    let server = setup.start();
    let client = Client::of(&server);
    eventually("the alarm", Duration::from_secs(30), async || client.metric(DAMAGED).await == 1)
        .await;
    assert!(!blob.exists());
    let quarantine = server.setup().data().join("quarantine");
    assert_eq!(std::fs::read_dir(quarantine).unwrap().count(), 1, "kept for a person to look at");
    assert!(server.log().contains("blob-damaged"), "{}", server.log());
    assert_eq!(up.total_requests(), 0, "nobody asked for it");
    let answer = client.get("/npm/small/-/small-1.0.0.tgz").await;
    assert!(answer.is_whole() && *answer.bytes() == bytes, "fetched again");
    eventually("it is kept again", Duration::from_secs(5), async || blob.exists()).await;
    assert_eq!(client.metric(DAMAGED).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_blob_never_arrives_whole_and_is_fetched_again() {
    type Damage = fn(&PathBuf);
    let rows: [(&str, Damage); 4] = [
        ("its last bit flipped", |blob| flip(blob, LARGE - 1)),
        ("its first bit flipped", |blob| flip(blob, 0)),
        ("truncated", |blob| {
            std::fs::File::options().write(true).open(blob).unwrap().set_len(LARGE / 2).unwrap();
        }),
        ("empty", |blob| {
            std::fs::File::create(blob).unwrap();
        }),
    ];
    let (up, mut setup) = garden().await;
    let bytes = Generated::new(LARGE, 42).whole();
    for (name, damage) in rows {
        let blob = blob_of(&setup, &bytes);
        damage(&blob);
        let server = setup.start();
        let client = Client::of(&server);
        let path = "/npm/large/-/large-1.0.0.tgz";
        let ranged = client.request(path).header("Range", "bytes=5-9").send().await.unwrap();
        let partial = ranged.status() == 206;
        if let Ok(part) = ranged.bytes().await
            && partial
        {
            assert_eq!(part, bytes[5..10], "{name}: a range");
        }
        // Broken off where the damage shows late, fetched again where it shows at once.
        for attempt in 0..2 {
            let answer = client.try_get(path).await;
            let whole = answer.is_ok_and(|answer| {
                assert!(!answer.is_whole() || *answer.bytes() == bytes, "{name}: damaged bytes");
                answer.is_whole()
            });
            assert!(whole || attempt == 0, "{name}: it stays broken");
        }
        assert!(client.metric(DAMAGED).await >= 1, "{name}");
        setup = server.stop().0;
    }
    up.go_offline();
    damage_offline(setup, &bytes).await;
}

/// What can not be fetched again is an error, and never the damaged bytes.
async fn damage_offline(setup: Setup, bytes: &[u8]) {
    flip(&blob_of(&setup, bytes), 7);
    let server = setup.start();
    let client = Client::of(&server);
    let path = "/npm/large/-/large-1.0.0.tgz";
    let first = client.try_get(path).await;
    assert!(first.is_err() || first.is_ok_and(|answer| !answer.is_whole()));
    assert_eq!(client.get(path).await.status, 502);
    assert!(client.get("/npm/other/-/other-1.0.0.tgz").await.is_whole());
}
