#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]

use super::*;
use crate::audit::checkpoint::KEY_FILE;
use crate::audit::opening::{CHECKPOINT_FILE, replace_file};
use crate::audit::tests::signed::{ENTRIES, LISTED, SIGNED, Signed};
use crate::metadata::records::{AuditEntries, AuditIndex, encode};
use crate::metadata::sled::{Sled, SledOptions};

async fn inspected(log: &Signed) -> Found {
    inspect(log.store.as_ref(), log.data.path(), &|_| ()).await.unwrap()
}

fn said(found: &Found) -> Vec<(String, String, &'static str)> {
    let said = |fault: &Fault| (fault.place.clone(), fault.what.clone(), fault.remedy);
    found.faults.iter().map(said).collect()
}

fn entry(n: u64) -> Key<AuditEntries> {
    AuditEntries::key(n)
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
    log.apart().await;
    assert_eq!(said(&inspected(&log).await), []);
    let key = entry(17);
    let before = log.value(key.as_bytes()).await;
    log.edit_block(17, "person-3", "person-4").await;
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
    log.apart().await;
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
        log.put(stray.as_bytes(), encode(&AuditIndex::default())).await;
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
    assert_eq!(found.last().unwrap().1, format!("{} more of this kind", LISTED + 1 - NAMED));
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

#[tokio::test]
async fn damage_to_a_block_is_named_with_its_entries() {
    let log = Signed::new().await;
    let blocks = log.store.scan(b"audit/", None, 3).await.unwrap();
    let key = blocks[1].key.clone();
    let (first, end) = {
        let block = Block::read(&blocks[1]).unwrap();
        (block.first(), block.end())
    };
    // One entry in it.
    log.edit_block(end - 1, "person-", "person-x").await;
    let found = said(&inspected(&log).await);
    assert!(
        found.iter().all(|(place, ..)| *place == format!("entry {first}")
            || place.starts_with("audit-by/person/")),
        "{found:?}"
    );
    assert!(found[0].1.contains("not the one that was hashed"), "{found:?}");
    // All of it.
    log.put(&key, blocks[1].value.slice(..20)).await;
    let found = said(&inspected(&log).await);
    let what = format!("it can not be read, nor can any up to entry {}: ", end - 1);
    assert!(found[0].0 == format!("entry {first}") && found[0].1.starts_with(&what), "{found:?}");
    assert_eq!((found.len(), found[0].2), (1, RESTORE), "{found:?}");
    log.remove(&key).await;
    let found = said(&inspected(&log).await);
    let what = format!("it is not there, nor is any up to entry {}", end - 1);
    assert_eq!(found[0], (format!("entry {first}"), what, RESTORE));
    log.put(&key, blocks[1].value.clone()).await;
    assert_eq!(said(&inspected(&log).await), []);
    // Another one over the same entries.
    let last = AuditEntries::key(first);
    let line = Block::read(&blocks[1]).unwrap().into_lines().next().unwrap().1;
    log.put(last.as_bytes(), encode(&AuditEntries(vec![line]))).await;
    let found = said(&inspected(&log).await);
    assert_eq!(found, [(format!("entry {first}"), "it is there twice".to_owned(), REBUILD)]);
}

#[tokio::test]
async fn parts_of_a_list_that_are_in_each_others_way_or_can_not_be_read_are_named() {
    let log = Signed::new().await;
    let list = AuditIndex::of_value(index::PERSON, "person-3");
    let before = log.store.scan(list.as_bytes(), None, 1).await.unwrap().remove(0);
    // It names the entries 3, 10, ... 255; so does this one the last two, in a part that begins later.
    let key = AuditIndex::key(index::PERSON, "person-3", 248);
    log.put(key.as_bytes(), encode(&AuditIndex(vec![7]))).await;
    let what = "its numbers are not all below those of the part before it".to_owned();
    assert_eq!(said(&inspected(&log).await), [(show_key(&before.key), what, REBUILD)]);
    log.remove(key.as_bytes()).await;
    let before = AuditIndex::key(index::PACKAGE, "npm:p17", 17).to_bytes();
    log.put(&before, Bytes::from_static(b"\x01[0]")).await;
    let found = said(&inspected(&log).await);
    let what = "the index does not name it by the package npm:p17".to_owned();
    assert_eq!(found[0], ("entry 17".to_owned(), what, REBUILD));
    let unread = found.iter().find(|(place, ..)| *place == show_key(&before)).unwrap();
    assert!(unread.1.contains("do not follow each other") && unread.2 == REBUILD, "{found:?}");
}

#[tokio::test]
async fn the_newest_entries_need_not_be_in_the_index_and_may_be() {
    let log = Signed::new().await;
    let there = log.store.scan(b"audit-by/package/npm:p299/", None, 1).await.unwrap();
    assert!(there.is_empty() && LISTED < 299);
    let early = AuditIndex::key(index::PACKAGE, "npm:p299", 299);
    log.put(early.as_bytes(), encode(&AuditIndex::default())).await;
    assert_eq!(said(&inspected(&log).await), []);
    let key = AuditIndexed::key();
    log.put(key.as_bytes(), encode(&AuditIndexed { to: ENTRIES + 1 })).await;
    let found = said(&inspected(&log).await);
    let what = "it says that 301 entries are in the index".to_owned();
    assert!(found.contains(&(show_key(key.as_bytes()), what, REBUILD)), "{found:?}");
    assert!(found.iter().any(|(place, ..)| place == "entry 256"), "{found:?}");
    log.put(key.as_bytes(), Bytes::from_static(b"\x01{")).await;
    let found = said(&inspected(&log).await);
    assert_eq!((&*found[0].0, found[0].2), ("audit-indexed/state", REBUILD), "{found:?}");
    assert_eq!(found.len(), 1, "{found:?}");
}
