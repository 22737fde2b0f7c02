#![allow(clippy::unwrap_used)]

use super::*;
use crate::metadata::Batch;
use crate::metadata::sled::{Sled, SledOptions};

fn name() -> Name {
    (index::PERSON, "ann".to_owned())
}

async fn listed(steps: &[Vec<u64>]) -> Vec<Entry> {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    for numbers in steps {
        let changes = lengthen(&store, name(), numbers.clone()).await.unwrap();
        store.commit(Batch { changes, ..Batch::default() }).await.unwrap();
    }
    store.scan(b"audit-by/", None, 10_000).await.unwrap()
}

#[tokio::test]
async fn the_same_numbers_come_to_the_same_parts_however_many_come_at_once() {
    let dense = (0..1000).collect::<Vec<u64>>();
    let sparse = (0..300).map(|n| n * 77_777 + n % 7).collect::<Vec<_>>();
    for numbers in [dense, sparse, vec![0, u64::MAX - 1]] {
        let whole = listed(std::slice::from_ref(&numbers)).await;
        let some: Vec<Vec<u64>> = numbers.chunks(7).map(<[u64]>::to_vec).collect();
        assert_eq!(listed(&some).await, whole);
        let parts: Vec<Part> = whole.iter().map(|entry| Part::read(entry).unwrap()).collect();
        let found: Vec<u64> = parts.iter().flat_map(Part::numbers).collect();
        assert!(found.iter().rev().eq(&numbers), "{found:?}");
        for entry in &whole {
            assert!(entry.value.len() < BYTES + 40, "{}", entry.value.len());
        }
        assert!(parts.len() <= 1 + numbers.len() / 40, "{}", parts.len());
    }
}

#[tokio::test]
async fn numbers_that_are_there_are_not_put_there_again() {
    let whole = listed(&[(0..300).collect()]).await;
    for steps in [[0..100, 0..300], [0..299, 200..300], [0..300, 0..300]] {
        assert_eq!(listed(&steps.map(Iterator::collect)).await, whole);
    }
}

#[tokio::test]
async fn what_can_not_be_read_holds_up_nobody() {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let damaged = AuditIndex::key(index::PERSON, "ann", 3).to_bytes();
    store.commit(Batch::default().put(damaged, "\u{1}[0]")).await.unwrap();
    let found = lengthen(&store, name(), vec![7]).await.unwrap();
    let expected = AuditIndex::key(index::PERSON, "ann", 7);
    assert_eq!((found.len(), &found[0].key), (1, &expected.to_bytes()));
}

#[test]
fn steps_that_lead_nowhere_are_damaged() {
    for steps in [vec![0], vec![1, 0], vec![u64::MAX]] {
        let key = AuditIndex::key(index::PERSON, "ann", 3).to_bytes();
        let value = crate::metadata::records::encode(&AuditIndex(steps.clone()));
        let found = Part::read(&Entry { key, value });
        assert!(matches!(found, Err(MetadataError::Damaged { .. })), "{steps:?}: {found:?}");
    }
}
