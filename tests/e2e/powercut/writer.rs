//! Writes records and blobs as fast as it can, and says each one when it is acknowledged.
//!
//! ```text
//! powercut-writer DATA ROUND
//! record WRITER N          the batch N of that writer is durable
//! large WRITER N           so is the batch N that is as large as one may be
//! blob SEED LENGTH         the blob of those bytes is durable, with its side file
//! ```
//!
//! It ends when it is killed, or when the engine gives up.
#![allow(clippy::unwrap_used, reason = "a test's program: it dies when it cannot go on")]

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use server::blobs::disk::{DiskBlobs, DiskOptions};
use server::blobs::{Blobs, BlobsOptions, Side};
use server::metadata::sled::{Sled, SledOptions};
use server::metadata::{Batch, MAX_BATCH_BYTES, Metadata as _};
use support::powercut;

const RECORD_WRITERS: u64 = 12;
const LARGE_WRITERS: u64 = 2;
const BLOB_WRITERS: u64 = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let data = PathBuf::from(arguments.next().unwrap());
    let round: u64 = arguments.next().unwrap().parse().unwrap();

    let options = SledOptions { reserve_bytes: 8 << 20, tidy_above: 0, ..SledOptions::default() };
    let store = Sled::open(&data.join("metadata"), options).unwrap();
    let engine = Arc::new(DiskBlobs::open(&data, DiskOptions::default()).unwrap());
    let options = BlobsOptions { reserve_bytes: 16 << 20, ..BlobsOptions::default() };
    let alarm = Arc::new(|digest: &policies::package::Digest, cause: &str| {
        panic!("{digest} is damaged: {cause}")
    });
    let blobs = Blobs::open(engine, DiskBlobs::stage_dir(&data), alarm, options).unwrap();

    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..RECORD_WRITERS {
        writers.spawn(write_records(store.clone(), round, writer));
    }
    for writer in 0..LARGE_WRITERS {
        writers.spawn(write_large(store.clone(), round, writer));
    }
    for writer in 0..BLOB_WRITERS {
        writers.spawn(write_blobs(blobs.clone(), round, writer));
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
}

/// Two keys a batch, so that half a batch shows; always new values, since sled writes no others.
async fn write_records(store: Sled, round: u64, writer: u64) {
    for n in 0.. {
        let [(key, value), (newest, number)] = powercut::records(round, writer, n);
        store.commit(Batch::default().put(key, value).put(newest, number)).await.unwrap();
        say(&format!("record {writer} {n}\n"));
    }
}

/// Now and then, so that the small batches share the disk with them.
async fn write_large(store: Sled, round: u64, writer: u64) {
    for n in 0.. {
        let records = powercut::large(round, writer, n).into_iter();
        let batch = records.fold(Batch::default(), |batch, (key, value)| batch.put(key, value));
        assert!(batch.bytes() * 20 > MAX_BATCH_BYTES * 18, "it is to be near the limit");
        store.commit(batch).await.unwrap();
        say(&format!("large {writer} {n}\n"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn write_blobs(blobs: Blobs, round: u64, writer: u64) {
    for n in 0..400 {
        let seed = round * 1_000_000 + writer * 1_000 + n;
        let bytes = powercut::blob(seed);
        let mut stage = blobs.stage(&[]).await.unwrap();
        for piece in bytes.chunks(16_000) {
            stage.write(bytes::Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let digest = stage.finish().await.unwrap().sha256;
        let (key, value) = powercut::side(seed);
        blobs.put_with_sides(stage, &digest, &[Side::new(&key, &value)]).await.unwrap();
        say(&format!("blob {seed} {}\n", bytes.len()));
    }
    std::future::pending::<()>().await;
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}
