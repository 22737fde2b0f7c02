//! What a packument costs when it is asked for the first time, and what it costs again when the
//! rules have changed. In CPU time of the server, for each MB of the document at the origin.

use crate::corpus::{COLD, cold_package};
use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::{GARTH, garth};

pub struct Case {
    pub name: &'static str,
    pub bar: &'static str,
    pub limit: f64,
}

type Headers = &'static [(&'static str, &'static str)];

const FULL: Headers = &[("Accept", "application/json")];
const FULL_GZIP: Headers = &[("Accept", "application/json"), ("Accept-Encoding", "gzip")];
/// As npm asks when it installs.
const INSTALL: Headers =
    &[("Accept", "application/vnd.npm.install-v1+json"), ("Accept-Encoding", "gzip, deflate, br")];

/// For each way of asking: cold, then after a change of the rules.
const WAYS: [(Headers, usize, usize); 3] = [(INSTALL, 0, 3), (FULL, 1, 4), (FULL_GZIP, 2, 5)];

/// How often the rules change.
const CHANGES: usize = 5;

const COLD_LIMIT: f64 = 2.0;
const CHANGED_LIMIT: f64 = 0.3;

pub const CASES: [Case; 6] = [
    Case {
        name: "cold, abbreviated and compressed",
        bar: "cold packument of 5 MB, as npm asks: CPU for each MB",
        limit: COLD_LIMIT,
    },
    Case {
        name: "cold, whole",
        bar: "cold packument of 5 MB, whole: CPU for each MB",
        limit: COLD_LIMIT,
    },
    Case {
        name: "cold, whole, as gzip",
        bar: "cold packument of 5 MB, whole, as gzip: CPU for each MB",
        limit: COLD_LIMIT,
    },
    Case {
        name: "rules changed, abbreviated and compressed",
        bar: "after a change of the rules, as npm asks: CPU for each MB",
        limit: CHANGED_LIMIT,
    },
    Case {
        name: "rules changed, whole",
        bar: "after a change of the rules, whole: CPU for each MB",
        limit: CHANGED_LIMIT,
    },
    Case {
        name: "rules changed, whole, as gzip",
        bar: "after a change of the rules, whole, as gzip: CPU for each MB",
        limit: CHANGED_LIMIT,
    },
];

pub fn run(ground: &Ground, results: &mut Results) {
    #[allow(clippy::cast_precision_loss, reason = "a few megabytes")]
    let megabytes = (ground.corpus.large_bytes * COLD) as f64 / 1e6;
    for run in 0..ground.runs {
        for (headers, cold, changed) in WAYS {
            super::tell("cold", run, ground, CASES[cold].name);
            let garth = ground.start_anew();
            let mut add = |case: usize, cpu: f64| {
                let measure = Measure::CpuPerMegabyte;
                let place = Place { row: "cold", case: CASES[case].name, server: GARTH, measure };
                results.add(place, cpu / megabytes);
            };
            add(cold, ask_all(&garth, headers));
            let mut spent = 0.0;
            for change in 0..CHANGES {
                let version = format!("1.0.{change}");
                garth::deny(&garth, &ground.new_data(), "npm:cold-framework-*", &version);
                spent += ask_all(&garth, headers);
            }
            #[allow(clippy::cast_precision_loss, reason = "a handful")]
            add(changed, spent / CHANGES as f64);
            garth.stop();
        }
    }
}

/// In ms of CPU.
fn ask_all(garth: &Process, headers: Headers) -> f64 {
    Ground::settle();
    let mut client = garth.connect();
    let before = garth.cpu();
    for n in 0..COLD {
        let answer = client.get(&format!("/npm/{}", cold_package(n)), headers).unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.length > 10_000, "only {} bytes", answer.length);
    }
    garth.cpu().since(&before).as_secs_f64() * 1e3
}
