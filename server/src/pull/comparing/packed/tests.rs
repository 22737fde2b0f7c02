#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use policies::package::Digest;

use super::*;
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::{Blobs, BlobsOptions};

fn open(home: &std::path::Path) -> Blobs {
    let engine = Arc::new(DiskBlobs::open(home, DiskOptions::default()).unwrap());
    let alarm = Arc::new(|_: &Digest, _: &str| {});
    Blobs::open(engine, home.join("stage"), alarm, BlobsOptions::default()).unwrap()
}

/// So large that it is not checked before it is read.
fn bytes() -> Vec<u8> {
    (0..700_000_u32).flat_map(u32::to_le_bytes).collect()
}

async fn put(blobs: &Blobs) -> Digest {
    let mut stage = blobs.stage(&[]).await.unwrap();
    stage.write(Bytes::from(bytes())).await.unwrap();
    let digest = stage.finish().await.unwrap().sha256;
    blobs.put(stage, &digest).await.unwrap();
    digest
}

/// What is read of it by somebody who wants no more than `most` bytes, and how it ends.
async fn read(blob: BlobReader, most: u64, stopping: bool) -> (usize, Result<bool, BlobError>) {
    let reading = move || {
        let stopping = Arc::new(AtomicBool::new(stopping));
        let mut packed = Packed::new(&blob, Handle::current(), stopping);
        let mut read = Vec::new();
        let _ = Read::by_ref(&mut packed).take(most).read_to_end(&mut read);
        (read.len(), packed.finish())
    };
    tokio::task::spawn_blocking(reading).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_blob_is_told_from_an_odd_archive() {
    let home = tempfile::tempdir().unwrap();
    let digest = put(&open(home.path())).await;
    let blob = open(home.path()).get(&digest).await.unwrap().unwrap();
    let (length, end) = read(blob.clone(), u64::MAX, false).await;
    assert_eq!(length, bytes().len());
    assert!(end.unwrap());
    let (length, end) = read(blob, u64::MAX, true).await;
    assert_eq!(length, 0);
    assert!(!end.unwrap(), "stopped");

    let hex = digest.hex();
    let path = home.path().join("blobs/sha256").join(&hex[..2]).join(&hex[2..]);
    let mut damaged = bytes();
    damaged[0] ^= 1;
    std::fs::write(path, damaged).unwrap();
    let blob = open(home.path()).get(&digest).await.unwrap().unwrap();
    // Whoever opens it stops at the first odd byte, and would call the archive unreadable.
    let (_, end) = read(blob, 10, false).await;
    assert!(matches!(end, Err(BlobError::Damaged { .. })), "{end:?}");
}
