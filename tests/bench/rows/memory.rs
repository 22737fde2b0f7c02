//! The memory of garth, idle and when its caches have all they take, at the default sizes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::corpus::tarball_path;
use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::GARTH;

/// Each with 150 KB of packument, and a tarball of 40 KB: more than any cache takes.
const PACKAGES: usize = 3_000;
const QUICK_PACKAGES: usize = 300;
const CLIENTS: usize = 16;
const INSTALL: &[(&str, &str)] =
    &[("Accept", "application/vnd.npm.install-v1+json"), ("Accept-Encoding", "gzip, deflate, br")];

pub fn run(ground: &Ground, results: &mut Results) {
    for run in 0..ground.runs.min(3) {
        super::tell("memory", run, ground, GARTH);
        let garth = ground.start_anew();
        std::thread::sleep(Duration::from_secs(1));
        let mut add = |case, measure, value| {
            results.add(Place { row: "memory", case, server: GARTH, measure }, value);
        };
        add("idle", Measure::Resident, garth.resident());
        fill(&garth, if ground.quick { QUICK_PACKAGES } else { PACKAGES });
        std::thread::sleep(Duration::from_secs(2));
        add("after the load", Measure::Resident, garth.resident());
        garth.stop();
    }
}

/// As an installation of everything asks: what may be had, and then the newest tarball of it.
fn fill(garth: &Process, packages: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = garth.connect();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= packages {
                        return;
                    }
                    let name = format!("filler-{n}");
                    let packument = client.get(&format!("/npm/{name}"), INSTALL).unwrap();
                    assert_eq!(packument.status, 200, "{name}");
                    let tarball = format!("/npm{}", tarball_path(&name, "1.0.0"));
                    let tarball = client.fetch(&tarball, &[]).unwrap();
                    let said = String::from_utf8_lossy(&tarball.body);
                    assert_eq!(tarball.status, 200, "{name}: {said}");
                }
            });
        }
    });
}
