#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]

mod finding;
pub mod signed;
mod told;

use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;

use super::checkpoint::Checkpoint;
use super::verify::{Named, Verifier};
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
