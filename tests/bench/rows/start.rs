//! From the spawn of the process to a good `/readyz`: with nothing in the store, and with a
//! million versions that garth recorded itself.

use std::path::PathBuf;
use std::time::Duration;

use server::metadata::records::VersionsRecord;

use super::record::{ask_for_new, count};
use crate::corpus::SEED_VERSIONS;
use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::{GARTH, garth};

const PACKAGES: usize = 20_000;
const QUICK_PACKAGES: usize = 400;

pub fn run(ground: &Ground, results: &mut Results) {
    let full = seed(ground);
    // The first start after the seeding does not count.
    garth::start(ground, &full).stop();
    for run in 0..ground.runs {
        super::tell("start", run, ground, GARTH);
        let empty = ground.start_anew();
        add(results, "empty store", &empty);
        empty.stop();
        let (stopped, killed) = if ground.quick {
            ("20,000 versions", "20,000 versions, after a kill")
        } else {
            ("1,000,000 versions", "1,000,000 versions, after a kill")
        };
        let one = garth::start(ground, &full);
        add(results, stopped, &one);
        one.kill();
        let other = garth::start(ground, &full);
        add(results, killed, &other);
        other.stop();
    }
}

fn add(results: &mut Results, case: &'static str, garth: &Process) {
    let mut put = |measure, value| {
        results.add(Place { row: "start", case, server: GARTH, measure }, value);
    };
    put(Measure::Start, garth.ready_after.as_secs_f64() * 1e3);
    put(Measure::Resident, garth.resident());
}

/// A store that garth filled from the origin, kept for the next benchmark.
fn seed(ground: &Ground) -> PathBuf {
    let packages = if ground.quick { QUICK_PACKAGES } else { PACKAGES };
    let data = ground.directory.join(format!("garth/seeded-{packages}"));
    let mark = data.join("seeded");
    if mark.exists() {
        return data;
    }
    let _ = std::fs::remove_dir_all(&data);
    eprintln!("bench: garth records {packages} packages of {SEED_VERSIONS} versions");
    let garth = garth::start(ground, &data);
    let asked = ask_for_new(&garth, "seed", packages, Duration::from_hours(1));
    assert_eq!(asked, packages, "not all were answered");
    garth.stop();
    let versions = count(&data, |record: &VersionsRecord| record.versions.len());
    assert_eq!(versions, packages * SEED_VERSIONS, "not all were recorded");
    std::fs::write(mark, "").unwrap();
    data
}
