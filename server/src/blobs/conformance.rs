//! What every blob engine must do, one named test a case.
//!
//! An engine joins by one line: `conformance!(its_name, its_fixture)`, where the fixture is an
//! expression that gives an [`Engine`].
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use policies::package::{Algorithm, Digest};
use sha2::{Digest as _, Sha256};

use super::{BlobEngine, BlobFile, Side};

/// Opens the same, at first empty, store again and again.
#[async_trait]
pub trait Engine: Send + Sync {
    async fn open(&self) -> Arc<dyn BlobEngine>;

    /// A directory from which the engine can publish.
    fn stage_dir(&self) -> PathBuf;
}

macro_rules! conformance {
    ($engine:ident, $fixture:expr) => {
        mod $engine {
            $crate::blobs::conformance::conformance!(
                @cases $fixture,
                absent_blob_opens_as_none,
                published_blob_is_read_back,
                empty_blob_can_be_kept,
                open_blob_outlives_its_name,
                publishing_again_replaces_the_bytes,
                parallel_publishing_of_one_blob_succeeds,
                deleted_blob_is_gone_with_its_side_files,
                listing_goes_in_order_of_digests_and_in_pages,
                quarantined_blob_is_out_of_sight,
                quarantine_spares_a_blob_that_was_replaced,
                side_files_are_kept_one_for_each_key,
                side_files_do_not_show_as_blobs,
                blob_and_side_files_are_published_together,
                blob_goes_with_the_last_record_that_refers_to_it,
                releasing_never_takes_a_blob_that_is_published_meanwhile,
                side_file_needs_its_blob,
                reopening_keeps_everything,
                total_size_follows_every_change,
            );
        }
    };
    (@cases $fixture:expr, $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::blobs::conformance::$case(&$fixture).await;
            }
        )*
    };
}
pub(crate) use conformance;

pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::new(Algorithm::Sha256, &Sha256::digest(bytes)).unwrap()
}

fn staged(engine: &dyn Engine, name: &str, bytes: &[u8]) -> PathBuf {
    let path = engine.stage_dir().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

async fn publish(fixture: &dyn Engine, engine: &Arc<dyn BlobEngine>, bytes: &[u8]) -> Digest {
    let digest = digest_of(bytes);
    let path = staged(fixture, &format!("in-{}", digest.hex()), bytes);
    engine.publish(&path, &digest, &[]).await.unwrap();
    assert!(!path.exists(), "the staged file became the blob");
    digest
}

async fn read(file: &Arc<dyn BlobFile>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let piece = file.read_at(all.len() as u64, 7).await.unwrap();
        if piece.is_empty() {
            return all;
        }
        assert!(piece.len() <= 7);
        all.extend_from_slice(&piece);
    }
}

pub async fn absent_blob_opens_as_none(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = digest_of(b"never stored");
    assert!(engine.open(&digest).await.unwrap().is_none());
    assert_eq!(engine.sides(&digest).await.unwrap(), vec![]);
    engine.delete(&digest).await.unwrap();
    engine.delete_side(&digest, b"key").await.unwrap();
    assert_eq!(engine.list(None, 10).await.unwrap(), vec![]);
}

pub async fn published_blob_is_read_back(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let digest = publish(fixture, &engine, &bytes).await;
    let file = engine.open(&digest).await.unwrap().unwrap();
    assert_eq!(file.mark().len, 100_000);
    assert_eq!(file.read_at(99_990, 100).await.unwrap(), bytes[99_990..]);
    assert_eq!(file.read_at(100_000, 100).await.unwrap(), "");
    assert_eq!(file.read_at(u64::from(u32::MAX), 100).await.unwrap(), "");
    assert_eq!(read(&file).await, bytes);
}

pub async fn empty_blob_can_be_kept(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = publish(fixture, &engine, b"").await;
    let file = engine.open(&digest).await.unwrap().unwrap();
    assert_eq!(file.mark().len, 0);
    assert_eq!(read(&file).await, b"");
}

pub async fn open_blob_outlives_its_name(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = publish(fixture, &engine, b"still read").await;
    let file = engine.open(&digest).await.unwrap().unwrap();
    engine.delete(&digest).await.unwrap();
    assert_eq!(read(&file).await, b"still read");
}

pub async fn publishing_again_replaces_the_bytes(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = digest_of(b"the sound ones");
    let path = staged(fixture, "damaged", b"the damaged ones");
    let damaged = engine.publish(&path, &digest, &[]).await.unwrap();
    let path = staged(fixture, "sound", b"the sound ones");
    let sound = engine.publish(&path, &digest, &[]).await.unwrap();
    assert_ne!(damaged, sound);
    let file = engine.open(&digest).await.unwrap().unwrap();
    assert_eq!(file.mark(), sound);
    assert_eq!(read(&file).await, b"the sound ones");
}

pub async fn parallel_publishing_of_one_blob_succeeds(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = digest_of(b"wanted by many");
    let publishers: Vec<_> = (0..32)
        .map(|n| {
            let path = staged(fixture, &format!("many-{n}"), b"wanted by many");
            let (engine, digest) = (Arc::clone(&engine), digest.clone());
            tokio::spawn(async move { engine.publish(&path, &digest, &[]).await })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap().unwrap();
    }
    assert_eq!(read(&engine.open(&digest).await.unwrap().unwrap()).await, b"wanted by many");
    assert_eq!(engine.list(None, 10).await.unwrap().len(), 1);
}

pub async fn deleted_blob_is_gone_with_its_side_files(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = publish(fixture, &engine, b"to be deleted").await;
    engine.put_side(&digest, &Side::new(b"key", b"value")).await.unwrap();
    engine.delete(&digest).await.unwrap();
    assert!(engine.open(&digest).await.unwrap().is_none());
    assert_eq!(engine.sides(&digest).await.unwrap(), vec![]);
    publish(fixture, &engine, b"to be deleted").await;
    assert!(engine.open(&digest).await.unwrap().is_some());
}

pub async fn listing_goes_in_order_of_digests_and_in_pages(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let mut expected = Vec::new();
    for n in 0..30_u32 {
        expected.push(publish(fixture, &engine, &n.to_be_bytes()).await);
    }
    expected.sort();
    for limit in [1, 4, 29, 30, 31] {
        let mut seen = Vec::new();
        loop {
            let page = engine.list(seen.last(), limit).await.unwrap();
            assert!(page.len() <= limit && page.iter().all(|blob| blob.len == 4));
            if page.is_empty() {
                break;
            }
            seen.extend(page.into_iter().map(|blob| blob.digest));
        }
        assert_eq!(seen, expected, "in pages of {limit}");
    }
}

pub async fn quarantined_blob_is_out_of_sight(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = publish(fixture, &engine, b"damaged").await;
    engine.put_side(&digest, &Side::new(b"key", b"value")).await.unwrap();
    let mark = engine.open(&digest).await.unwrap().unwrap().mark();
    engine.quarantine(&digest, mark).await.unwrap();
    assert!(engine.open(&digest).await.unwrap().is_none());
    assert_eq!(engine.list(None, 10).await.unwrap(), vec![]);
    assert_eq!(engine.sides(&digest).await.unwrap().len(), 1, "the records still refer to it");
    // Twice is no error: two readers may find the same damage.
    engine.quarantine(&digest, mark).await.unwrap();
}

pub async fn quarantine_spares_a_blob_that_was_replaced(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = publish(fixture, &engine, b"bytes").await;
    let old = engine.open(&digest).await.unwrap().unwrap();
    publish(fixture, &engine, b"bytes").await;
    engine.quarantine(&digest, old.mark()).await.unwrap();
    assert!(engine.open(&digest).await.unwrap().is_some());
}

pub async fn side_files_are_kept_one_for_each_key(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = publish(fixture, &engine, b"shared").await;
    let other = publish(fixture, &engine, b"another").await;
    for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("", ""), ("c/../x", "3")] {
        engine.put_side(&digest, &Side::new(key.as_bytes(), value.as_bytes())).await.unwrap();
    }
    engine.delete_side(&digest, b"b").await.unwrap();
    let mut sides = engine.sides(&digest).await.unwrap();
    sides.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(sides, [Side::new(b"", b""), Side::new(b"a", b"2"), Side::new(b"c/../x", b"3")]);
    assert_eq!(engine.sides(&other).await.unwrap(), vec![]);
}

pub async fn side_files_do_not_show_as_blobs(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = publish(fixture, &engine, b"one").await;
    engine.put_side(&digest, &Side::new(b"key", b"value")).await.unwrap();
    assert_eq!(engine.list(None, 10).await.unwrap().len(), 1);
}

pub async fn blob_and_side_files_are_published_together(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = digest_of(b"with sides");
    let sides = [Side::new(b"a", b"1"), Side::new(b"b", b"2")];
    let path = staged(fixture, "with-sides", b"with sides");
    engine.publish(&path, &digest, &sides).await.unwrap();
    assert_eq!(engine.sides(&digest).await.unwrap().len(), 2);
}

pub async fn blob_goes_with_the_last_record_that_refers_to_it(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = publish(fixture, &engine, b"shared by two").await;
    engine.put_side(&digest, &Side::new(b"a", b"1")).await.unwrap();
    engine.put_side(&digest, &Side::new(b"b", b"2")).await.unwrap();
    assert!(!engine.release(&digest, b"a").await.unwrap());
    assert!(!engine.release(&digest, b"a").await.unwrap());
    assert!(engine.open(&digest).await.unwrap().is_some());
    assert!(engine.release(&digest, b"b").await.unwrap());
    assert!(engine.open(&digest).await.unwrap().is_none());
}

pub async fn releasing_never_takes_a_blob_that_is_published_meanwhile(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = digest_of(b"comes and goes");
    for n in 0..20 {
        let publish = |name: &'static str| {
            let path = staged(fixture, &format!("{name}-{n}"), b"comes and goes");
            let (engine, digest) = (Arc::clone(&engine), digest.clone());
            async move {
                let side = Side::new(name.as_bytes(), b"1");
                engine.publish(&path, &digest, &[side]).await.unwrap();
            }
        };
        publish("old").await;
        let anew = tokio::spawn(publish("new"));
        engine.release(&digest, b"old").await.unwrap();
        anew.await.unwrap();
        assert!(engine.open(&digest).await.unwrap().is_some(), "in round {n}");
        assert_eq!(engine.sides(&digest).await.unwrap(), [Side::new(b"new", b"1")]);
        assert!(engine.release(&digest, b"new").await.unwrap());
    }
}

pub async fn side_file_needs_its_blob(fixture: &dyn Engine) {
    let engine = fixture.open().await;
    let digest = digest_of(b"never stored");
    assert!(engine.put_side(&digest, &Side::new(b"key", b"value")).await.is_err());
    assert_eq!(engine.sides(&digest).await.unwrap(), vec![]);
}

pub async fn reopening_keeps_everything(fixture: &dyn Engine) {
    let digest = {
        let engine = fixture.open().await;
        let digest = publish(fixture, &engine, b"kept").await;
        engine.put_side(&digest, &Side::new(b"key", b"value")).await.unwrap();
        digest
    };
    let engine = fixture.open().await;
    assert_eq!(read(&engine.open(&digest).await.unwrap().unwrap()).await, b"kept");
    assert_eq!(engine.sides(&digest).await.unwrap(), [Side::new(b"key", b"value")]);
}

pub async fn total_size_follows_every_change(fixture: &dyn Engine) {
    async fn counted(engine: &Arc<dyn BlobEngine>) -> u64 {
        for _ in 0..500 {
            if let Some(total) = engine.total_size() {
                return total;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the blobs were never counted");
    }
    let engine = fixture.open().await;
    // Some of these happen before the count, some after it.
    let first = publish(fixture, &engine, &[1; 1000]).await;
    publish(fixture, &engine, &[2; 500]).await;
    assert_eq!(counted(&engine).await, 1500);
    publish(fixture, &engine, &[1; 1000]).await;
    publish(fixture, &engine, &[3; 70]).await;
    assert_eq!(engine.total_size(), Some(1570));
    engine.put_side(&first, &Side::new(b"key", b"value")).await.unwrap();
    engine.delete(&first).await.unwrap();
    engine.delete(&first).await.unwrap();
    assert_eq!(engine.total_size(), Some(570));
    let second = digest_of(&[2; 500]);
    let mark = engine.open(&second).await.unwrap().unwrap().mark();
    engine.quarantine(&second, mark).await.unwrap();
    assert_eq!(engine.total_size(), Some(70));
    assert_eq!(counted(&fixture.open().await).await, 70);
}

/// The whole of a blob, through its pieces.
pub async fn collect(
    pieces: impl futures_util::Stream<Item = Result<Bytes, super::BlobError>>,
) -> (Vec<u8>, Option<super::BlobError>) {
    use futures_util::StreamExt as _;
    let mut pieces = std::pin::pin!(pieces);
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}
