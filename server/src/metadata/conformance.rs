//! What every metadata engine must do, one named test a case.
//!
//! An engine joins by one line: `conformance!(its_name, its_fixture)`, where the fixture is an
//! expression that gives an [`Engine`].
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Batch, MAX_BATCH_BYTES, MAX_BATCH_CHANGES, MAX_KEY, MAX_VALUE, Metadata, MetadataError,
};

/// Opens the same, at first empty, store again and again; only one at a time.
#[async_trait]
pub trait Engine: Send + Sync {
    async fn open(&self) -> Arc<dyn Metadata>;
}

macro_rules! conformance {
    ($engine:ident, $fixture:expr) => {
        mod $engine {
            $crate::metadata::conformance::conformance!(
                @cases $fixture,
                absent_key_reads_as_none,
                committed_values_are_read_back_byte_for_byte,
                last_change_of_a_key_in_a_batch_wins,
                removing_an_absent_key_is_no_error,
                empty_batch_is_acknowledged,
                scan_goes_in_byte_order,
                scan_stays_within_its_prefix,
                scan_of_the_empty_prefix_sees_everything,
                scan_begins_behind_a_key_that_need_not_exist,
                pages_have_no_gap_and_no_repeat,
                failed_expectation_changes_nothing,
                expectations_compare_the_whole_value,
                expectation_alone_can_be_committed,
                one_of_many_creators_wins,
                parallel_increments_lose_nothing,
                scan_never_sees_half_a_batch,
                large_batch_is_whole,
                oversized_batch_is_refused_and_leaves_nothing,
                closed_store_says_so_and_can_be_opened_again,
                largest_key_and_value_are_kept,
                oversized_record_is_refused_and_leaves_nothing,
                reopening_keeps_everything,
                given_up_commit_does_no_harm,
                size_is_known,
            );
        }
    };
    (@cases $fixture:expr, $($case:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::metadata::conformance::$case(&$fixture).await;
            }
        )*
    };
}
pub(crate) use conformance;

fn keys(entries: &[super::Entry]) -> Vec<Vec<u8>> {
    entries.iter().map(|entry| entry.key.to_vec()).collect()
}

async fn put_all(store: &Arc<dyn Metadata>, keys: &[&[u8]]) {
    let batch = keys.iter().fold(Batch::default(), |batch, key| {
        batch.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(key))
    });
    store.commit(batch).await.unwrap();
}

pub async fn absent_key_reads_as_none(engine: &dyn Engine) {
    let store = engine.open().await;
    assert_eq!(store.get(b"nothing").await.unwrap(), None);
    assert_eq!(store.scan(b"nothing", None, 10).await.unwrap(), vec![]);
}

pub async fn committed_values_are_read_back_byte_for_byte(engine: &dyn Engine) {
    let store = engine.open().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    for value in [&b""[..], b"x", b"\0", b"\xff\xff", &every_byte] {
        store.commit(Batch::default().put(every_byte.clone(), value.to_vec())).await.unwrap();
        assert_eq!(store.get(&every_byte).await.unwrap().unwrap(), value);
    }
    store.commit(Batch::default().remove(every_byte.clone())).await.unwrap();
    assert_eq!(store.get(&every_byte).await.unwrap(), None);
}

pub async fn last_change_of_a_key_in_a_batch_wins(engine: &dyn Engine) {
    let store = engine.open().await;
    let batch = Batch::default().put("a", "1").remove("a").put("b", "1").put("b", "2").remove("c");
    store.commit(batch.put("c", "1").remove("c")).await.unwrap();
    assert_eq!(store.get(b"a").await.unwrap(), None);
    assert_eq!(store.get(b"b").await.unwrap().unwrap(), "2");
    assert_eq!(store.get(b"c").await.unwrap(), None);
}

pub async fn removing_an_absent_key_is_no_error(engine: &dyn Engine) {
    let store = engine.open().await;
    store.commit(Batch::default().remove("nothing")).await.unwrap();
}

pub async fn empty_batch_is_acknowledged(engine: &dyn Engine) {
    let store = engine.open().await;
    store.commit(Batch::default()).await.unwrap();
}

pub async fn scan_goes_in_byte_order(engine: &dyn Engine) {
    let store = engine.open().await;
    put_all(&store, &[b"k/b", b"k/a\xff", b"k/A", b"k/a", b"k/\xff", b"k/a\0", b"k/\0"]).await;
    let found = store.scan(b"k/", None, 100).await.unwrap();
    let expected: [&[u8]; 7] = [b"k/\0", b"k/A", b"k/a", b"k/a\0", b"k/a\xff", b"k/b", b"k/\xff"];
    assert_eq!(keys(&found), expected);
    assert!(found.iter().all(|entry| entry.key == entry.value));
}

pub async fn scan_stays_within_its_prefix(engine: &dyn Engine) {
    let store = engine.open().await;
    let all: [&[u8]; 10] = [
        b"p",
        b"p\xfe\xff",
        b"p\xff",
        b"p\xff\0",
        b"p\xff\xff",
        b"p\xff\xff\xff",
        b"q",
        b"\xff",
        b"\xff\xff",
        b"\xff\xffz",
    ];
    put_all(&store, &all).await;
    for prefix in [&b"p"[..], b"p\xff", b"p\xff\xff", b"q", b"\xff", b"\xff\xff", b"\xff\xff\xff"] {
        let mut expected: Vec<_> = all.iter().filter(|key| key.starts_with(prefix)).collect();
        expected.sort();
        let found = store.scan(prefix, None, 100).await.unwrap();
        assert_eq!(keys(&found), expected.into_iter().map(|k| k.to_vec()).collect::<Vec<_>>());
    }
}

pub async fn scan_of_the_empty_prefix_sees_everything(engine: &dyn Engine) {
    let store = engine.open().await;
    put_all(&store, &[b"\0", b"zz", b"\xff\xff"]).await;
    let found = keys(&store.scan(b"", None, 100).await.unwrap());
    for key in [&b"\0"[..], b"zz", b"\xff\xff"] {
        assert!(found.contains(&key.to_vec()), "{key:?} is missing in {found:?}");
    }
}

pub async fn scan_begins_behind_a_key_that_need_not_exist(engine: &dyn Engine) {
    let store = engine.open().await;
    put_all(&store, &[b"m/a", b"m/c", b"m/e", b"n"]).await;
    let rows: [(&[u8], &[&[u8]]); 7] = [
        (b"a", &[b"m/a", b"m/c", b"m/e"]),
        (b"m/", &[b"m/a", b"m/c", b"m/e"]),
        (b"m/a", &[b"m/c", b"m/e"]),
        (b"m/b", &[b"m/c", b"m/e"]),
        (b"m/e", &[]),
        (b"m0", &[]),
        (b"z", &[]),
    ];
    for (after, expected) in rows {
        let found = store.scan(b"m/", Some(after), 100).await.unwrap();
        assert_eq!(keys(&found), expected, "after {after:?}");
    }
}

pub async fn pages_have_no_gap_and_no_repeat(engine: &dyn Engine) {
    let store = engine.open().await;
    let all: Vec<String> = (0..250).map(|n| format!("page/{n:04}")).collect();
    put_all(&store, &all.iter().map(String::as_bytes).collect::<Vec<_>>()).await;
    for limit in [1, 7, 249, 250, 251] {
        let mut seen = Vec::new();
        let mut after: Option<Bytes> = None;
        loop {
            let page = store.scan(b"page/", after.as_deref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            seen.extend(page.into_iter().map(|entry| entry.key));
        }
        assert_eq!(seen, all, "in pages of {limit}");
    }
    assert_eq!(store.scan(b"page/", None, 0).await.unwrap(), vec![]);
}

pub async fn failed_expectation_changes_nothing(engine: &dyn Engine) {
    let store = engine.open().await;
    store.commit(Batch::default().put("there", "1")).await.unwrap();
    let change = || Batch::default().put("there", "2").put("new", "2").remove("there2");
    let wrong = [
        change().expect("there", None),
        change().expect("there", Some("0".into())),
        change().expect("absent", Some("0".into())),
        change().expect("absent", Some(Bytes::new())),
        change().expect("there", Some("1".into())).expect("absent", Some("0".into())),
    ];
    for batch in wrong {
        let refused = store.commit(batch.clone()).await;
        assert!(matches!(refused, Err(MetadataError::Conflict { .. })), "{refused:?}: {batch:?}");
        assert_eq!(store.get(b"there").await.unwrap().unwrap(), "1");
        assert_eq!(store.get(b"new").await.unwrap(), None);
    }
    let right = change().expect("there", Some("1".into())).expect("absent", None);
    store.commit(right).await.unwrap();
    assert_eq!(store.get(b"there").await.unwrap().unwrap(), "2");
}

pub async fn expectations_compare_the_whole_value(engine: &dyn Engine) {
    let store = engine.open().await;
    store.commit(Batch::default().put("k", "abc").put("empty", "")).await.unwrap();
    for wrong in ["ab", "abcd", "ABC", ""] {
        let refused = store.commit(Batch::default().expect("k", Some(wrong.into()))).await;
        assert!(matches!(refused, Err(MetadataError::Conflict { .. })), "{wrong}");
    }
    // An empty value is not absence.
    let refused = store.commit(Batch::default().expect("empty", None)).await;
    assert!(matches!(refused, Err(MetadataError::Conflict { .. })));
    store.commit(Batch::default().expect("empty", Some(Bytes::new()))).await.unwrap();
}

pub async fn expectation_alone_can_be_committed(engine: &dyn Engine) {
    let store = engine.open().await;
    store.commit(Batch::default().expect("k", None)).await.unwrap();
    let refused = store.commit(Batch::default().expect("k", Some("x".into()))).await;
    assert!(matches!(refused, Err(MetadataError::Conflict { .. })));
}

pub async fn one_of_many_creators_wins(engine: &dyn Engine) {
    let store = engine.open().await;
    let creators = (0..64).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let batch = Batch::default().expect("one", None).put("one", format!("{n}"));
            store.commit(batch).await.map(|()| n)
        })
    });
    let mut winners = Vec::new();
    for creator in creators.collect::<Vec<_>>() {
        match creator.await.unwrap() {
            Ok(n) => winners.push(n),
            Err(MetadataError::Conflict { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(store.get(b"one").await.unwrap().unwrap(), format!("{}", winners[0]));
}

pub async fn parallel_increments_lose_nothing(engine: &dyn Engine) {
    const WRITERS: u64 = 64;
    const EACH: u64 = 5;
    let store = engine.open().await;
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for round in 0..EACH {
                loop {
                    let old = store.get(b"count").await.unwrap();
                    let count: u64 = old
                        .as_deref()
                        .map_or(0, |old| std::str::from_utf8(old).unwrap().parse().unwrap());
                    let batch = Batch::default()
                        .expect("count", old)
                        .put("count", format!("{}", count + 1))
                        .put(format!("did/{writer}/{round}"), format!("{count}"));
                    match store.commit(batch).await {
                        Ok(()) => break,
                        Err(MetadataError::Conflict { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let total = WRITERS * EACH;
    assert_eq!(store.get(b"count").await.unwrap().unwrap(), format!("{total}"));
    // Each value was incremented by exactly one writer.
    let did = store.scan(b"did/", None, 10_000).await.unwrap();
    let mut from: Vec<u64> = did
        .iter()
        .map(|entry| std::str::from_utf8(&entry.value).unwrap().parse().unwrap())
        .collect();
    from.sort_unstable();
    assert_eq!(from, (0..total).collect::<Vec<_>>());
}

pub async fn scan_never_sees_half_a_batch(engine: &dyn Engine) {
    let store = engine.open().await;
    let all_at = |n: u32| {
        (0..40).fold(Batch::default(), |batch, k| batch.put(format!("half/{k}"), format!("{n}")))
    };
    store.commit(all_at(0)).await.unwrap();
    let writing = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 1..60 {
                store.commit(all_at(n)).await.unwrap();
            }
        })
    };
    while !writing.is_finished() {
        let found = store.scan(b"half/", None, 100).await.unwrap();
        assert_eq!(found.len(), 40);
        assert!(found.iter().all(|entry| entry.value == found[0].value), "{found:?}");
    }
    writing.await.unwrap();
}

/// Batches of as many bytes and of as many changes as may be.
fn largest_batches() -> [Batch; 2] {
    let of = |count: usize| {
        let keys = count * "large/00000".len();
        let length = (MAX_BATCH_BYTES - keys) / count;
        (0..count).fold(Batch::default(), |batch, n| {
            let value = vec![u8::try_from(n % 251).unwrap(); length.min(MAX_VALUE)];
            batch.put(format!("large/{n:05}"), value)
        })
    };
    [of(MAX_BATCH_BYTES.div_ceil(MAX_VALUE) + 1), of(MAX_BATCH_CHANGES)]
}

pub async fn large_batch_is_whole(engine: &dyn Engine) {
    let store = engine.open().await;
    for batch in largest_batches() {
        let expected = batch.changes.clone();
        store.commit(batch).await.unwrap();
        let found = store.scan(b"large/", None, 10_000).await.unwrap();
        for (change, entry) in expected.iter().zip(&found) {
            assert_eq!((&change.key, change.value.as_ref()), (&entry.key, Some(&entry.value)));
        }
        assert!(found.len() >= expected.len());
    }
}

pub async fn oversized_batch_is_refused_and_leaves_nothing(engine: &dyn Engine) {
    let store = engine.open().await;
    let [mut bytes, mut changes] = largest_batches();
    while bytes.bytes() <= MAX_BATCH_BYTES {
        let key = format!("more/{}", bytes.changes.len());
        bytes = bytes.put(key, vec![0; MAX_VALUE]);
    }
    changes = changes.remove("one more");
    for batch in [bytes, changes] {
        let refused = store.commit(batch).await;
        assert!(matches!(refused, Err(MetadataError::TooLarge { .. })), "{refused:?}");
        assert_eq!(store.scan(b"", None, 10).await.unwrap().len(), store_marks(&store).await);
    }
}

/// An engine may keep records of its own about itself.
async fn store_marks(store: &Arc<dyn Metadata>) -> usize {
    store.scan(b"meta/", None, 10).await.unwrap().len()
}

pub async fn closed_store_says_so_and_can_be_opened_again(engine: &dyn Engine) {
    let store = engine.open().await;
    let other = Arc::clone(&store);
    let commits = (0..50).map(|n| store.commit(Batch::default().put(format!("c/{n}"), "1")));
    let committed = futures_util::future::join_all(commits).await;
    assert!(committed.iter().all(Result::is_ok));
    store.close().await;
    store.close().await;
    let refused = other.commit(Batch::default().put("late", "1")).await;
    assert!(matches!(refused, Err(MetadataError::Unavailable(_))), "{refused:?}");
    assert!(matches!(other.get(b"c/0").await, Err(MetadataError::Unavailable(_))));
    assert!(matches!(other.scan(b"c/", None, 1).await, Err(MetadataError::Unavailable(_))));
    assert!(matches!(other.size().await, Err(MetadataError::Unavailable(_))));

    // The clones of before are still held.
    let store = engine.open().await;
    assert_eq!(store.scan(b"c/", None, 100).await.unwrap().len(), 50);
    assert_eq!(store.get(b"late").await.unwrap(), None);
    drop(other);
}

pub async fn largest_key_and_value_are_kept(engine: &dyn Engine) {
    let store = engine.open().await;
    let key = |n: u8| [vec![b'k'; MAX_KEY - 1], vec![n]].concat();
    for n in 0..80 {
        store.commit(Batch::default().put(key(n), vec![n; MAX_VALUE])).await.unwrap();
    }
    drop(store);
    let store = engine.open().await;
    for n in 0..80 {
        assert_eq!(store.get(&key(n)).await.unwrap().unwrap(), vec![n; MAX_VALUE]);
    }
}

pub async fn oversized_record_is_refused_and_leaves_nothing(engine: &dyn Engine) {
    let store = engine.open().await;
    let oversized = [
        Batch::default().put("small", "1").put("big", vec![0; MAX_VALUE + 1]),
        Batch::default().put("small", "1").put(vec![b'k'; MAX_KEY + 1], "1"),
    ];
    for batch in oversized {
        let refused = store.commit(batch).await;
        assert!(matches!(refused, Err(MetadataError::TooLarge { .. })), "{refused:?}");
        assert_eq!(store.get(b"small").await.unwrap(), None);
    }
    // A key that can not exist can still be asked for.
    assert_eq!(store.get(&vec![b'k'; 100_000]).await.unwrap(), None);
}

pub async fn reopening_keeps_everything(engine: &dyn Engine) {
    for round in 0..4 {
        let store = engine.open().await;
        let found = store.scan(b"kept/", None, 1000).await.unwrap();
        assert_eq!(found.len(), round * 100);
        for part in 0..10 {
            let batch = (0..10).fold(Batch::default(), |batch, n| {
                batch.put(format!("kept/{round}/{part}/{n}"), format!("{n}"))
            });
            store.commit(batch.put("rounds", format!("{round}"))).await.unwrap();
        }
        assert_eq!(store.get(b"rounds").await.unwrap().unwrap(), format!("{round}"));
    }
}

pub async fn given_up_commit_does_no_harm(engine: &dyn Engine) {
    let store = engine.open().await;
    for n in 0..50 {
        let batch =
            Batch::default().put("given-up/a", format!("{n}")).put("given-up/b", format!("{n}"));
        let commit = store.commit(batch);
        let _left = tokio::time::timeout(std::time::Duration::from_micros(n * 20), commit).await;
    }
    store.commit(Batch::default().put("after", "1")).await.unwrap();
    let a = store.get(b"given-up/a").await.unwrap();
    assert_eq!(a, store.get(b"given-up/b").await.unwrap(), "a batch is whole or not there");
}

pub async fn size_is_known(engine: &dyn Engine) {
    let store = engine.open().await;
    store.commit(Batch::default().put("k", vec![1; 10_000])).await.unwrap();
    assert!(store.size().await.unwrap() > 0);
}
