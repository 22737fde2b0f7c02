//! What is looked for is found whole, whatever is asked for together, and costs little.

use super::*;

fn numbers(page: &Page) -> Vec<u64> {
    page.entries.iter().map(|logged| logged.n).collect()
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

/// Counts what is read of a store.
#[derive(Debug)]
struct Counting {
    store: Arc<dyn Metadata>,
    read: std::sync::atomic::AtomicUsize,
}

#[async_trait::async_trait]
impl Metadata for Counting {
    async fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, MetadataError> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.store.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<crate::metadata::Entry>, MetadataError> {
        let found = self.store.scan(prefix, after, limit).await?;
        self.read.fetch_add(1 + found.len(), Ordering::Relaxed);
        Ok(found)
    }

    async fn commit(&self, batch: Batch) -> Result<(), MetadataError> {
        self.store.commit(batch).await
    }

    async fn size(&self) -> Result<u64, MetadataError> {
        self.store.size().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[tokio::test]
async fn what_is_found_by_an_index_costs_what_is_found_and_not_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let (store, key) = (sled(&home), LogKey::make("log"));
    let at = |n: i64| jiff::Timestamp::from_second(1_800_000_000 + n).unwrap();
    for first in (0..6000).step_by(200) {
        let batch = (first..first + 200).fold(Batch::default(), |batch, n| {
            let entry = Entry::new(Action::Admitted).by(&format!("person-{}", n % 1000));
            batch.note(entry.package(&format!("npm:p{}", n % 2000)), at(n))
        });
        store.commit(batch).await.unwrap();
    }
    let (log, _, keeping) = opened(&store, &key);
    let grown = async { log.watch().wait_for(|size| *size == 6000).await.map(|_| ()) };
    tokio::time::timeout(Duration::from_mins(1), grown).await.unwrap().unwrap();
    while indexing::indexed(store.as_ref()).await.unwrap() < 6000 - 6000 % indexing::STRETCH {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(keeping);
    let counting = Arc::new(Counting { store, read: std::sync::atomic::AtomicUsize::new(0) });
    let (_, size) = watch::channel(0);
    let inner =
        Inner { metadata: Arc::clone(&counting) as _, key, size, trouble: Trouble::default() };
    let log = Log(Arc::new(inner));
    let by = |package: Option<&str>, person: Option<&str>| Filter {
        package: package.map(str::to_owned),
        person: person.map(str::to_owned),
        ..Filter::default()
    };
    let rows = [
        (by(Some("npm:p7"), None), 3, 24),
        (by(None, Some("person-7")), 6, 28),
        (by(Some("npm:p7"), Some("person-7")), 3, 24),
        (by(Some("npm:none"), None), 0, 12),
        (Filter { since: Some(at(10_000_000)), ..by(None, Some("person-7")) }, 0, 40),
        (Filter { until: Some(at(-10_000_000)), ..by(None, Some("person-7")) }, 0, 40),
    ];
    for (filter, expected, most) in rows {
        counting.read.store(0, Ordering::Relaxed);
        let page = log.find(&filter, Order::Newest, None, 100).await.unwrap();
        let read = counting.read.load(Ordering::Relaxed);
        assert_eq!((page.entries.len(), page.next), (expected, None), "{filter:?}");
        assert!(read <= most, "{read} records are read for {filter:?}");
    }
    // Of several kinds, too.
    counting.read.store(0, Ordering::Relaxed);
    let rare =
        Filter { actions: vec!["login".to_owned(), "rule-made".to_owned()], ..by(None, None) };
    let page = log.find(&rare, Order::Newest, None, 100).await.unwrap();
    assert!(page.entries.is_empty() && page.next.is_none(), "{:?}", page.next);
    assert!(counting.read.load(Ordering::Relaxed) < 16);
    // And the oldest first, as they are exported and followed.
    for (filter, expected) in [(by(Some("npm:p7"), None), 3), (by(None, Some("person-7")), 6)] {
        counting.read.store(0, Ordering::Relaxed);
        let page = log.find(&filter, Order::Oldest, None, 100).await.unwrap();
        assert_eq!((page.entries.len(), page.next), (expected, None), "{filter:?}");
        let read = counting.read.load(Ordering::Relaxed);
        assert!(read <= 60, "{read} records are read for {filter:?}");
    }
}

/// An index without entries: what has nothing in common needs none.
async fn indexed(store: &Arc<dyn Metadata>, lists: &[(&str, u64)]) {
    const SIZE: u64 = 60_000;
    let mut parts = records::Parts::new(store.as_ref());
    for (place, (person, every)) in lists.iter().enumerate() {
        for n in (place as u64..SIZE).step_by(usize::try_from(*every).unwrap()) {
            let key = records::AuditIndex::key(index::PERSON, person, n);
            let key =
                if place == 0 { key } else { records::AuditIndex::key(index::PACKAGE, person, n) };
            let change = crate::metadata::Change::put_record(&key, &records::AuditIndex::default());
            parts.push(change).await.unwrap();
        }
    }
    let at = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let head = AuditHead { size: SIZE, root: String::new(), logged: at, key: None };
    let head = crate::metadata::Change::put_record(&AuditHead::key(), &head);
    parts.push(head).await.unwrap();
    let indexed = records::AuditIndexed { to: SIZE };
    let indexed = crate::metadata::Change::put_record(&records::AuditIndexed::key(), &indexed);
    parts.push(indexed).await.unwrap();
    parts.finish().await.unwrap();
}

#[tokio::test]
async fn what_is_frequent_alone_and_rare_together_comes_in_pages_that_cost_little() {
    let home = tempfile::tempdir().unwrap();
    let (store, key) = (sled(&home), LogKey::make("log"));
    indexed(&store, &[("ci", 2), ("npm:x", 2)]).await;
    let counting = Arc::new(Counting { store, read: std::sync::atomic::AtomicUsize::new(0) });
    let (_, size) = watch::channel(0);
    let inner =
        Inner { metadata: Arc::clone(&counting) as _, key, size, trouble: Trouble::default() };
    let log = Log(Arc::new(inner));
    let filter = Filter {
        person: Some("ci".to_owned()),
        package: Some("npm:x".to_owned()),
        ..Filter::default()
    };
    for order in [Order::Newest, Order::Oldest] {
        let (mut after, mut pages) = (None, 0);
        loop {
            counting.read.store(0, Ordering::Relaxed);
            let page = log.find(&filter, order, after, 100).await.unwrap();
            let read = counting.read.load(Ordering::Relaxed);
            assert!(page.entries.is_empty() && read < 40_000, "{order:?}: {read}");
            pages += 1;
            let is_further = match (order, after, page.next) {
                (_, _, None) => break,
                (_, None, Some(_)) => true,
                (Order::Newest, Some(before), Some(next)) => next < before,
                (Order::Oldest, Some(before), Some(next)) => next > before,
            };
            assert!(is_further, "{order:?}: {after:?} {:?}", page.next);
            after = page.next;
        }
        assert!(pages > 1, "{order:?}: all of it is read for one page");
    }
}

/// What a filter finds, looked for in the plainest way.
fn plainly(all: &[Logged], filter: &Filter, order: Order) -> Vec<u64> {
    let is = |wanted: &Option<String>, found: Option<&String>| {
        wanted.is_none() || wanted.as_ref() == found
    };
    let found = all.iter().filter(|logged| {
        let record = &logged.record;
        is(&filter.person, record.who.as_ref())
            && is(&filter.package, record.packages.first())
            && is(&filter.subject, record.subject.as_ref())
            && (filter.actions.is_empty() || filter.actions.contains(&record.action))
            && filter.since.is_none_or(|since| record.at >= since)
            && filter.until.is_none_or(|until| record.at <= until)
    });
    let mut found: Vec<u64> = found.map(|logged| logged.n).collect();
    if order == Order::Newest {
        found.reverse();
    }
    found
}

#[tokio::test]
async fn whatever_is_asked_for_together_is_found_whole_and_once() {
    let garden = garden();
    let actions = [Action::Admitted, Action::Refused, Action::RuleMade, Action::Login];
    let mut random: u64 = 7;
    let mut next = |below: usize| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    for _ in 0..4 {
        let batch = (0..150).fold(Batch::default(), |batch, _| {
            let entry = Entry::new(actions[next(4)]).by(&format!("person-{}", next(3)));
            let entry = entry.package(&format!("npm:p{}", next(5)));
            let entry = entry.subject(&format!("s{}", next(40)));
            batch.note(entry, clock(&garden.seconds).now())
        });
        garden.store.commit(batch).await.unwrap();
    }
    garden.log.watch().wait_for(|size| *size == 600).await.unwrap();
    let all = garden.lines().await;
    let mut some = |name: &str, of: usize| (next(3) == 0).then(|| format!("{name}{}", next(of)));
    let mut filters = Vec::new();
    for _ in 0..24 {
        let filter = Filter {
            person: some("person-", 4),
            package: some("npm:p", 6),
            subject: some("s", 41),
            ..Filter::default()
        };
        filters.push(filter);
    }
    for (n, mut filter) in filters.into_iter().enumerate() {
        filter.actions = actions[..n % 4].iter().map(|action| action.as_str().to_owned()).collect();
        if n % 5 == 0 {
            filter.since = Some(all[n * 3].record.at);
            filter.until = Some(all[n * 3 + 300].record.at);
        }
        for order in [Order::Newest, Order::Oldest] {
            for limit in [5, 1000] {
                let (mut found, mut after) = (Vec::new(), None);
                loop {
                    let page = garden.log.find(&filter, order, after, limit).await.unwrap();
                    assert!(page.entries.len() <= limit);
                    found.extend(numbers(&page));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(found, plainly(&all, &filter, order), "{filter:?} {order:?} {limit}");
            }
        }
    }
}
