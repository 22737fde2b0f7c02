#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]

use super::*;
use crate::audit::tests::signed::{ENTRIES, SIGNED, Signed};
use crate::check::{Finding, Report, check};
use crate::metadata::records::{AuditEntries, AuditHashes, AuditHead, AuditIndex, KINDS};

/// What a rebuild made of the store, and what a check says of that.
async fn rebuilt(log: &Signed) -> (Rebuilt, Report) {
    log.store.close().await;
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let rebuilt = rebuild(log.data.path(), now, &|_| ()).await.unwrap();
    (rebuilt, check(log.data.path(), &|_| ()).await.unwrap())
}

/// All records of these kinds.
async fn stored(store: &dyn Metadata, kinds: &[&str]) -> Vec<Entry> {
    let mut found = Vec::new();
    for kind in kinds {
        found.extend(store.scan(format!("{kind}/").as_bytes(), None, 10_000).await.unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_taken_over_whole_and_what_is_made_of_it_is_the_same() {
    let log = Signed::new().await;
    let before = stored(log.store.as_ref(), KINDS).await;
    let (told, report) = rebuilt(&log).await;
    assert_eq!((told.entries, told.dropped, told.log_refused), (ENTRIES, 0, None));
    assert_eq!((report.findings, report.entries, report.signed), (vec![], ENTRIES, SIGNED));
    let store = open_store(&store_directory(log.data.path())).await.unwrap();
    assert_eq!(stored(&store, KINDS).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tree_and_the_index_of_a_log_are_made_good() {
    let log = Signed::new().await;
    let before = stored(log.store.as_ref(), &OF_THE_LOG).await;
    log.apart().await;
    log.remove(AuditHashes::key(1).as_bytes()).await;
    log.put(AuditHashes::key(2).as_bytes(), encode(&AuditHashes::default())).await;
    log.edit(AuditHead::key().as_bytes(), "\"root\":\"", "\"root\":\"x").await;
    log.remove(AuditIndex::key("person", "person-3", 17).as_bytes()).await;
    log.put(AuditIndex::key("person", "person-3", 18).as_bytes(), encode(&AuditIndex::default()))
        .await;
    log.put(AuditIndex::key("person", "nobody", 7000).as_bytes(), encode(&AuditIndex::default()))
        .await;
    let (told, report) = rebuilt(&log).await;
    assert_eq!((told.entries, told.log_refused), (ENTRIES, None));
    assert_eq!(report.findings, vec![]);
    let store = open_store(&store_directory(log.data.path())).await.unwrap();
    assert_eq!(stored(&store, &OF_THE_LOG).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_lost_does_not_begin_the_log_anew() {
    let log = Signed::new().await;
    log.remove(AuditHead::key().as_bytes()).await;
    let (told, report) = rebuilt(&log).await;
    assert_eq!((told.entries, told.log_refused), (ENTRIES, None));
    assert_eq!((report.findings, report.entries), (vec![], ENTRIES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_to_entries_is_still_seen_and_the_tree_is_the_signed_one() {
    let log = Signed::new().await;
    log.apart().await;
    log.edit_block(17, "person-3", "person-4").await;
    log.remove(AuditEntries::key(30).as_bytes()).await;
    log.put(AuditEntries::key(31).as_bytes(), "\u{1}{".into()).await;
    let (told, report) = rebuilt(&log).await;
    assert_eq!((told.entries, told.dropped), (ENTRIES - 2, 2));
    assert_eq!(told.log_refused, None, "its tree is the one that was signed");
    let places: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| match finding {
            Finding::AuditLog(fault) => fault.place.as_str(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(places, ["entry 17", "entry 30"], "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_lost_or_cut_is_said_to_be_refused_at_the_next_start() {
    let log = Signed::new().await;
    log.apart().await;
    log.remove(AuditEntries::key(150).as_bytes()).await;
    log.remove(AuditHashes::key(2).as_bytes()).await;
    let (told, _) = rebuilt(&log).await;
    assert_eq!((told.entries, told.dropped), (150, ENTRIES - 151));
    let why = told.log_refused.unwrap();
    assert!(why.contains("has 150 entries, and 200 were signed"), "{why}");
    assert!(
        told.unreadable.iter().any(|text| text.contains("the log ends there now")),
        "{:?}",
        told.unreadable
    );

    let log = Signed::new().await;
    std::fs::write(store_directory(log.data.path()).join("conf"), "\0\0garbage").unwrap();
    let (told, report) = rebuilt(&log).await;
    let why = told.log_refused.unwrap();
    assert!(why.contains("has 0 entries, and 200 were signed"), "{why}");
    let said: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains("--accept-log"), "{said:?}");
}
