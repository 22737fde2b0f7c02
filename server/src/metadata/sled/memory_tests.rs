//! What stays in memory of a store that is read. It is read in a process of its own: whatever else tests do
//! would count as well.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

use bytes::Bytes;

use super::{Sled, SledOptions};
use crate::metadata::{Batch, Metadata};

const READER: &str = "GARTH_TEST_READER";
const NAME: &str = "metadata::sled::memory_tests::what_is_read_once_does_not_stay_in_memory";
const VALUES: usize = 60_000;
const VALUE: usize = 3000;
const MEGABYTE: usize = 1 << 20;

fn open(directory: &Path) -> Sled {
    let options = SledOptions { cache_bytes: 4 << 20, ..SledOptions::default() };
    Sled::open(directory, options).unwrap()
}

/// Of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

async fn write(directory: &Path) {
    let store = open(directory);
    for first in (0..VALUES).step_by(100) {
        let batch = (first..first + 100).fold(Batch::default(), |batch, n| {
            batch.put(format!("{n:08}"), vec![u8::try_from(n % 251).unwrap(); VALUE])
        });
        store.commit(batch).await.unwrap();
    }
    store.close().await;
}

/// Says by how many bytes this process grew.
async fn read(directory: &Path) {
    let store = open(directory);
    let (before, mut last, mut count): (_, Option<Bytes>, _) = (resident(), None, 0);
    loop {
        let page = store.scan(b"", last.as_deref(), 256).await.unwrap();
        let Some(end) = page.last() else { break };
        (last, count) = (Some(end.key.clone()), count + page.len());
    }
    assert!(count >= VALUES, "{count}");
    println!("grew by {} bytes", resident().saturating_sub(before));
    store.close().await;
}

#[tokio::test]
async fn what_is_read_once_does_not_stay_in_memory() {
    if let Some(directory) = std::env::var_os(READER) {
        return read(Path::new(&directory)).await;
    }
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("metadata");
    write(&directory).await;
    let mut reader = Command::new(std::env::current_exe().unwrap());
    let reader = reader.args(["--exact", NAME, "--nocapture"]).env(READER, &directory);
    let output = reader.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let grew = printed.split_once("grew by ").and_then(|(_, grew)| grew.split_once(" bytes"));
    let grew = grew.map(|(grew, _)| grew.parse::<usize>().unwrap());
    let grew = grew.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    // All of it is 172 MB.
    assert!(grew < 96 * MEGABYTE, "{} MB", grew / MEGABYTE);
}
