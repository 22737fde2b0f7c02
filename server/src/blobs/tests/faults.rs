//! A disk that fails: nothing that was kept is lost by it.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_nth_operation_leaves_the_live_blob_untouched() {
    for (kind, full) in [(ErrorKind::StorageFull, true), (ErrorKind::Other, false)] {
        let mut failures = 0;
        let garden = Garden::new();
        let live = put(&garden.open(), b"the live one").await;
        for n in 1.. {
            let digest = digest_of(&large());
            let side = Side::new(b"key", b"value");

            let (faults, seen) = Faults::nth(n, kind);
            let outcome: Result<(), BlobError> = async {
                let blobs = garden.open_with(&faults)?;
                let again = put_beside(&blobs, b"the live one", &side).await;
                let other = put_beside(&blobs, &large(), &side).await;
                again.and(other)
            }
            .await;
            let error = match outcome {
                Ok(()) if seen.load(Ordering::SeqCst) < n => break,
                // The fault met the removal of a staged file: nobody had to hear of it.
                Ok(()) => continue,
                Err(error) => error,
            };
            failures += 1;
            assert_eq!(full, matches!(error, BlobError::Full(_)), "at {n}: {error}");
            assert!(full || matches!(error, BlobError::Unavailable(_)), "at {n}: {error}");

            let blobs = garden.open();
            let reader = blobs.get(&live).await.unwrap().expect("the live blob is there");
            assert_eq!(reader.read_all(100).await.unwrap(), "the live one", "at {n}");
            if let Some(reader) = blobs.get(&digest).await.unwrap() {
                assert_eq!(reader.read_all(u64::MAX).await.unwrap(), large(), "at {n}");
            }
            assert_eq!(garden.staged_files(), 0, "at {n}");
            assert!(garden.alarms.lock().is_empty(), "at {n}");
            put_beside(&blobs, &large(), &side).await.unwrap();
            let reader = blobs.get(&digest).await.unwrap().unwrap();
            assert_eq!(reader.read_all(u64::MAX).await.unwrap(), large(), "at {n}");
            assert_eq!(blobs.sides(&digest).await.unwrap(), std::slice::from_ref(&side));
            blobs.delete(&digest).await.unwrap();
        }
        assert!(failures > 15, "only {failures} operations could fail");
    }
}

async fn put_beside(blobs: &Blobs, bytes: &[u8], side: &Side) -> Result<(), BlobError> {
    let mut stage = blobs.stage(&[]).await?;
    for piece in bytes.chunks(200_000) {
        stage.write(Bytes::copy_from_slice(piece)).await?;
    }
    let digest = stage.finish().await?.sha256;
    blobs.put_with_sides(stage, &digest, std::slice::from_ref(side)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_while_every_write_fails() {
    let garden = Garden::new();
    let digest = put(&garden.open(), &large()).await;
    let failing = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let fails = Arc::clone(&failing);
    let faults = Faults::hooked(move |_| {
        if fails.load(Ordering::SeqCst) { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    });
    let blobs = garden.open_with(&faults).unwrap();
    failing.store(true, Ordering::SeqCst);
    assert!(matches!(try_put(&blobs, b"more").await, Err(BlobError::Full(_))));
    let reader = blobs.get(&digest).await.unwrap().unwrap();
    assert_eq!(collect(reader.stream(0..u64::MAX)).await, (large(), None));
    failing.store(false, Ordering::SeqCst);
    put(&blobs, b"more").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_fsync_in_the_middle_keeps_followers_of_verified_bytes() {
    let garden = Garden::new();
    let faults = Faults::hooked(|operation| match operation {
        Operation::SyncFile => Err(ErrorKind::Other.into()),
        _ => Ok(()),
    });
    let blobs = garden.open_with(&faults).unwrap();
    let mut stage = blobs.stage(&[]).await.unwrap();
    stage.write(large().into()).await.unwrap();
    let follower = stage.follower();
    let digest = stage.finish().await.unwrap().sha256;
    stage.verified();
    assert!(blobs.put(stage, &digest).await.is_err());
    // The bytes were right; only keeping them failed.
    assert_eq!(collect(follower.follow(0)).await, (large(), None));
    assert!(blobs.get(&digest).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_staged_when_the_reserve_is_reached() {
    let garden = Garden::new();
    let engine = DiskBlobs::open(garden.data.path(), DiskOptions::default()).unwrap();
    let options = BlobsOptions { reserve_bytes: u64::MAX / 2, ..BlobsOptions::default() };
    let stage = DiskBlobs::stage_dir(garden.data.path());
    let blobs = Blobs::open(Arc::new(engine), stage, Arc::new(|_: &Digest, _: &str| ()), options);
    let refused = blobs.unwrap().stage(&[]).await;
    assert!(matches!(refused, Err(BlobError::Full(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staged_file_goes_where_nobody_waited_until_it_was_made() {
    let garden = Garden::new();
    let gate = Arc::new(Mutex::new(()));
    let (removing, removed) = std::sync::mpsc::channel();
    let faults = Faults::hooked({
        let gate = Arc::clone(&gate);
        move |operation| {
            match operation {
                Operation::Create => drop(gate.lock()),
                Operation::Remove => removing.send(()).unwrap(),
                _ => {}
            }
            Ok(())
        }
    });
    let blobs = garden.open_with(&faults).unwrap();
    let shut = gate.lock();
    assert!(blobs.stage(&[]).now_or_never().is_none(), "the file is not made yet");
    drop(shut);
    removed.recv_timeout(Duration::from_secs(10)).expect("the file was left");
    for _ in 0..1000 {
        if garden.staged_files() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the file is still there");
}
