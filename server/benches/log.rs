//! How long it takes to find entries in a long audit log, how fast it grows, what it takes on the disk, and
//! what a check and a rebuild of it need.
//!
//! Writes so many entries as everything else does, beside nothing else, and lets them get their numbers:
//! `./dev bench log 10000000`. Then it asks, of a store that was just opened and of which the system has
//! nothing in memory either (cold), and again and again (warm). With a directory behind the number the log is
//! made there and stays there; one that is there already is made longer, or only asked. `--rebuild` rebuilds a
//! log of more than a million, too, which takes its room twice.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement that can not go on ends, and it is its own clock"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use server::audit::{Action, Audited, Entry, Filter, Keeping, Log, Opening, Order, open_key};
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
/// Seconds from one entry to the next: ten million are three years.
const APART: u64 = 10;
/// How often the writing says how far it is.
const TOLD: u64 = 100_000;

/// What the clock is at.
static NOW: AtomicU64 = AtomicU64::new(0);

fn at(n: u64) -> Timestamp {
    Timestamp::from_second(1_600_000_000 + i64::try_from(n * APART).unwrap()).unwrap()
}

fn clock() -> Clock {
    Clock::from_fn(|| at(NOW.load(Ordering::Relaxed)))
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let (options, given): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|text| text.starts_with('-'));
    let mut given = given.into_iter();
    let count = given.next().map_or(1_000_000, |text| text.parse().unwrap());
    let kept = given.next().map(PathBuf::from);
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = kept.unwrap_or_else(|| home.path().to_owned());
    fill(&data, count).await;
    let half = opened(&data).await.half(count).await;
    println!(
        "\n{:30} {:>10} {:>10} {:>10}   to a hundred, or to the end",
        "asked for", "cold", "warm", "worst page"
    );
    for question in questions(half) {
        ask(&data, &question).await;
    }
    inspect(&data, count).await;
    if count <= REBUILT || options.iter().any(|option| option == "--rebuild") {
        rebuild(&data, count).await;
    }
}

/// A log that somebody has open.
struct Opened {
    log: Log,
    store: Arc<dyn Metadata>,
    audited: Arc<Audited>,
    keeping: Keeping,
}

async fn opened(data: &Path) -> Opened {
    let store = Sled::open(&Sled::directory_in(data), SledOptions::default()).unwrap();
    let store: Arc<dyn Metadata> = Arc::new(store);
    let opening = Opening { data: data.to_owned(), origin: Some("bench".to_owned()), accept: None };
    let key = open_key(&opening, store.as_ref(), &clock()).await.unwrap();
    let (log, audited, keeping) = Log::open(Arc::clone(&store), clock(), key);
    Opened { log, store, audited, keeping }
}

impl Opened {
    async fn close(self) {
        drop(self.keeping);
        self.store.close().await;
    }

    /// When half of them were there.
    async fn half(self, count: u64) -> Timestamp {
        let half = self.log.entry(count / 2).await.unwrap().unwrap().record.at;
        self.close().await;
        half
    }
}

async fn fill(data: &Path, count: u64) {
    std::fs::create_dir_all(data).unwrap();
    let opened = opened(data).await;
    let log = opened.log.clone();
    let written = log.size().await.unwrap();
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let (log, store) = (log.clone(), Arc::clone(&opened.audited));
        tokio::spawn(async move { write(&log, &store, writer, written, count).await })
    });
    let writers = writers.collect::<Vec<_>>();
    let mut size = log.watch();
    for far in (written..count).step_by(usize::try_from(TOLD).unwrap()).skip(1) {
        size.wait_for(|size| *size >= far).await.unwrap();
        let rate = (far - written) as f64 / begun.elapsed().as_secs_f64();
        eprintln!("{far} entries, {rate:.0} a second, {} bytes each", on_disk(data) / far);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    size.wait_for(|size| *size >= count).await.unwrap();
    let took = begun.elapsed().as_secs_f64();
    let checkpoint = log.checkpoint().await.unwrap();
    std::fs::write(data.join("audit-checkpoint"), checkpoint).unwrap();
    opened.close().await;
    println!(
        "{count} entries: {} written and numbered in {took:.0} s, {:.0} a second, {} MB of memory at most",
        count.saturating_sub(written),
        count.saturating_sub(written) as f64 / took,
        peak()
    );
    println!("{} bytes on the disk for each, everything included", on_disk(data) / count);
}

/// Bytes of all files of the store.
fn on_disk(data: &Path) -> u64 {
    let entries = std::fs::read_dir(Sled::directory_in(data)).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// Of the files of the store the system has nothing in memory any more.
fn forget_files(data: &Path) {
    for entry in std::fs::read_dir(Sled::directory_in(data)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let file = std::fs::File::open(path).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }
}

/// What is asked for the n-th time.
type Asked = Box<dyn Fn(u64) -> Filter>;
type Plain = fn(u64) -> Filter;

struct Question {
    what: &'static str,
    filter: Asked,
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
    let until = move |filter: Filter| Filter { until: Some(half), ..filter };
    let since = move |filter: Filter| Filter { since: Some(half), ..filter };
    let more: [(&'static str, Asked); 4] = [
        ("until the middle", Box::new(move |_| until(Filter::default()))),
        ("a package, since the middle", Box::new(move |n| since(of(Some(&package(n)), None, &[])))),
        ("a person, until the middle", Box::new(move |n| until(of(None, Some(&person(n)), &[])))),
        (
            "all of that, until the middle",
            Box::new(move |_| until(of(Some("npm:lodash"), Some("ci"), &["admitted", "refused"]))),
        ),
    ];
    all.extend(more.map(|(what, filter)| Question { what, filter, order: Order::Newest }));
    let oldest: [(&'static str, Plain); 3] = [
        ("a package, oldest first", |n| of(Some(&package(n)), None, &[])),
        ("a person, oldest first", |n| of(None, Some(&person(n)), &[])),
        ("a frequent kind, oldest first", |_| of(None, None, &["admitted"])),
    ];
    all.extend(oldest.map(|(what, filter)| Question {
        what,
        filter: Box::new(filter),
        order: Order::Oldest,
    }));
    all
}

/// Asks for the first page once, cold, then many times, and goes through up to a thousand pages of the last
/// one.
async fn ask(data: &Path, question: &Question) {
    forget_files(data);
    let opened = opened(data).await;
    let log = &opened.log;
    let begun = Instant::now();
    log.find(&(question.filter)(3), question.order, None, 100).await.unwrap();
    let cold = begun.elapsed();
    let mut took = vec![cold];
    for n in 0..ASKED {
        let filter = (question.filter)(n * 7919);
        let begun = Instant::now();
        log.find(&filter, question.order, None, 100).await.unwrap();
        took.push(begun.elapsed());
    }
    took[1..].sort_unstable();
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
    let met = if worst < BAR { "" } else { ", 100 ms MISSED" };
    println!(
        "{:30} {cold:>10.2?} {median:>10.2?} {worst:>10.2?}   {found} in {pages} pages, {whole:.2?}{met}",
        question.what
    );
    opened.close().await;
}

async fn inspect(data: &Path, count: u64) {
    let begun = Instant::now();
    forget_peak();
    let report = check::check(data, &|_| ()).await.unwrap();
    assert_eq!((report.entries, report.findings), (count, vec![]));
    println!("\ncheck    {:>8.1?}, {} MB of memory at most", begun.elapsed(), peak());
}

async fn rebuild(data: &Path, count: u64) {
    let begun = Instant::now();
    forget_peak();
    let rebuilt = check::rebuild(data, Timestamp::now(), &|_| ()).await.unwrap();
    assert_eq!((rebuilt.entries, rebuilt.log_refused), (count, None));
    println!("rebuild  {:>8.1?}, {} MB of memory at most", begun.elapsed(), peak());
    println!("{} bytes on the disk for each afterwards", on_disk(data) / count);
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
            // As long as what an admission writes, and no easier to pack.
            let entry = Entry::new(action)
                .by(&who)
                .team(Some("web/shop"))
                .from(Some(&format!("10.1.{}.{}", n / 256 % 256, n % 256)))
                .package(&package)
                .versions(Some(&format!("{}.{}.{}", n % 7, n % 31, n % 101)))
                .why(Some("allowed by the rule frontend-basics"))
                .revision(&format!("{:016x}", mixed(n / 10_000)))
                .detail("registry", &"npm")
                .detail("rule", &"frontend-basics")
                .detail("request", &format!("{:016x}{:016x}", mixed(3 * n), mixed(5 * n)))
                .detail("digest", &digest(n));
            batch.note(entry, at(n))
        });
        NOW.fetch_max(count.min(first + AT_ONCE), Ordering::Relaxed);
        store.commit(batch).await.unwrap();
    }
}

/// Numbers that nothing can be told from.
fn mixed(n: u64) -> u64 {
    let mut mixed = n.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn digest(n: u64) -> String {
    let words = (0..4).map(|word| format!("{:016x}", mixed(n * 4 + word)));
    format!("sha256:{}", words.collect::<String>())
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
