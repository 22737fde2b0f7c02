//! Packages that nobody has asked for, by many clients at once: each is fetched, remembered version
//! by version, and answered when that is on the disk. The server is killed at the end, and what
//! it acknowledged is counted in its store.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use server::metadata::records::{self, DocumentRecord, Prefix, Record};
use server::metadata::sled::{Sled, SledOptions};
use server::metadata::{Metadata as _, MetadataError};

use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::GARTH;

pub const CLIENTS: usize = 64;
const PAGE: usize = 10_000;

pub fn run(ground: &Ground, results: &mut Results) {
    for run in 0..ground.runs {
        super::tell("record", run, ground, GARTH);
        let garth = ground.start_anew();
        Ground::settle();
        let before = garth.cpu();
        let begun = Instant::now();
        let answered = ask_for_new(&garth, "fresh", usize::MAX, ground.load);
        let (took, cpu) = (begun.elapsed(), garth.cpu().since(&before));
        garth.kill();
        let kept = count(&ground.new_data(), |_: &DocumentRecord| 1);
        assert!(kept >= answered, "{answered} were answered and {kept} are recorded");

        #[allow(clippy::cast_precision_loss, reason = "some thousands")]
        let packages = answered as f64;
        let mut add = |measure, value| {
            results.add(Place { row: "record", case: "", server: GARTH, measure }, value);
        };
        add(Measure::PackagesPerSecond, packages / took.as_secs_f64());
        add(Measure::CoreUsed, cpu.as_secs_f64() / took.as_secs_f64() * 100.0);
        add(Measure::CpuPerRequest, cpu.as_secs_f64() * 1e6 / packages);
    }
}

/// Asks for `{kind}-0`, `{kind}-1` and so on, until there are `limit` of them or `patience` ends.
/// How many were answered.
pub fn ask_for_new(garth: &Process, kind: &str, limit: usize, patience: Duration) -> usize {
    let (next, done, over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = garth.connect();
                while !over.load(Ordering::Relaxed) && begun.elapsed() < patience {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= limit {
                        return;
                    }
                    let answer = client.fetch(&format!("/npm/{kind}-{n}"), &[]).unwrap();
                    if answer.status != 200 {
                        over.store(true, Ordering::Relaxed);
                        panic!("{kind}-{n}: {}", String::from_utf8_lossy(&answer.body));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner()
}

/// What is in the records of one kind, in the store of a garth that does not run any more.
pub fn count<R: Record>(data: &Path, of_one: impl Fn(&R) -> usize) -> usize {
    let store = Sled::open(&Sled::directory_in(data), SledOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let counted: Result<usize, MetadataError> = runtime.block_on(async {
        let (mut count, mut after) = (0, None);
        loop {
            let page = records::scan(&store, &Prefix::all(), after.as_ref(), PAGE).await?;
            count += page.iter().map(|(_, record)| of_one(record)).sum::<usize>();
            let Some((last, _)) = page.into_iter().next_back() else { break };
            after = Some(last);
        }
        store.close().await;
        Ok(count)
    });
    counted.unwrap()
}
