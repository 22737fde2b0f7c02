//! A tarball that nobody has asked for: through a cache it is sent on while it is kept, and garth
//! hashes it on the way, by the sha512 that is promised.

use crate::corpus::{MISS, MISS_BYTES, tarball_path};
use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::{self, DIRECT, GARTH, NGINX_CACHE, garth, nginx};

pub fn run(ground: &Ground, results: &mut Results) {
    let data = ground.new_data();
    let _ = std::fs::remove_dir_all(&data);
    nginx::empty_cache(ground);
    for run in 0..ground.runs {
        let file = tarball_path(MISS, &format!("1.0.{run}"));
        // The origin has it in memory before anybody is measured.
        ground.origin.connect().get(&file, &[]).unwrap();

        super::tell("miss", run, ground, DIRECT);
        measure(&ground.origin, DIRECT, &file, results);

        super::tell("miss", run, ground, NGINX_CACHE);
        let nginx = servers::start(ground, NGINX_CACHE);
        measure(&nginx, NGINX_CACHE, &format!("/pulled{file}"), results);
        nginx.stop();

        super::tell("miss", run, ground, GARTH);
        let garth = garth::start(ground, &data);
        // The metadata is there, as it is when npm asks for a tarball.
        garth.connect().get(&format!("/npm/{MISS}"), &[]).unwrap();
        measure(&garth, GARTH, &format!("/npm{file}"), results);
        garth.stop();
    }
}

fn measure(process: &Process, server: &'static str, path: &str, results: &mut Results) {
    Ground::settle();
    let mut client = process.connect();
    let before = process.cpu();
    let answer = client.get(path, &[]).unwrap_or_else(|fault| panic!("{server}{path}: {fault}"));
    let cpu = process.cpu().since(&before);
    assert_eq!((answer.status, answer.length), (200, MISS_BYTES), "{server}{path}");
    let mut add = |measure, value| {
        results.add(Place { row: "miss", case: "", server, measure }, value);
    };
    add(Measure::FirstByte, answer.first_byte.as_secs_f64() * 1e3);
    add(Measure::Total, answer.total.as_secs_f64() * 1e3);
    add(Measure::Cpu, cpu.as_secs_f64() * 1e3);
}
