//! What is read: whole or in part, sound or damaged.

use super::*;
use crate::clock::Clock;
use crate::jobs::Job;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_are_exact_and_cut_to_the_blob() {
    let garden = Garden::new();
    let digest = put(&garden.open(), &large()).await;
    let len = large().len() as u64;
    // Fresh each time: the first range finds the blob unchecked.
    for range in [0..1, 5..5, 10..300_000, len - 1..len, len..len + 9, len - 9..u64::MAX] {
        let reader = garden.open().get(&digest).await.unwrap().unwrap();
        let (from, to) = (range.start.min(len), range.end.min(len));
        let expected = large()[from as usize..to as usize].to_vec();
        assert_eq!(collect(reader.stream(range.clone())).await, (expected, None), "{range:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_blob_is_never_served_to_its_end() {
    type Damage = fn(&mut Vec<u8>);
    let rows: [(&str, Damage); 6] = [
        ("first bit flipped", |bytes| bytes[0] ^= 1),
        ("last bit flipped", |bytes| *bytes.last_mut().unwrap() ^= 0x80),
        ("truncated by one", |bytes| bytes.truncate(bytes.len() - 1)),
        ("truncated to its half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("emptied", Vec::clear),
        ("grown", |bytes| bytes.push(0)),
    ];
    for original in [large(), b"small".to_vec()] {
        for (name, damage) in rows {
            for range in [0..u64::MAX, 1..3] {
                let garden = Garden::new();
                let digest = put(&garden.open(), &original).await;
                let blobs = garden.damage(&digest, damage);
                if let Some(reader) = blobs.get(&digest).await.unwrap() {
                    let (seen, error) = collect(reader.stream(range.clone())).await;
                    assert!(matches!(error, Some(BlobError::Damaged { .. })), "{name}: {error:?}");
                    assert!((seen.len() as u64) < reader.len(), "{name}");
                    assert!(range.start == 0 || seen.is_empty(), "{name}: a part was served");
                }
                assert_eq!(*garden.alarms.lock(), std::slice::from_ref(&digest), "{name}");
                assert!(garden.quarantined(&digest), "{name}");
                assert!(blobs.get(&digest).await.unwrap().is_none(), "{name}");
                // Fetched again, it is whole again.
                assert_eq!(put(&blobs, &original).await, digest);
                let reader = blobs.get(&digest).await.unwrap().unwrap();
                assert_eq!(reader.read_all(u64::MAX).await.unwrap(), original);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_length_shows_before_the_first_byte() {
    let garden = Garden::new();
    let digest = put(&garden.open(), &large()).await;
    let blobs = garden.damage(&digest, |bytes| bytes.truncate(600_000));
    assert!(blobs.get_sized(&digest, Some(700_000)).await.unwrap().is_none());
    assert!(garden.quarantined(&digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_with_a_wrong_length_does_not_condemn_a_sound_blob() {
    let garden = Garden::new();
    for bytes in [large(), b"small".to_vec()] {
        let digest = put(&garden.open(), &bytes).await;
        // Fresh: nobody has checked it since the start.
        let blobs = garden.open();
        assert!(blobs.get_sized(&digest, Some(17)).await.unwrap().is_none());
        let len = Some(bytes.len() as u64);
        let reader = blobs.get_sized(&digest, len).await.unwrap().unwrap();
        assert_eq!(reader.read_all(u64::MAX).await.unwrap(), bytes);
    }
    assert!(garden.alarms.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_cut_while_it_is_read_breaks_the_transfer() {
    let garden = Garden::new();
    let blobs = garden.open();
    let digest = put(&blobs, &large()).await;
    let reader = blobs.get(&digest).await.unwrap().unwrap();
    let mut pieces = Box::pin(reader.stream(0..u64::MAX));
    pieces.next().await.unwrap().unwrap();
    let file = std::fs::File::options().write(true).open(garden.path(&digest)).unwrap();
    file.set_len(200_000).unwrap();
    let (_, error) = collect(pieces).await;
    assert!(matches!(error, Some(BlobError::Damaged { .. })), "{error:?}");
    assert!(garden.quarantined(&digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rewritten_blob_is_checked_again() {
    let garden = Garden::new();
    let blobs = garden.open();
    let digest = put(&blobs, &large()).await;
    let reader = blobs.get(&digest).await.unwrap().unwrap();
    assert_eq!(collect(reader.stream(0..u64::MAX)).await.1, None);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut bytes = large();
    bytes[5] ^= 1;
    std::fs::write(garden.path(&digest), bytes).unwrap();
    let reader = blobs.get(&digest).await.unwrap().unwrap();
    assert!(collect(reader.stream(0..u64::MAX)).await.1.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_all_keeps_to_its_limit() {
    let garden = Garden::new();
    let blobs = garden.open();
    let digest = put(&blobs, &large()).await;
    let reader = blobs.get(&digest).await.unwrap().unwrap();
    let refused = reader.read_all(699_999).await;
    assert_eq!(refused, Err(BlobError::TooLarge { len: 700_000, limit: 699_999 }));
    assert_eq!(reader.read_all(700_000).await.unwrap(), large());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digest_of_another_algorithm_names_no_blob() {
    let garden = Garden::new();
    let blobs = garden.open();
    let sha512 = Digest::new(Algorithm::Sha512, &[0; 64]).unwrap();
    assert!(matches!(blobs.get(&sha512).await, Err(BlobError::Unavailable(_))));
}

fn rounds() -> Job {
    Job::new("scrub", "Reads.", Clock::system())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrub_finds_damage_that_nobody_reads() {
    let garden = Garden::new();
    let blobs = garden.open();
    put(&blobs, b"sound").await;
    let digest = put(&blobs, &large()).await;
    let blobs = garden.damage(&digest, |bytes| bytes[650_000] ^= 4);
    let settings = ScrubSettings { bytes_per_second: 1 << 30, pause: Duration::from_mins(1) };
    let scrub = Scrub::start(blobs.clone(), settings, rounds());
    let mut progress = scrub.progress();
    let done = progress.wait_for(|progress| progress.rounds == 1);
    let done = *tokio::time::timeout(Duration::from_secs(20), done).await.unwrap().unwrap();
    assert_eq!((done.checked, done.damaged, done.unreadable), (2, 1, 0));
    assert_eq!(*garden.alarms.lock(), std::slice::from_ref(&digest));
    assert!(garden.quarantined(&digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrub_keeps_to_its_pace() {
    let garden = Garden::new();
    let blobs = garden.open();
    put(&blobs, &large()).await;
    let settings = ScrubSettings { bytes_per_second: 1_400_000, pause: Duration::from_mins(1) };
    let started = tokio::time::Instant::now();
    let scrub = Scrub::start(blobs, settings, rounds());
    scrub.progress().wait_for(|progress| progress.rounds == 1).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
}
