//! What is held is served: small and large packument, tarball, index file, crate. The servers take turns, and each
//! start is warmed up before it counts.

use std::time::Duration;

use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::{self, KELLNR, NORA, VERDACCIO, Wanted};
use crate::wrk::Load;

const ROWS: [(&str, Wanted); 5] = [
    ("packument", Wanted::Packument),
    ("large", Wanted::Large),
    ("tarball", Wanted::Tarball),
    ("index", Wanted::Index),
    ("crate", Wanted::Crate),
];
pub const CONNECTIONS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);

/// Which servers failed, and how.
pub fn run(ground: &Ground, wanted: &[&'static str], results: &mut Results) -> Vec<String> {
    let rows: Vec<_> = ROWS.into_iter().filter(|(row, _)| wanted.contains(row)).collect();
    let (mut servers, mut failed) = (ground.hot_servers(), Vec::new());
    if rows.is_empty() {
        return failed;
    }
    for run in 0..ground.runs {
        servers.retain(|&server| {
            super::tell("hot rows", run, ground, server);
            let measured = super::attempt(server, || {
                let process = servers::start(ground, server);
                for &(row, what) in &rows {
                    measure(ground, &process, row, what, results);
                }
                let measure = Measure::Resident;
                let place = Place { row: "memory", case: "after the hot rows", server, measure };
                results.add(place, process.resident());
                process.stop();
            });
            let fine = measured.is_ok();
            failed.extend(measured.err());
            fine
        });
    }
    failed
}

fn measure(
    ground: &Ground,
    process: &Process,
    row: &'static str,
    wanted: Wanted,
    results: &mut Results,
) {
    let server = process.name();
    let path = servers::path(server, wanted);
    check(ground, process, wanted, &path);
    let url = process.url(&path);
    let load = |duration| {
        let headers = wanted.headers();
        Load { url: &url, headers, connections: CONNECTIONS, duration }
    };
    load(WARM_UP).run();
    process.wait_until_idle();
    let before = process.cpu();
    let printed = load(ground.load).run();
    let cpu = process.cpu().since(&before);
    process.wait_until_idle();
    if printed.requests < 1.0 {
        eprintln!("bench: {server} answered nothing in time");
        return;
    }
    let mut add = |measure, value| results.add(Place { row, case: "", server, measure }, value);
    add(Measure::RequestsPerSecond, printed.per_second);
    add(Measure::CpuPerRequest, cpu.as_secs_f64() * 1e6 / printed.requests);
    add(Measure::NinetyNinth, printed.ninety_ninth);
}

/// A server that sends something else is not faster but wrong. What the other registries make of
/// the document is theirs, but it is about as much.
fn check(ground: &Ground, process: &Process, wanted: Wanted, path: &str) {
    let answer = process.connect().get(path, wanted.headers());
    let answer = answer.unwrap_or_else(|fault| panic!("{}{path}: {fault}", process.name()));
    assert_eq!(answer.status, 200, "{}{path}", process.name());
    let (length, expected) = (answer.length as u64, ground.mirrored_length(wanted));
    let is_file = matches!(wanted, Wanted::Tarball | Wanted::Crate);
    if is_file || !matches!(process.name(), VERDACCIO | NORA | KELLNR) {
        assert_eq!(length, expected, "{}{path}", process.name());
    } else {
        let encoding = answer.encoding.unwrap_or_else(|| "identity".to_owned());
        eprintln!("bench: {} sends {length} bytes, {encoding}", process.name());
    }
}
