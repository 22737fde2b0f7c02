#![allow(clippy::unwrap_used, clippy::disallowed_methods)]
#![allow(clippy::cast_possible_truncation, reason = "offsets in small test blobs")]

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use proptest::prelude::*;
use tempfile::TempDir;

use super::conformance::{Engine, collect, conformance, digest_of};
use super::disk::{DiskBlobs, DiskOptions};
use super::scrub::{Scrub, ScrubSettings};
use super::*;
use crate::disk::faults::Operation;

mod faults;
mod reading;

struct OnDisk(TempDir);

impl OnDisk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl Engine for OnDisk {
    async fn open(&self) -> Arc<dyn BlobEngine> {
        Arc::new(DiskBlobs::open(self.0.path(), DiskOptions::default()).unwrap())
    }

    fn stage_dir(&self) -> PathBuf {
        DiskBlobs::stage_dir(self.0.path())
    }
}

conformance!(disk_engine, super::OnDisk::new());

/// A garden's blobs, whose alarms a test can see.
struct Garden {
    data: TempDir,
    alarms: Arc<Mutex<Vec<Digest>>>,
}

impl Garden {
    fn new() -> Self {
        Self { data: tempfile::tempdir().unwrap(), alarms: Arc::default() }
    }

    fn open(&self) -> Blobs {
        self.open_with(&Faults::default()).unwrap()
    }

    fn open_with(&self, faults: &Faults) -> Result<Blobs, BlobError> {
        let options = DiskOptions { faults: faults.clone(), ..DiskOptions::default() };
        let engine = DiskBlobs::open(self.data.path(), options)?;
        let alarms = Arc::clone(&self.alarms);
        let alarm = move |digest: &Digest, _: &str| alarms.lock().push(digest.clone());
        let options = BlobsOptions { faults: faults.clone(), ..BlobsOptions::default() };
        let stage = DiskBlobs::stage_dir(self.data.path());
        Blobs::open(Arc::new(engine), stage, Arc::new(alarm), options)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.data.path().join("blobs/sha256").join(&hex[..2]).join(&hex[2..])
    }

    fn quarantined(&self, digest: &Digest) -> bool {
        !self.path(digest).exists()
            && self.data.path().join("quarantine").join(digest.hex()).exists()
    }

    fn staged_files(&self) -> usize {
        std::fs::read_dir(self.data.path().join("stage")).unwrap().count()
    }

    /// Changes a stored file behind garth's back, and opens the store anew.
    fn damage(&self, digest: &Digest, damage: impl Fn(&mut Vec<u8>)) -> Blobs {
        let mut bytes = std::fs::read(self.path(digest)).unwrap();
        damage(&mut bytes);
        std::fs::write(self.path(digest), bytes).unwrap();
        self.open()
    }
}

async fn put(blobs: &Blobs, bytes: &[u8]) -> Digest {
    try_put(blobs, bytes).await.unwrap()
}

async fn try_put(blobs: &Blobs, bytes: &[u8]) -> Result<Digest, BlobError> {
    let mut stage = blobs.stage(&[]).await?;
    for piece in bytes.chunks(10_000) {
        stage.write(Bytes::copy_from_slice(piece)).await?;
    }
    let digests = stage.finish().await?;
    blobs.put(stage, &digests.sha256).await?;
    Ok(digests.sha256)
}

fn large() -> Vec<u8> {
    (0..700_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staged_bytes_are_hashed_by_every_wanted_algorithm() {
    let garden = Garden::new();
    let blobs = garden.open();
    let mut stage = blobs.stage(&[Algorithm::Sha512, Algorithm::Sha1]).await.unwrap();
    for piece in ["a", "", "b", "c"] {
        stage.write(piece.into()).await.unwrap();
    }
    let digests = stage.finish().await.unwrap();
    assert_eq!(digests.len, 3);
    let rows = [
        (Algorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            Algorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];
    for (algorithm, hex) in rows {
        assert_eq!(digests.by(algorithm).unwrap().hex(), hex);
    }
    // Asking again, or going on, is allowed.
    assert_eq!(stage.finish().await.unwrap(), digests);
    stage.write("d".into()).await.unwrap();
    assert_eq!(stage.finish().await.unwrap().sha256, digest_of(b"abcd"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_is_invisible_until_it_is_put() {
    let garden = Garden::new();
    let blobs = garden.open();
    let digest = digest_of(&large());
    let mut stage = blobs.stage(&[]).await.unwrap();
    stage.write(large().into()).await.unwrap();
    stage.finish().await.unwrap();
    assert!(blobs.get(&digest).await.unwrap().is_none());
    blobs.put(stage, &digest).await.unwrap();
    let reader = blobs.get(&digest).await.unwrap().unwrap();
    assert_eq!(reader.read_all(u64::MAX).await.unwrap(), large());
    assert_eq!(garden.staged_files(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stage_with_other_bytes_than_expected_is_not_put() {
    let garden = Garden::new();
    let blobs = garden.open();
    let mut stage = blobs.stage(&[]).await.unwrap();
    stage.write("these".into()).await.unwrap();
    let follower = stage.follower();
    let expected = digest_of(b"those");
    let refused = blobs.put(stage, &expected).await;
    assert!(matches!(refused, Err(BlobError::Damaged { .. })), "{refused:?}");
    assert!(blobs.get(&expected).await.unwrap().is_none());
    assert!(blobs.get(&digest_of(b"these")).await.unwrap().is_none());
    let (seen, error) = collect(follower.follow(0)).await;
    assert!(error.is_some() && seen.len() < 5, "{seen:?} {error:?}");
    settle(|| garden.staged_files() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_stage_leaves_nothing() {
    let garden = Garden::new();
    let blobs = garden.open();
    let mut stage = blobs.stage(&[]).await.unwrap();
    stage.write(large().into()).await.unwrap();
    let (follower, progress) = (stage.follower(), stage.subscribe());
    assert_eq!(garden.staged_files(), 1);
    drop(stage);
    settle(|| garden.staged_files() == 0).await;
    assert!(matches!(progress.borrow().state, StageState::Failed(_)));
    assert!(collect(follower.follow(0)).await.1.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leftovers_of_a_crash_are_gone_after_the_start() {
    let garden = Garden::new();
    garden.open();
    std::fs::write(garden.data.path().join("stage/17"), "half of a tarball").unwrap();
    std::fs::write(garden.data.path().join("stage/side-3"), "half of a side file").unwrap();
    garden.open();
    assert_eq!(garden.staged_files(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_read_along_and_get_the_last_byte_only_when_verified() {
    let garden = Garden::new();
    let blobs = garden.open();
    let bytes = large();
    let mut stage = blobs.stage(&[]).await.unwrap();
    let followers: Vec<_> = [0, 0, 5, 699_999]
        .into_iter()
        .map(|offset| (offset, tokio::spawn(collect(stage.follower().follow(offset)))))
        .collect();
    let mut early = Box::pin(stage.follower().follow(0));
    for piece in bytes.chunks(7_777) {
        stage.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let digests = stage.finish().await.unwrap();
    let mut seen = 0;
    while seen < bytes.len() - 1 {
        let piece = tokio::time::timeout(Duration::from_secs(30), early.next()).await;
        seen += piece.expect("the next piece in time").unwrap().unwrap().len();
    }
    let more = tokio::time::timeout(Duration::from_millis(100), early.next()).await;
    assert!(more.is_err(), "all but the last byte may leave before the verdict: {more:?}");
    assert_eq!(seen, bytes.len() - 1);
    stage.verified();
    assert_eq!(collect(early).await.0.len(), 1);
    blobs.put(stage, &digests.sha256).await.unwrap();
    for (offset, follower) in followers {
        let (seen, error) = follower.await.unwrap();
        assert_eq!((seen.as_slice(), error), (&bytes[offset as usize..], None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_staged_is_readable_though_nothing_more_comes() {
    let garden = Garden::new();
    let blobs = garden.open();
    for round in 0..50 {
        let mut stage = blobs.stage(&[]).await.unwrap();
        for piece in large()[..100_000].chunks(1000 + round) {
            stage.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let mut progress = stage.subscribe();
        let all = progress.wait_for(|progress| progress.written == 100_000);
        tokio::time::timeout(Duration::from_secs(5), all).await.expect("it hangs").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_write_is_told_to_every_later_call_and_to_followers() {
    let garden = Garden::new();
    let faults = Faults::hooked(|operation| match operation {
        Operation::Write => Err(ErrorKind::StorageFull.into()),
        _ => Ok(()),
    });
    let blobs = garden.open_with(&faults).unwrap();
    let mut stage = blobs.stage(&[]).await.unwrap();
    let follower = tokio::spawn(collect(stage.follower().follow(0)));
    // The first may be taken before it fails.
    let _taken = stage.write("a".into()).await;
    assert!(matches!(stage.finish().await, Err(BlobError::Full(_))));
    assert!(matches!(stage.write("b".into()).await, Err(BlobError::Full(_))));
    assert!(matches!(stage.finish().await, Err(BlobError::Full(_))));
    assert!(follower.await.unwrap().1.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follower_reads_on_after_the_blob_is_deleted() {
    let garden = Garden::new();
    let blobs = garden.open();
    let mut stage = blobs.stage(&[]).await.unwrap();
    stage.write(large().into()).await.unwrap();
    let follower = stage.follower();
    let digest = stage.finish().await.unwrap().sha256;
    stage.verified();
    blobs.put(stage, &digest).await.unwrap();
    blobs.delete(&digest).await.unwrap();
    assert_eq!(collect(follower.follow(0)).await, (large(), None));
}

async fn settle(condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to that within five seconds");
}

proptest! {
    #[test]
    fn side_files_round_trip_and_every_change_of_a_byte_is_seen(
        key in prop::collection::vec(any::<u8>(), 0..50),
        value in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let side = Side::new(&key, &value);
        let file = side.encode().unwrap();
        prop_assert_eq!(Side::decode(&file), Some(side));
        let mut changed = file.clone();
        changed[at.index(file.len())] ^= flip;
        prop_assert_eq!(Side::decode(&changed), None);
        prop_assert_eq!(Side::decode(&file[..at.index(file.len())]), None);
    }

    #[test]
    fn any_bytes_as_a_side_file_are_refused_without_a_panic(
        file in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        prop_assert_eq!(Side::decode(&file), None);
    }
}
