#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]

mod told;

use std::sync::atomic::{AtomicI64, Ordering};

use policies::rules::Draft;
use tempfile::TempDir;

use super::checkpoint::Checkpoint;
use super::verify::{Named, Verifier};
use super::*;
use crate::access::Person;
use crate::access::register::{Life, NewToken, Register};
use crate::access::rights::Rights;
use crate::access::secret::TokenKind;
use crate::metadata::Batch;
use crate::metadata::refusing::Refusing;
use crate::metadata::sled::{Sled, SledOptions};
use crate::rules::{Rules, RulesConfig};

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
    let (log, store, keeping) = Log::open(Arc::new(store), clock(&seconds), LogKey::make("log"));
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

/// What one process has over a store.
fn opened(store: &Arc<dyn Metadata>, key: &LogKey) -> (Log, Arc<Audited>, Keeping) {
    Log::open(Arc::clone(store), clock(&Arc::default()), key.clone())
}

fn sled(home: &TempDir) -> Arc<dyn Metadata> {
    Arc::new(Sled::open(&home.path().join("store"), SledOptions::default()).unwrap())
}

#[tokio::test]
async fn of_two_processes_each_entry_gets_one_number_and_none_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let (store, key) = (sled(&home), LogKey::make("log"));
    let ((one, first, _one), (two, second, _two)) = (opened(&store, &key), opened(&store, &key));
    let writes = (0..400).map(|n| {
        let store = if n % 2 == 0 { &first } else { &second };
        let entry = Entry::new(Action::Admitted).package(&format!("npm:p{n}"));
        let at = jiff::Timestamp::from_second(1_800_000_000 + n).unwrap();
        store.commit(Batch::default().note(entry, at))
    });
    futures_util::future::try_join_all(writes).await.unwrap();
    while one.size().await.unwrap() < 400 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = two.since(0, 1000).await.unwrap();
    assert!(found.iter().map(|logged| logged.n).eq(0..400));
    let mut packages: Vec<&String> =
        found.iter().flat_map(|logged| &logged.record.packages).collect();
    packages.sort_unstable();
    packages.dedup();
    assert_eq!(packages.len(), 400);
    let checkpoint = Checkpoint::read(&two.checkpoint().await.unwrap(), key.public()).unwrap();
    let mut verifier = Verifier::new(vec![Named { name: "now".to_owned(), checkpoint }]);
    for logged in &found {
        verifier.line(&logged.line).unwrap();
    }
    assert_eq!(verifier.finish().unwrap().vouched, 400);
}

#[tokio::test]
async fn proofs_convince_who_has_nothing_but_checkpoints() {
    let garden = garden();
    let key = garden.log.0.key.public().to_owned();
    let read = async |log: &Log| Checkpoint::read(&log.checkpoint().await.unwrap(), &key).unwrap();
    let mut checkpoints = Vec::new();
    for n in 0..70 {
        garden.write(Entry::new(Action::Admitted).package(&format!("npm:p{n}"))).await;
        if n % 10 == 0 {
            garden.lines().await;
            checkpoints.push(read(&garden.log).await);
        }
    }
    let lines = garden.lines().await;
    let now = read(&garden.log).await;
    assert_eq!(now.size, 70);
    for n in [0, 1, 31, 32, 69] {
        let proof = garden.log.prove_inclusion(n, None).await.unwrap();
        let line = &lines[usize::try_from(n).unwrap()].line;
        assert!(proof.holds(line, &now), "{n}");
        assert!(!proof.holds(b"{}", &now) && !proof.holds(line, &checkpoints[0]), "{n}");
    }
    for before in &checkpoints {
        let proof = garden.log.prove_consistency(before.size, None).await.unwrap();
        assert!(proof.holds(before, &now), "{}", before.size);
        let forged = Checkpoint { root: now.root, ..before.clone() };
        assert!(!proof.holds(&forged, &now), "{}", before.size);
    }
    for (n, size) in [(70, None), (0, Some(71)), (5, Some(5))] {
        let refused = garden.log.prove_inclusion(n, size).await;
        assert!(matches!(refused, Err(ProofError::OutOfRange(_))), "{n} {size:?}");
    }
    for (from, to) in [(0, None), (71, None), (9, Some(8)), (1, Some(71))] {
        let refused = garden.log.prove_consistency(from, to).await;
        assert!(matches!(refused, Err(ProofError::OutOfRange(_))), "{from} {to:?}");
    }
}

#[tokio::test]
async fn what_waits_at_a_crash_is_numbered_after_it() {
    let home = tempfile::tempdir().unwrap();
    let (store, key) = (sled(&home), LogKey::make("log"));
    for n in 0..300 {
        let entry = Entry::new(Action::Admitted).package(&format!("npm:p{n}"));
        let at = jiff::Timestamp::from_second(1_800_000_000 + n).unwrap();
        store.commit(Batch::default().note(entry, at)).await.unwrap();
    }
    let (log, _, _keeping) = opened(&store, &key);
    log.settle().await.unwrap();
    while log.size().await.unwrap() < 300 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = log.since(0, 1000).await.unwrap();
    let order: Vec<String> = found.iter().map(|logged| logged.record.packages[0].clone()).collect();
    assert!(order.iter().eq((0..300).map(|n| format!("npm:p{n}")).collect::<Vec<_>>().iter()));
}

#[tokio::test]
async fn an_entry_that_can_not_be_read_holds_up_nobody() {
    let home = tempfile::tempdir().unwrap();
    let (store, key) = (sled(&home), LogKey::make("log"));
    let broken = Batch::default().put("audit-waiting/00000000000000000001-x", "\u{1}nonsense");
    store.commit(broken).await.unwrap();
    let at = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let entry = Entry::new(Action::RuleMade).by("ann").subject("next");
    store.commit(Batch::default().note(entry, at)).await.unwrap();
    let (log, _, _keeping) = opened(&store, &key);
    log.settle().await.unwrap();
    let found = log.since(0, 10).await.unwrap();
    let said: Vec<_> = found.iter().map(|logged| logged.record.subject.as_deref()).collect();
    assert_eq!(said, [Some("unreadable"), Some("next")]);
    assert!(found[0].record.details.contains_key("bytes"));
}

/// A data directory, and the store in it at a moment.
struct Copies {
    data: TempDir,
    clock: Clock,
}

impl Copies {
    async fn start(&self, store: &Arc<dyn Metadata>, accept: Option<&str>) -> Result<Log, String> {
        let opening = Opening {
            data: self.data.path().to_owned(),
            origin: Some("log".to_owned()),
            accept: accept.map(str::to_owned),
        };
        let key = open_key(&opening, store.as_ref(), &self.clock).await;
        let key = key.map_err(|fault| fault.to_string())?;
        let (log, _, keeping) = Log::open(Arc::clone(store), self.clock.clone(), key);
        // It ends with the test's runtime.
        std::mem::forget(keeping);
        Ok(log)
    }

    async fn write(&self, store: &Arc<dyn Metadata>, log: &Log, count: usize) {
        for _ in 0..count {
            let entry = Entry::new(Action::RuleMade).by("ann");
            store.commit(Batch::default().note(entry, self.clock.now())).await.unwrap();
        }
        log.settle().await.unwrap();
        let path = self.data.path().join(opening::CHECKPOINT_FILE);
        opening::replace_file(&path, &log.checkpoint().await.unwrap()).unwrap();
    }
}

#[tokio::test]
async fn a_store_whose_log_is_not_the_one_that_was_signed_is_refused_until_somebody_says_why() {
    let copies =
        Copies { data: tempfile::tempdir().unwrap(), clock: clock(&Arc::new(AtomicI64::new(0))) };
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (store, other) = (sled(&homes[0]), sled(&homes[1]));
    let log = copies.start(&store, None).await.unwrap();
    copies.write(&store, &log, 5).await;
    // The same store again, also when it is ahead of the file.
    let log = copies.start(&store, None).await.unwrap();
    copies.write(&store, &log, 1).await;

    // A store without a log, as of an older backup.
    let told = copies.start(&other, None).await.unwrap_err();
    assert!(
        told.contains("0 entries, and 6 were signed") && told.contains("--accept-log"),
        "{told}"
    );
    // One that has as many, and others.
    let aside = copies.data.path().join("aside");
    let file = |name: &str| copies.data.path().join(name);
    std::fs::rename(file(opening::CHECKPOINT_FILE), &aside).unwrap();
    let second = copies.start(&other, None).await.unwrap();
    for _ in 0..9 {
        let entry = Entry::new(Action::RuleMade).by("eve");
        other.commit(Batch::default().note(entry, copies.clock.now())).await.unwrap();
    }
    second.settle().await.unwrap();
    std::fs::copy(&aside, file(opening::CHECKPOINT_FILE)).unwrap();
    let told = copies.start(&other, None).await.unwrap_err();
    assert!(told.contains("are others than those that were signed"), "{told}");

    // Whoever knows why says so, and that is in the log.
    let accepted = copies.start(&other, Some("restored after INC-7")).await.unwrap();
    accepted.settle().await.unwrap();
    let last = accepted.since(0, 100).await.unwrap().pop().unwrap();
    assert_eq!(last.record.action, "log-changed");
    assert_eq!(last.record.why.as_deref(), Some("restored after INC-7"));
    // The right store is still refused none.
    std::fs::rename(&aside, file(opening::CHECKPOINT_FILE)).unwrap();
    copies.start(&store, None).await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_lost_or_another_one_is_refused_until_somebody_says_why() {
    let copies =
        Copies { data: tempfile::tempdir().unwrap(), clock: clock(&Arc::new(AtomicI64::new(0))) };
    let home = tempfile::tempdir().unwrap();
    let store = sled(&home);
    let log = copies.start(&store, None).await.unwrap();
    copies.write(&store, &log, 3).await;
    let file = copies.data.path().join(checkpoint::KEY_FILE);
    std::fs::remove_file(&file).unwrap();
    let told = copies.start(&store, None).await.unwrap_err();
    assert!(told.contains("audit-key is not there"), "{told}");
    assert!(!file.exists(), "no other key is made");
    LogKey::open(copies.data.path(), Some("log")).unwrap();
    let told = copies.start(&store, None).await.unwrap_err();
    assert!(told.contains("and the key here is"), "{told}");
    let log = copies.start(&store, Some("the key was lost")).await.unwrap();
    copies.write(&store, &log, 1).await;
    copies.start(&store, None).await.unwrap();
}

/// A store that takes everything but entries of the log.
fn without_a_log(home: &TempDir) -> Arc<Refusing> {
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let store = Refusing::new(store);
    store.refuse_commits(|batch| {
        batch.changes.iter().any(|change| change.key.starts_with(b"audit-waiting/"))
    });
    store
}

#[tokio::test]
async fn a_change_whose_entry_can_not_be_written_is_refused_and_nothing_of_it_stays() {
    let home = tempfile::tempdir().unwrap();
    let refusing = without_a_log(&home);
    let clock = clock(&Arc::default());
    let (_, store, _keeping) =
        Log::open(Arc::clone(&refusing) as _, clock.clone(), LogKey::make("log"));
    let store: Arc<dyn Metadata> = store;
    let rules = Rules::open(RulesConfig::default(), Arc::clone(&store), clock.clone());
    let rules = rules.await.unwrap();
    let register = Register::open(Arc::clone(&store), clock.clone()).await.unwrap();
    let admin = Person {
        name: "ann".into(),
        token: None,
        team: None,
        rights: Rights::all(),
        ceiling: None,
        expires: None,
        used: crate::access::rates::Used::default(),
    };
    let draft = || Draft {
        name: Some("yes".to_owned()),
        effect: Some("allow".to_owned()),
        packages: vec!["npm:x".to_owned()],
        ..Draft::default()
    };
    let token = || NewToken {
        name: "ci".to_owned(),
        kind: TokenKind::Service,
        owner: "ci".to_owned(),
        team: None,
        rights: Rights::default(),
        roles: Vec::new(),
        life: Life::Usual,
    };
    assert!(rules.add(draft(), "ann").await.is_err());
    assert!(register.create_team(&admin, "web/shop", None).await.is_err());
    assert!(register.create(&admin, token()).await.is_err());
    assert!(rules.current().rules().is_empty() && register.teams().is_empty());
    let stored = store.scan(b"", None, 100).await.unwrap();
    let kinds: Vec<&[u8]> = stored.iter().map(|entry| &*entry.key).collect();
    assert_eq!(kinds, [b"meta/format"], "nothing of it is stored");

    // And what is there stays, as long as its end can not be told.
    refusing.refuse_commits(|_| false);
    rules.add(draft(), "ann").await.unwrap();
    register.create_team(&admin, "web/shop", None).await.unwrap();
    register.create(&admin, token()).await.unwrap();
    refusing.refuse_commits(|batch| {
        batch.changes.iter().any(|change| change.key.starts_with(b"audit-waiting/"))
    });
    assert!(rules.remove("yes", "ann").await.is_err());
    assert!(register.revoke(&admin, "ci").await.is_err());
    assert!(register.rotate(&admin, "ci", jiff::SignedDuration::ZERO).await.is_err());
    assert!(register.remove_team(&admin, "web/shop", false).await.is_err());
    assert_eq!((rules.current().rules().len(), register.teams().len()), (1, 1));
}

fn counts(found: &[Logged]) -> Vec<Option<&str>> {
    found.iter().map(|logged| logged.record.details.get("count").map(String::as_str)).collect()
}

#[tokio::test]
async fn what_comes_often_is_one_entry_with_its_number() {
    let garden = garden();
    let now = Arc::new(AtomicI64::new(1_800_000_000));
    let ticking = Arc::clone(&now);
    let clock = Clock::from_fn(move || {
        jiff::Timestamp::from_second(ticking.load(Ordering::Relaxed)).unwrap()
    });
    let store: Arc<dyn Metadata> = Arc::new(garden.store.as_ref().clone());
    let often = Often::new(store, clock, tokio::runtime::Handle::current());
    let refusal = |name: &str| Entry::new(Action::Refused).by(name).package(&"npm:evil");
    for _ in 0..5 {
        often.note(refusal("ann"));
    }
    often.note(refusal("bob"));
    often.write(false).await.unwrap();
    let mut found = garden.lines().await;
    found.sort_by_key(|logged| logged.record.who.clone());
    assert_eq!(counts(&found), [Some("5"), Some("1")]);
    // What follows is counted, for an hour or until the end.
    often.note(refusal("ann"));
    often.note(refusal("ann"));
    often.write(false).await.unwrap();
    assert_eq!(garden.lines().await.len(), 2);
    now.fetch_add(3600, Ordering::Relaxed);
    often.write(false).await.unwrap();
    often.note(refusal("ann"));
    often.finish().await;
    let found = garden.lines().await;
    assert_eq!(counts(&found[2..]), [Some("2"), Some("1")]);
    // More different ones than are told apart are counted, too.
    for n in 0..20_000 {
        often.note(refusal(&format!("x{n}")));
    }
    often.finish().await;
    garden.log.settle().await.unwrap();
    let all = Filter { person: Some(GARTH.to_owned()), ..Filter::default() };
    let mut told = garden.log.find(&all, Order::Newest, None, 10).await.unwrap();
    for _ in 0..100 {
        if !told.entries.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        told = garden.log.find(&all, Order::Newest, None, 10).await.unwrap();
    }
    let count: u64 = counts(&told.entries)[0].unwrap().parse().unwrap();
    assert!((9_000..=11_000).contains(&count), "{count}");
}

#[tokio::test]
async fn each_setting_that_differs_from_the_last_start_is_told_and_no_secret() {
    let garden = garden();
    let clock = clock(&Arc::default());
    let given = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let first = given(&[("mode", "enforce"), ("listen", "127.0.0.1:1")]);
    note_settings(garden.store.as_ref(), &first, &clock).await.unwrap();
    let begun = garden.lines().await.len();
    assert_eq!(begun, 3, "with the version of garth");
    note_settings(garden.store.as_ref(), &first, &clock).await.unwrap();
    assert_eq!(garden.lines().await.len(), begun);
    let second = given(&[("mode", "observe")]);
    note_settings(garden.store.as_ref(), &second, &clock).await.unwrap();
    let found = garden.lines().await;
    let told: Vec<(&str, &str, &str)> = found[begun..]
        .iter()
        .map(|logged| {
            let details = &logged.record.details;
            (logged.record.subject.as_deref().unwrap(), &*details["before"], &*details["now"])
        })
        .collect();
    assert_eq!(told, [("mode", "enforce", "observe"), ("listen", "127.0.0.1:1", "(default)")]);
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
        (by(Some("npm:p7"), None), 3, 20),
        (by(None, Some("person-7")), 6, 20),
        (by(Some("npm:p7"), Some("person-7")), 3, 20),
        (by(Some("npm:none"), None), 0, 5),
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
    assert!(counting.read.load(Ordering::Relaxed) < 10);
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
            let change = crate::metadata::Change::put_record(&key, &records::AuditIndex {});
            parts.push(change).await.unwrap();
        }
    }
    let at = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    let head = AuditHead { size: SIZE, root: String::new(), logged: at, key: None };
    let head = crate::metadata::Change::put_record(&AuditHead::key(), &head);
    parts.push(head).await.unwrap();
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
    let mut next = |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for _ in 0..4 {
        let batch = (0..150).fold(Batch::default(), |batch, _| {
            let entry = Entry::new(actions[next(4) as usize]).by(&format!("person-{}", next(3)));
            let entry = entry.package(&format!("npm:p{}", next(5)));
            let entry = entry.subject(&format!("s{}", next(40)));
            batch.note(entry, clock(&garden.seconds).now())
        });
        garden.store.commit(batch).await.unwrap();
    }
    garden.log.watch().wait_for(|size| *size == 600).await.unwrap();
    let all = garden.lines().await;
    let mut some = |name: &str, of: u64| (next(3) == 0).then(|| format!("{name}{}", next(of)));
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
