#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;

use super::*;
use crate::metadata::Batch;
use crate::metadata::sled::{Sled, SledOptions};

struct Garden {
    _home: TempDir,
    log: Log,
    store: Arc<Audited>,
    _keeping: Keeping,
    seconds: Arc<AtomicI64>,
}

/// With a clock that goes on by a second at each look.
fn clock(seconds: &Arc<AtomicI64>) -> Clock {
    let seconds = Arc::clone(seconds);
    Clock::from_fn(move || {
        jiff::Timestamp::from_second(1_800_000_000 + seconds.fetch_add(1, Ordering::Relaxed))
            .unwrap()
    })
}

fn garden() -> Garden {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let seconds = Arc::new(AtomicI64::new(0));
    let (log, store, keeping) = Log::open(Arc::new(store), clock(&seconds));
    Garden { _home: home, log, store, _keeping: keeping, seconds }
}

impl Garden {
    async fn write(&self, entry: Entry) {
        let at = clock(&self.seconds).now();
        self.store.commit(Batch::default().note(entry, at)).await.unwrap();
    }

    /// Once they have their numbers.
    async fn lines(&self) -> Vec<Logged> {
        self.log.settle().await.unwrap();
        self.log.since(0, 1000).await.unwrap()
    }
}

fn numbers(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|logged| logged.n).collect()
}

#[tokio::test]
async fn entries_get_their_numbers_soon_and_who_waits_is_woken() {
    let garden = garden();
    let mut size = garden.log.watch();
    for name in ["a", "b", "c"] {
        garden.write(Entry::new(Action::RuleMade).by("ann").subject(name)).await;
    }
    let waiting = async { size.wait_for(|size| *size == 3).await.map(|_| ()) };
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    let found = garden.lines().await;
    let said: Vec<(u64, &str)> =
        found.iter().map(|logged| (logged.n, logged.record.subject.as_deref().unwrap())).collect();
    assert_eq!(said, [(0, "a"), (1, "b"), (2, "c")]);
    let newer = garden.log.since(2, 10).await.unwrap();
    assert_eq!(newer.len(), 1);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&newer[0].line).unwrap()["n"], 2);
}

#[tokio::test]
async fn what_is_looked_for_is_found_page_by_page_in_both_orders() {
    let garden = garden();
    for n in 0..30 {
        let person = if n % 3 == 0 { "ann" } else { "bob" };
        let package = format!("npm:p{}", n % 5);
        garden.write(Entry::new(Action::Admitted).by(person).package(&package)).await;
    }
    garden.lines().await;
    let ann = Filter { person: Some("ann".to_owned()), ..Filter::default() };
    let find = async |filter: &Filter, order, after, limit| {
        garden.log.find(filter, order, after, limit).await.unwrap()
    };
    let first = find(&ann, Order::Newest, None, 4).await;
    assert_eq!(numbers(&first), [27, 24, 21, 18]);
    let second = find(&ann, Order::Newest, first.next, 100).await;
    assert_eq!((numbers(&second), second.next), (vec![15, 12, 9, 6, 3, 0], None));
    let oldest = find(&ann, Order::Oldest, Some(3), 2).await;
    assert_eq!((numbers(&oldest), oldest.next), (vec![6, 9], Some(9)));
    let both = Filter { package: Some("npm:p0".to_owned()), ..ann.clone() };
    assert_eq!(numbers(&find(&both, Order::Newest, None, 10).await), [15, 0]);
    let all = find(&Filter::default(), Order::Newest, None, 1000).await;
    assert_eq!(numbers(&all), (0..30).rev().collect::<Vec<_>>());
    let nobody = Filter { person: Some("an".to_owned()), ..Filter::default() };
    assert!(find(&nobody, Order::Newest, None, 10).await.entries.is_empty());
}

#[tokio::test]
async fn only_what_lies_between_two_moments_is_found() {
    let garden = garden();
    for n in 0..10 {
        garden.write(Entry::new(Action::RuleMade).by("ann").subject(&n.to_string())).await;
    }
    let found = garden.lines().await;
    let at = |n: usize| Some(found[n].record.at);
    for order in [Order::Newest, Order::Oldest] {
        for person in [None, Some("ann".to_owned())] {
            let filter = Filter { since: at(3), until: at(6), person, ..Filter::default() };
            let page = garden.log.find(&filter, order, None, 100).await.unwrap();
            let mut found = numbers(&page);
            found.sort_unstable();
            assert_eq!((found, page.next), (vec![3, 4, 5, 6], None), "{order:?}");
        }
    }
}
