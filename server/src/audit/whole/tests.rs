#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]

use super::*;
use crate::audit::checkpoint::KEY_FILE;
use crate::audit::opening::{CHECKPOINT_FILE, replace_file};
use crate::audit::tests::signed::{ENTRIES, SIGNED, Signed};
use crate::metadata::records::encode;
use crate::metadata::sled::{Sled, SledOptions};

async fn inspected(log: &Signed) -> Found {
    inspect(log.store.as_ref(), log.data.path(), &|_| ()).await.unwrap()
}

fn said(found: &Found) -> Vec<(String, String, &'static str)> {
    let said = |fault: &Fault| (fault.place.clone(), fault.what.clone(), fault.remedy);
    found.faults.iter().map(said).collect()
}

fn entry(n: u64) -> Key<AuditRecord> {
    AuditRecord::key(n)
}

#[tokio::test]
async fn a_log_that_is_whole_has_no_faults() {
    let log = Signed::new().await;
    assert_eq!(inspected(&log).await, Found { entries: ENTRIES, signed: SIGNED, faults: vec![] });
    let nothing = tempfile::tempdir().unwrap();
    let store = Sled::open(&nothing.path().join("store"), SledOptions::default()).unwrap();
    let found = inspect(&store, nothing.path(), &|_| ()).await.unwrap();
    assert_eq!(found, Found::default(), "there was never a log");
}

#[tokio::test]
async fn damage_to_an_entry_is_named_with_its_number() {
    let log = Signed::new().await;
    let key = entry(17);
    let before = log.value(key.as_bytes()).await;
    log.edit(key.as_bytes(), "person-3", "person-4").await;
    let found = said(&inspected(&log).await);
    // It is in the index by who did it, as it was.
    assert_eq!(found[0].0, "entry 17");
    assert!(found[0].1.contains("not the one that was hashed"), "{found:?}");
    assert_eq!(found[0].2, RESTORE);
    assert!(
        found.iter().any(|(place, what, _)| {
            place == "entry 17" && what == "the index does not name it by the person person-4"
        }),
        "{found:?}"
    );
    assert_eq!(found.len(), 3, "{found:?}");

    log.put(key.as_bytes(), Bytes::from_static(b"\x01{")).await;
    let found = said(&inspected(&log).await);
    assert!(found[0].1.starts_with("it can not be read"), "{found:?}");

    log.remove(key.as_bytes()).await;
    log.remove(entry(18).as_bytes()).await;
    let found = said(&inspected(&log).await);
    let what = "it is not there, nor is any up to entry 18".to_owned();
    assert_eq!(found[0], ("entry 17".to_owned(), what, RESTORE));
    assert!(found[1].1.contains("names entry 1"), "{found:?}");

    // Put in another's place.
    log.put(key.as_bytes(), log.value(entry(19).as_bytes()).await).await;
    let found = said(&inspected(&log).await);
    assert!(found[0].1.contains("number that is not its own"), "{found:?}");
    log.put(key.as_bytes(), before).await;
    log.put(entry(ENTRIES + 4).as_bytes(), log.value(entry(19).as_bytes()).await).await;
    let found = said(&inspected(&log).await);
    assert!(
        found.iter().any(|(place, what, _)| {
            place == "entry 304" && what == "it is behind the end: the log has 300 entries"
        }),
        "{found:?}"
    );
}

#[tokio::test]
async fn damage_to_the_tree_is_named_with_its_record_and_can_be_made_good() {
    let key = AuditHashes::key(1);
    let log = Signed::new().await;
    let before = records::read(log.store.as_ref(), &key).await.unwrap().unwrap();
    // Where a leaf is, and where none is.
    for place in [0, 1, 2, 3] {
        let at = place * 32 * 4 / 3 + 4;
        let mut hashes = before.hashes.clone().into_bytes();
        hashes[at] = if hashes[at] == b'A' { b'B' } else { b'A' };
        let damaged = AuditHashes { hashes: String::from_utf8(hashes).unwrap() };
        log.put(key.as_bytes(), encode(&damaged)).await;
        let found = said(&inspected(&log).await);
        assert!(!found.is_empty(), "{place}");
        for (place, what, remedy) in &found {
            assert!(
                place.starts_with("audit-hashes/")
                    || place.starts_with("entry ")
                    || place.starts_with("audit-head/"),
                "{place}: {what}"
            );
            assert_eq!(*remedy, REBUILD, "the entries are those that were signed: {found:?}");
        }
    }
    log.remove(key.as_bytes()).await;
    let found = said(&inspected(&log).await);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "audit-hashes/00000000000000000001");
    log.put(key.as_bytes(), encode(&before)).await;
    log.put(AuditHashes::key(70).as_bytes(), encode(&before)).await;
    let found = said(&inspected(&log).await);
    assert_eq!(found[0].1, "it is behind the end of the tree");
    log.remove(AuditHashes::key(70).as_bytes()).await;

    let head = AuditHead::key();
    let was = log.value(head.as_bytes()).await;
    log.edit(head.as_bytes(), "\"size\":300", "\"size\":299").await;
    let found = said(&inspected(&log).await);
    assert!(found.iter().any(|(place, ..)| place == "entry 299"), "{found:?}");
    log.edit(head.as_bytes(), "\"size\":299", "\"size\":99999999999").await;
    let found = said(&inspected(&log).await);
    assert!(found.iter().any(|(place, ..)| place == "entry 300"), "{found:?}");
    log.remove(head.as_bytes()).await;
    let found = said(&inspected(&log).await);
    assert!(found.iter().any(|(place, ..)| place == "audit-head/state"), "{found:?}");
    log.put(head.as_bytes(), was).await;
    assert_eq!(said(&inspected(&log).await), []);
}

#[tokio::test]
async fn the_index_names_every_entry_and_nothing_else() {
    let log = Signed::new().await;
    let lost = AuditIndex::key(index::PERSON, "person-3", 17);
    log.remove(lost.as_bytes()).await;
    let what = "the index does not name it by the person person-3".to_owned();
    assert_eq!(said(&inspected(&log).await), [("entry 17".to_owned(), what, REBUILD)]);
    // As many, and another one.
    for (n, what) in [
        (16, "it names entry 16, which is not about that"),
        (ENTRIES, "it names entry 300, which is not there"),
    ] {
        let stray = AuditIndex::key(index::PERSON, "person-3", n);
        log.put(stray.as_bytes(), encode(&AuditIndex {})).await;
        let found = said(&inspected(&log).await);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[1], (show_key(stray.as_bytes()), what.to_owned(), REBUILD));
        log.remove(stray.as_bytes()).await;
    }
    // Very many faults are counted.
    for n in 0..ENTRIES {
        log.remove(AuditIndex::key(index::PACKAGE, &format!("npm:p{n}"), n).as_bytes()).await;
    }
    let found = said(&inspected(&log).await);
    assert_eq!(found.len() as u64, NAMED + 1);
    assert_eq!(found.last().unwrap().1, format!("{} more of this kind", ENTRIES + 1 - NAMED));
}

#[tokio::test]
async fn a_log_that_fits_together_is_held_against_what_was_signed() {
    let log = Signed::new().await;
    // The tail is gone, and what is left fits together: a store of an older backup.
    let other = Signed::new().await;
    std::fs::copy(other.file(KEY_FILE), log.file(KEY_FILE)).unwrap();
    let found = said(&inspected(&log).await);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].0 == KEY_FILE && found[1].1.starts_with("it is not believed"), "{found:?}");
    // Another log, signed by the key of this one.
    let key = crate::audit::checkpoint::LogKey::find(other.data.path()).unwrap().unwrap();
    let forged = Bytes::from(
        String::from_utf8(log.value(AuditHead::key().as_bytes()).await.to_vec()).unwrap(),
    );
    let mut head: AuditHead = records::decode(AuditHead::key().as_bytes(), &forged).unwrap();
    head.key = Some(key.public().to_owned());
    log.put(AuditHead::key().as_bytes(), encode(&head)).await;
    let edge = Edge::read(log.store.as_ref(), 150).await.unwrap();
    for (size, root, expected) in [
        (150, edge.root().unwrap(), None),
        (150, record_hash(b"x"), Some("the first 150 entries are not those that were signed")),
        (301, record_hash(b"x"), Some("it was signed for 301 entries, and the log has 300")),
    ] {
        let note = key.sign(size, root).unwrap();
        replace_file(&log.file(CHECKPOINT_FILE), &note).unwrap();
        let found = said(&inspected(&log).await);
        let expected: Vec<_> = expected
            .map(|what| (CHECKPOINT_FILE.to_owned(), what.to_owned(), ACCEPT))
            .into_iter()
            .collect();
        assert_eq!(found, expected);
    }
    std::fs::remove_file(log.file(CHECKPOINT_FILE)).unwrap();
    assert!(said(&inspected(&log).await)[0].1.contains("nothing vouches for the log"));
    std::fs::remove_file(log.file(KEY_FILE)).unwrap();
    assert!(
        said(&inspected(&log).await)[0].1.contains("it is not there, and the log was signed by")
    );
    assert!(!log.file(KEY_FILE).exists(), "nothing was changed");
}
