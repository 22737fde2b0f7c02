//! A disk that is really full: nothing is lost, reads go on, and it works again when there is room.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use policies::package::Digest;
use server::blobs::disk::{DiskBlobs, DiskOptions};
use server::blobs::{BlobError, Blobs, BlobsOptions};
use server::metadata::sled::{Sled, SledOptions};
use server::metadata::{Batch, Metadata as _, MetadataError};
use support::mount::{Mounted, make_ext4};

const MIB: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_loses_nothing_and_is_left_again() {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("disk.img");
    make_ext4(&image, 128 * MIB);
    let disk = Mounted::ext4(&image, &scratch.path().join("disk"));
    let data = disk.path.join("data");

    let fatal = Arc::new(Mutex::new(Vec::new()));
    let causes = Arc::clone(&fatal);
    let options = SledOptions {
        reserve_bytes: 16 * MIB,
        on_fatal: Arc::new(move |cause| causes.lock().push(cause.to_owned())),
        ..SledOptions::default()
    };
    let store = Sled::open(&Sled::directory_in(&data), options).unwrap();
    let blobs = open_blobs(&data, 32 * MIB);
    let put = |n: u64| Batch::default().put(format!("k/{n}"), vec![1; 1000]);

    // Blobs stop first, so that they can not stop the commits.
    let mut kept = Vec::new();
    let full = loop {
        match put_blob(&blobs, kept.len() as u64).await {
            Ok(digest) => kept.push(digest),
            Err(error) => break error,
        }
        assert!(kept.len() < 200, "the disk never fills");
    };
    assert!(matches!(full, BlobError::Full(_)), "{full}");
    store.commit(put(0)).await.unwrap();

    // Somebody else takes the rest, down to the last block.
    let ballast = disk.path.join("ballast");
    fill(&ballast);
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    let refused = store.commit(put(1)).await;
    assert!(matches!(refused, Err(MetadataError::Full(_))), "{refused:?}");
    assert_eq!(store.get(b"k/0").await.unwrap().unwrap(), vec![1; 1000]);
    assert_eq!(store.get(b"k/1").await.unwrap(), None);
    for (n, digest) in kept.iter().enumerate() {
        let found = blobs.get(digest).await.unwrap().unwrap();
        assert_eq!(found.read_all(2 * MIB).await.unwrap(), bytes_of(n as u64));
    }

    // Without a reserve the disk itself says no, in the middle of a write.
    drop(blobs);
    let blobs = open_blobs(&data, 0);
    let failed = put_blob(&blobs, 1000).await;
    assert!(matches!(failed, Err(BlobError::Full(_))), "{failed:?}");
    let listed = blobs.list(None, 1000).await.unwrap();
    assert_eq!(listed.len(), kept.len(), "nothing half written is visible");

    std::fs::remove_file(&ballast).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    store.commit(put(1)).await.unwrap();
    put_blob(&blobs, 1000).await.unwrap();
    assert_eq!(*fatal.lock(), Vec::<String>::new());
    store.close().await;
}

fn open_blobs(data: &std::path::Path, reserve_bytes: u64) -> Blobs {
    let engine = Arc::new(DiskBlobs::open(data, DiskOptions::default()).unwrap());
    let alarm = Arc::new(|digest: &Digest, cause: &str| panic!("{digest} is damaged: {cause}"));
    let options = BlobsOptions { reserve_bytes, ..BlobsOptions::default() };
    Blobs::open(engine, DiskBlobs::stage_dir(data), alarm, options).unwrap()
}

fn bytes_of(n: u64) -> Vec<u8> {
    (0..MIB / 8).flat_map(|i| (i ^ (n << 32)).to_le_bytes()).collect()
}

async fn put_blob(blobs: &Blobs, n: u64) -> Result<Digest, BlobError> {
    let mut stage = blobs.stage(&[]).await?;
    stage.write(Bytes::from(bytes_of(n))).await?;
    let digest = stage.finish().await?.sha256;
    blobs.put(stage, &digest).await?;
    Ok(digest)
}

fn fill(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4096] {
        while file.write_all(&vec![0; size]).is_ok() {}
        // Whether the blocks are there shows only when they are asked for.
        let _full = file.sync_all();
    }
}
