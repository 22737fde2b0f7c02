//! An artifact that is larger than any memory should be.

use std::time::Duration;

use futures_util::StreamExt as _;
use support::client::Client;
use support::upstream::Generated;
use tokio::time::Instant;

use super::{Garden, tarball_path};

const LENGTH: u64 = 2 << 30;
/// Of resident memory, above an idle server's, at the worst moment.
const GROWTH: u64 = 64 << 20;

/// Takes up to `most` bytes, compares each, and gives how many there were.
async fn take(client: Client, most: u64) -> u64 {
    let expected = Generated::new(LENGTH, 42);
    let response = client.request(&tarball_path("large", "1.0.0")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.content_length(), Some(LENGTH));
    let mut taken = 0;
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.expect("the transfer goes on");
        let mut seen = 0;
        while seen < piece.len() {
            let same = expected.piece(taken, piece.len() - seen);
            assert!(piece[seen..seen + same.len()] == same[..], "other bytes at {taken}");
            seen += same.len();
            taken += same.len() as u64;
        }
        if taken >= most {
            break;
        }
    }
    taken
}

/// Bytes of a line of `/proc/{pid}/status`.
fn memory(pid: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    let kilobytes = value.trim_start_matches(':').trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_for_2_gib_cold_and_warm_and_the_first_to_leave_harms_nobody() {
    let garden = Garden::start("", "").await;
    let start = Instant::now();
    garden.up.npm("large").version("1.0.0", |version| version.generated(LENGTH)).publish();
    assert!(garden.client.get("/npm/large").await.is_whole());
    let published = start.elapsed();
    let pid = garden.server.pid();
    let idle = memory(pid, "VmRSS");

    let start = Instant::now();
    let leaver = tokio::spawn(take(garden.client.clone(), 8 << 20));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stayers = [(); 2].map(|()| tokio::spawn(take(garden.client.clone(), u64::MAX)));
    assert!(leaver.await.unwrap() < LENGTH, "the first one left");
    for stayer in stayers {
        assert_eq!(stayer.await.unwrap(), LENGTH);
    }
    let cold = start.elapsed();
    assert_eq!(garden.up.requests("/large/-/large-1.0.0.tgz"), 1);
    let after_cold = memory(pid, "VmHWM");

    let start = Instant::now();
    let readers = [(); 2].map(|()| tokio::spawn(take(garden.client.clone(), u64::MAX)));
    for reader in readers {
        assert_eq!(reader.await.unwrap(), LENGTH);
    }
    let warm = start.elapsed();
    assert_eq!(garden.up.requests("/large/-/large-1.0.0.tgz"), 1, "it was kept");
    let most = memory(pid, "VmHWM");
    println!(
        "published in {published:.1?}, cold {cold:.1?}, warm {warm:.1?}; idle {} MiB, at most {} cold, {} warm",
        idle >> 20,
        after_cold >> 20,
        most >> 20
    );
    assert!(most < idle + GROWTH, "{} MiB over idle", (most - idle) >> 20);
}
