//! One large file that is held, to a few clients at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::corpus::BLOB_BYTES;
use crate::ground::Ground;
use crate::results::{Measure, Place, Results};
use crate::servers::{self, Wanted};

const CLIENTS: usize = 2;

pub fn run(ground: &Ground, results: &mut Results) {
    for run in 0..ground.runs {
        for server in Ground::blob_servers() {
            super::tell("blob", run, ground, server);
            let process = servers::start(ground, server);
            let path = servers::path(server, Wanted::Blob);
            // Read once whole, garth checks it; from then on it is hot.
            let warm = process.connect().get(&path, &[]).unwrap();
            assert_eq!((warm.status, warm.length), (200, BLOB_BYTES), "{server}");
            let (memory, before) = (process.peak_resident(), process.cpu());
            let (begun, sent) = (Instant::now(), AtomicU64::new(0));
            std::thread::scope(|scope| {
                for _ in 0..CLIENTS {
                    scope.spawn(|| {
                        let mut client = process.connect();
                        while begun.elapsed() < ground.load {
                            let answer = client.get(&path, &[]).unwrap();
                            sent.fetch_add(answer.length as u64, Ordering::Relaxed);
                        }
                    });
                }
            });
            let (took, cpu) = (begun.elapsed(), process.cpu().since(&before));
            #[allow(clippy::cast_precision_loss, reason = "a few gigabytes")]
            let megabytes = sent.into_inner() as f64 / 1e6;
            let mut add = |measure, value| {
                results.add(Place { row: "blob", case: "", server, measure }, value);
            };
            add(Measure::MegabytesPerSecond, megabytes / took.as_secs_f64());
            add(Measure::CpuPerGigabyte, cpu.as_secs_f64() * 1e3 / (megabytes / 1e3));
            add(Measure::Growth, process.peak_resident() - memory);
            process.stop();
        }
    }
}
