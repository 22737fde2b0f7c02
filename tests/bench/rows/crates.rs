//! Crates that nobody has asked for, one after the other on one connection, as cargo does it: the index
//! file first, then the crate. garth decides, hashes and records; nginx keeps files.

use std::time::Instant;

use crate::corpus::SMALL_VERSION;
use crate::corpus::crates::{COLD, cold_crate, crate_path, index_path, origin_path};
use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::{self, DIRECT, GARTH, NGINX_CACHE, Wanted, nginx};

type Paths = fn(&str) -> [String; 2];

pub fn run(ground: &Ground, results: &mut Results) {
    let at_origin: Paths =
        |name| [format!("/crates/index{}", index_path(name)), origin_path(name, SMALL_VERSION)];
    let pulled: Paths = |name| {
        let [index, file] = [index_path(name), origin_path(name, SMALL_VERSION)];
        [format!("/pulled/crates/index{index}"), format!("/pulled{file}")]
    };
    let at_garth: Paths = |name| {
        let [index, file] = [index_path(name), crate_path(name, SMALL_VERSION)];
        [format!("/cargo{index}"), format!("/cargo{file}")]
    };
    for run in 0..ground.runs {
        super::tell("crates", run, ground, DIRECT);
        measure(&ground.origin, DIRECT, at_origin, results);

        super::tell("crates", run, ground, NGINX_CACHE);
        nginx::empty_cache(ground);
        let nginx = servers::start(ground, NGINX_CACHE);
        measure(&nginx, NGINX_CACHE, pulled, results);
        nginx.stop();

        super::tell("crates", run, ground, GARTH);
        let garth = ground.start_anew();
        measure(&garth, GARTH, at_garth, results);
        garth.stop();
    }
}

fn measure(process: &Process, server: &'static str, paths: Paths, results: &mut Results) {
    Ground::settle();
    let mut client = process.connect();
    let (before, begun) = (process.cpu(), Instant::now());
    for n in 0..COLD {
        for path in paths(&cold_crate(n)) {
            let answer = client.get(&path, Wanted::Index.headers());
            let answer = answer.unwrap_or_else(|fault| panic!("{server}{path}: {fault}"));
            assert_eq!(answer.status, 200, "{server}{path}");
        }
    }
    let (took, cpu) = (begun.elapsed(), process.cpu().since(&before));
    #[allow(clippy::cast_precision_loss, reason = "some hundred")]
    let crates = COLD as f64;
    let mut add = |measure, value| {
        results.add(Place { row: "crates", case: "", server, measure }, value);
    };
    add(Measure::CratesPerSecond, crates / took.as_secs_f64());
    add(Measure::CpuPerCrate, cpu.as_secs_f64() * 1e6 / crates);
}
