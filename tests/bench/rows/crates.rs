//! Crates that nobody has asked for, one after the other on one connection, as cargo does it: the index
//! file first, then the crate. garth decides, hashes and records; nginx keeps files.

use std::time::Instant;

use crate::corpus::crates::{COLD, cold_crate};
use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::{self, DIRECT, GARTH, KELLNR, NGINX_CACHE, NORA, Wanted, kellnr, nginx, nora};

/// Which servers failed, and how.
pub fn run(ground: &Ground, results: &mut Results) -> Vec<String> {
    let mut servers = vec![DIRECT, NGINX_CACHE, GARTH];
    servers.extend(ground.nora.as_ref().map(|_| NORA));
    servers.extend(ground.kellnr.as_ref().map(|_| KELLNR));
    let mut failed = Vec::new();
    for run in 0..ground.runs {
        servers.retain(|&server| {
            super::tell("crates", run, ground, server);
            let measured = super::attempt(server, || match start_empty(ground, server) {
                Some(process) => {
                    measure(&process, server, results);
                    process.stop();
                }
                None => measure(&ground.origin, server, results),
            });
            let fine = measured.is_ok();
            failed.extend(measured.err());
            fine
        });
    }
    failed
}

/// With nothing kept of earlier runs; nothing has to be started for the origin.
fn start_empty(ground: &Ground, server: &'static str) -> Option<Process> {
    match server {
        DIRECT => return None,
        GARTH => return Some(ground.start_anew()),
        NORA => nora::forget(ground),
        KELLNR => kellnr::forget(ground),
        _ => nginx::empty_cache(ground),
    }
    Some(servers::start(ground, server))
}

fn measure(process: &Process, server: &'static str, results: &mut Results) {
    Ground::settle();
    let mut client = process.connect();
    let (before, begun) = (process.cpu(), Instant::now());
    for n in 0..COLD {
        for path in servers::crate_paths(server, &cold_crate(n)) {
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
