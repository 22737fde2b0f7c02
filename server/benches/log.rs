//! How long it takes to find entries in a long audit log, and how fast it grows.
//!
//! Writes so many entries as everything else does, beside nothing else, lets them get their numbers, and
//! asks for the newest hundred of packages, people and kinds: `./dev bench log 10000000`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement that can not go on ends, and it is its own clock"
)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use server::audit::checkpoint::LogKey;
use server::audit::{Action, Audited, Entry, Filter, Log, Order};
use server::clock::Clock;
use server::metadata::sled::{Sled, SledOptions};
use server::metadata::{Batch, Metadata};
use tokio::time::Instant;

const PACKAGES: u64 = 100_000;
const PEOPLE: u64 = 5_000;
/// Entries of one commit.
const AT_ONCE: u64 = 100;
const WRITERS: u64 = 8;
/// Entries that may wait for their numbers before the writers pause.
const AHEAD: u64 = 20_000;
/// Questions of each kind.
const ASKED: u64 = 200;
const BAR: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let count = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(1_000_000);
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let engine: Arc<dyn Metadata> = Arc::new(store);
    let key = LogKey::open(home.path(), Some("bench")).unwrap();
    let (log, audited, keeping) = Log::open(Arc::clone(&engine), Clock::system(), key);
    let begun = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let (log, store) = (log.clone(), Arc::clone(&audited));
        tokio::spawn(async move { write(&log, &store, writer, count).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut size = log.watch();
    size.wait_for(|size| *size >= count).await.unwrap();
    let took = begun.elapsed();
    let rate = count as f64 / took.as_secs_f64();
    let bytes = engine.size().await.unwrap();
    println!(
        "{count} entries written and numbered in {:.0} s: {rate:.0} a second, {} bytes of disk each",
        took.as_secs_f64(),
        bytes / count
    );
    for (what, filter) in [
        ("by package", by_package as fn(u64) -> Filter),
        ("by person", by_person),
        ("by package and person", by_both),
        ("by kind", by_kind),
        ("of an hour", |_| Filter { since: Some(Timestamp::now()), ..Filter::default() }),
    ] {
        let mut took = Vec::new();
        for n in 0..ASKED {
            let begun = Instant::now();
            log.find(&filter(n * 7919), Order::Newest, None, 100).await.unwrap();
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        let met = if worst < BAR { "met" } else { "MISSED" };
        println!("{what:22} median {median:>9.2?}  worst {worst:>9.2?}  (100 ms: {met})");
    }
    drop(keeping);
    engine.close().await;
}

async fn write(log: &Log, store: &Audited, writer: u64, count: u64) {
    let mut size = log.watch();
    for first in (writer * AT_ONCE..count).step_by(usize::try_from(WRITERS * AT_ONCE).unwrap()) {
        let _ = size.wait_for(|size| size + AHEAD > first).await;
        let batch = (first..count.min(first + AT_ONCE)).fold(Batch::default(), |batch, n| {
            let entry = Entry::new(Action::Admitted)
                .by(&format!("person-{}", n % PEOPLE))
                .package(&format!("npm:@scope/package-{}", n % PACKAGES))
                .versions(Some("1.2.3"))
                .why(Some("allowed by the rule frontend-basics"))
                .detail("registry", &"npm")
                .detail("digest", &format!("sha256:{n:064x}"));
            batch.note(entry, Timestamp::now())
        });
        store.commit(batch).await.unwrap();
    }
}

fn by_package(n: u64) -> Filter {
    let package = Some(format!("npm:@scope/package-{}", n % PACKAGES));
    Filter { package, ..Filter::default() }
}

fn by_person(n: u64) -> Filter {
    Filter { person: Some(format!("person-{}", n % PEOPLE)), ..Filter::default() }
}

fn by_both(n: u64) -> Filter {
    Filter { person: by_person(n).person, ..by_package(n) }
}

fn by_kind(_: u64) -> Filter {
    Filter { actions: vec!["admitted".to_owned()], ..Filter::default() }
}
