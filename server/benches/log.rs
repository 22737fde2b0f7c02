//! How long it takes to find entries in a long audit log, how fast it grows, and what a check of it needs.
//!
//! Writes so many entries as everything else does, beside nothing else, lets them get their numbers, and
//! asks for the newest hundred of packages, people and kinds, alone and together: `./dev bench log
//! 10000000`. With a directory behind the number the log is made there and stays there.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement that can not go on ends, and it is its own clock"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use server::audit::{Action, Audited, Entry, Filter, Log, Opening, Order, open_key};
use server::check;
use server::clock::Clock;
use server::metadata::sled::{Sled, SledOptions};
use server::metadata::{Batch, Metadata};
use tokio::time::Instant;

const PACKAGES: u64 = 100_000;
const PEOPLE: u64 = 5_000;
/// Entries of one commit.
const AT_ONCE: u64 = 200;
const WRITERS: u64 = 4;
/// Entries that may wait for their numbers before the writers pause.
const AHEAD: u64 = 20_000;
/// Questions of each kind.
const ASKED: u64 = 200;
const BAR: Duration = Duration::from_millis(100);
/// A rebuild takes the room of a second log.
const REBUILT: u64 = 1_000_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut given = std::env::args().skip(1).filter(|text| !text.starts_with('-'));
    let count = given.next().map_or(1_000_000, |text| text.parse().unwrap());
    let kept = given.next().map(PathBuf::from);
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = kept.unwrap_or_else(|| home.path().to_owned());
    measure(&data, count).await;
    inspect(&data, count).await;
}

async fn measure(data: &Path, count: u64) {
    std::fs::create_dir_all(data).unwrap();
    let store = Sled::open(&Sled::directory_in(data), SledOptions::default()).unwrap();
    let engine: Arc<dyn Metadata> = Arc::new(store);
    let opening = Opening { data: data.to_owned(), origin: Some("bench".to_owned()), accept: None };
    let key = open_key(&opening, engine.as_ref(), &Clock::system()).await.unwrap();
    let (log, audited, keeping) = Log::open(Arc::clone(&engine), Clock::system(), key);
    let written = log.size().await.unwrap();
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let (log, store) = (log.clone(), Arc::clone(&audited));
        tokio::spawn(async move { write(&log, &store, writer, written, count).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut size = log.watch();
    size.wait_for(|size| *size >= count).await.unwrap();
    let took = begun.elapsed();
    let rate = (count - written) as f64 / took.as_secs_f64();
    let bytes = engine.size().await.unwrap();
    println!(
        "{count} entries written and numbered in {:.0} s: {rate:.0} a second, {} bytes of disk each",
        took.as_secs_f64(),
        bytes / count
    );
    std::fs::write(data.join("audit-checkpoint"), log.checkpoint().await.unwrap()).unwrap();
    let half = log.entry(count / 2).await.unwrap().unwrap().record.at;
    for question in questions(half) {
        ask(&log, &question).await;
    }
    drop(keeping);
    engine.close().await;
}

struct Question {
    what: &'static str,
    filter: Box<dyn Fn(u64) -> Filter>,
    order: Order,
}

/// Every second entry is of `ci`, every tenth of `npm:lodash`, which is always one of these, and of
/// `npm:react`, which never is. One in a hundred is a refusal, and one in 50,000 a rule.
fn questions(half: Timestamp) -> Vec<Question> {
    let newest = |what, filter: fn(u64) -> Filter| Question {
        what,
        filter: Box::new(filter),
        order: Order::Newest,
    };
    let mut all = vec![
        newest("a package of 100,000", |n| of(Some(&package(n)), None, &[])),
        newest("a frequent package", |_| of(Some("npm:lodash"), None, &[])),
        newest("a person of 5,000", |n| of(None, Some(&person(n)), &[])),
        newest("a person seen once", |_| of(None, Some("rare"), &[])),
        newest("a frequent person", |_| of(None, Some("ci"), &[])),
        newest("nobody", |_| of(None, Some("nobody"), &[])),
        newest("a package, a person", |n| of(Some(&package(n)), Some(&person(n)), &[])),
        newest("both frequent", |_| of(Some("npm:lodash"), Some("ci"), &[])),
        newest("both, never together", |_| of(Some("npm:react"), Some("ci"), &[])),
        newest("refusals of a package", |_| of(Some("npm:lodash"), Some("ci"), &["refused"])),
        newest("a frequent kind", |_| of(None, None, &["admitted"])),
        newest("rare kinds", |_| of(None, None, &["rule-made", "rule-removed"])),
    ];
    let together = move |_| Filter {
        until: Some(half),
        ..of(Some("npm:lodash"), Some("ci"), &["admitted", "refused"])
    };
    all.push(Question {
        what: "all that, until the middle",
        filter: Box::new(together),
        order: Order::Newest,
    });
    all.push(Question {
        what: "a package, oldest first",
        filter: Box::new(|n| of(Some(&package(n)), None, &[])),
        order: Order::Oldest,
    });
    all
}

/// Asks for the first page many times, and goes through up to a thousand pages of the last one.
async fn ask(log: &Log, question: &Question) {
    let mut took = Vec::new();
    for n in 0..ASKED {
        let filter = (question.filter)(n * 7919);
        let begun = Instant::now();
        log.find(&filter, question.order, None, 100).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let median = took[took.len() / 2];
    let filter = (question.filter)(1);
    let (begun, mut after, mut pages, mut found) = (Instant::now(), None, 0, 0);
    while found < 100 && pages < 1000 {
        let begun = Instant::now();
        let page = log.find(&filter, question.order, after, 100).await.unwrap();
        took.push(begun.elapsed());
        (after, pages, found) = (page.next, pages + 1, found + page.entries.len());
        if after.is_none() {
            break;
        }
    }
    let whole = begun.elapsed();
    let worst = *took.iter().max().unwrap();
    let met = if worst < BAR { "met" } else { "MISSED" };
    println!(
        "{:27} median {median:>9.2?}  worst page {worst:>9.2?} (100 ms: {met})  {found:>3} found in {pages} pages, {whole:.2?}",
        question.what
    );
}

async fn inspect(data: &Path, count: u64) {
    let begun = Instant::now();
    forget_peak();
    let report = check::check(data, &|_| ()).await.unwrap();
    assert_eq!((report.entries, report.findings), (count, vec![]));
    println!("check    {:>6.1?}, {} MB of memory at most", begun.elapsed(), peak());
    if count <= REBUILT {
        let begun = Instant::now();
        forget_peak();
        let rebuilt = check::rebuild(data, Timestamp::now(), &|_| ()).await.unwrap();
        assert_eq!((rebuilt.entries, rebuilt.log_refused), (count, None));
        println!("rebuild  {:>6.1?}, {} MB of memory at most", begun.elapsed(), peak());
    }
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Of the memory of this process, since it was forgotten.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

async fn write(log: &Log, store: &Audited, writer: u64, written: u64, count: u64) {
    let mut size = log.watch();
    let first = written + writer * AT_ONCE;
    for first in (first..count).step_by(usize::try_from(WRITERS * AT_ONCE).unwrap()) {
        let _ = size.wait_for(|size| size + AHEAD > first).await;
        let batch = (first..count.min(first + AT_ONCE)).fold(Batch::default(), |batch, n| {
            let action = match n {
                n if n % 50_000 == 7 => Action::RuleMade,
                n if n % 100 < 2 => Action::Refused,
                _ => Action::Admitted,
            };
            let who = match n {
                7 => "rare".to_owned(),
                n if n % 2 == 0 => "ci".to_owned(),
                n => person(n),
            };
            let package = match n % 10 {
                0 => "npm:lodash".to_owned(),
                5 => "npm:react".to_owned(),
                _ => package(n),
            };
            let entry = Entry::new(action)
                .by(&who)
                .package(&package)
                .versions(Some("1.2.3"))
                .why(Some("allowed by the rule frontend-basics"))
                .detail("digest", &format!("sha256:{n:064x}"));
            batch.note(entry, Timestamp::now())
        });
        store.commit(batch).await.unwrap();
    }
}

fn person(n: u64) -> String {
    format!("person-{}", n.wrapping_mul(2_654_435_761) % PEOPLE)
}

fn package(n: u64) -> String {
    format!("npm:@scope/package-{}", n.wrapping_mul(2_246_822_519) % PACKAGES)
}

fn of(package: Option<&str>, person: Option<&str>, actions: &[&str]) -> Filter {
    Filter {
        package: package.map(str::to_owned),
        person: person.map(str::to_owned),
        actions: actions.iter().map(|&action| action.to_owned()).collect(),
        ..Filter::default()
    }
}
