//! Advisories by the million: the first import of an export, the same once more, one in which a
//! hundredth changed, and what is known of a package afterwards.
//!
//! Records are made here, about as long as those of the databases. Half of them call a package
//! malicious; one package has five thousand.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use crate::ground::Ground;
use crate::process::Process;
use crate::results::{Measure, Place, Results};
use crate::servers::GARTH;

const RECORDS: usize = 1_000_000;
const QUICK_RECORDS: usize = 20_000;
const OF_ONE_PACKAGE: usize = 5_000;
/// One in so many is another one in the last export.
const CHANGED: usize = 100;
const ASKED: usize = 51;

pub fn run(ground: &Ground, results: &mut Results) {
    let count = if ground.quick { QUICK_RECORDS } else { RECORDS };
    let directory = ground.directory.join("advisories");
    std::fs::create_dir_all(&directory).unwrap();
    let before = export(&directory, count, false);
    let after = export(&directory, count, true);
    let garth = ground.start_anew();
    let mut add = |case, measure, value| {
        results.add(Place { row: "advisories", case, server: GARTH, measure }, value);
    };
    add("with none", Measure::Resident, garth.resident());
    for (case, file) in [("first import", &before), ("unchanged", &before), ("1 % changed", &after)]
    {
        super::tell("advisories", 0, ground, case);
        Ground::settle();
        garth.wait_until_idle();
        garth.forget_peak();
        let cpu = garth.cpu();
        let took = import(ground, &garth, file);
        add(case, Measure::Seconds, took.as_secs_f64());
        // What counts no more is taken away behind the answer.
        garth.wait_until_idle();
        add(case, Measure::CpuSeconds, garth.cpu().since(&cpu).as_secs_f64());
        add(case, Measure::PeakResident, garth.peak_resident());
        add(case, Measure::Resident, garth.resident());
    }
    let status = ask(ground, &garth, "/api/v1/advisories/status").0;
    assert_eq!(status["advisories"], count, "{status}");
    #[allow(clippy::cast_precision_loss, reason = "some gigabytes")]
    let index = status["memory"].as_u64().unwrap() as f64;
    #[allow(clippy::cast_precision_loss, reason = "some millions")]
    add("the index", Measure::BytesEach, index / count as f64);
    for (case, package) in
        [("a package with one", "generated-7@1.0.0"), ("a package with 5,000", "many@1.0.0")]
    {
        let path = format!("/api/v1/advisories?package=npm:{package}");
        for _ in 0..ASKED {
            add(case, Measure::Total, ask(ground, &garth, &path).1.as_secs_f64() * 1e3);
        }
    }
    let data = ground.new_data();
    garth.stop();
    let again = crate::servers::garth::start(ground, &data);
    add("a start with all of them", Measure::Seconds, again.ready_after.as_secs_f64());
    add("a start with all of them", Measure::PeakResident, again.peak_resident());
    again.stop();
}

/// By the command that people use, on the core of the load.
fn import(ground: &Ground, garth: &Process, file: &Path) -> Duration {
    let begun = Instant::now();
    let done = Command::new(&ground.garth)
        .args(["advisories", "import", "--source", "generated", "--complete"])
        .arg(file)
        .env("GARTH_URL", garth.url("/"))
        .env("GARTH_TOKEN", token(ground))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    eprintln!("bench: {}", said.lines().next().unwrap_or_default());
    begun.elapsed()
}

fn token(ground: &Ground) -> String {
    let token = std::fs::read_to_string(ground.new_data().join("admin-token")).unwrap();
    token.trim().to_owned()
}

fn ask(ground: &Ground, garth: &Process, path: &str) -> (Value, Duration) {
    let authorization = format!("Bearer {}", token(ground));
    let answer = garth.connect().fetch(path, &[("Authorization", &authorization)]).unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    (serde_json::from_slice(&answer.body).unwrap(), answer.total)
}

/// A zip as the databases are exported, kept for the next benchmark.
fn export(directory: &Path, count: usize, changed: bool) -> PathBuf {
    let file = directory.join(format!("{count}-{}.zip", if changed { "changed" } else { "first" }));
    if file.exists() {
        return file;
    }
    eprintln!("bench: making {count} advisories");
    let making = file.with_extension("making");
    let mut zip = zip::ZipWriter::new(BufWriter::new(File::create(&making).unwrap()));
    let options = SimpleFileOptions::default().compression_level(Some(1));
    for n in 0..count {
        let record = record(n, changed && n % CHANGED == 0);
        zip.start_file(format!("{}.json", record["id"].as_str().unwrap()), options).unwrap();
        zip.write_all(record.to_string().as_bytes()).unwrap();
    }
    zip.finish().unwrap().flush().unwrap();
    std::fs::rename(&making, &file).unwrap();
    file
}

fn record(n: usize, changed: bool) -> Value {
    let name = if n < OF_ONE_PACKAGE { "many".to_owned() } else { format!("generated-{n}") };
    // One that a test asks for is there in a short export too.
    let name = if n == OF_ONE_PACKAGE { "generated-7".to_owned() } else { name };
    let modified = if changed { "2026-06-01T00:00:00Z" } else { "2026-01-01T00:00:00Z" };
    let details = format!(
        "## Details of {n}\n\nWhat {name} reads from its caller is used as it comes. {}",
        "Whoever can hand it such a value makes it do what its caller did not mean. ".repeat(8)
    );
    let (minor, patch) = (n % 40, n % 7);
    if n.is_multiple_of(2) {
        return json!({
            "schema_version": "1.7.4", "id": format!("MAL-2026-{n}"), "modified": modified,
            "published": "2025-12-01T00:00:00Z", "summary": format!("Malicious code in {name} (npm)"),
            "details": details,
            "affected": [{
                "package": { "ecosystem": "npm", "name": name },
                "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }] }],
                "database_specific": { "cwes": [{ "cweId": "CWE-506", "name": "Embedded Malicious Code" }] },
            }],
            "references": [{ "type": "WEB", "url": format!("https://advisories.example/{n}") }],
        });
    }
    json!({
        "schema_version": "1.7.4", "id": format!("GHSA-{n:04}-{:04}-aaaa", n / 3),
        "aliases": [format!("CVE-2026-{n}")], "modified": modified,
        "published": "2025-12-01T00:00:00Z", "summary": format!("{name} does what is asked of it, number {n}"),
        "details": details,
        "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:N" }],
        "affected": [{
            "package": { "ecosystem": "npm", "name": name, "purl": format!("pkg:npm/{name}") },
            "ranges": [{ "type": "SEMVER", "events": [
                { "introduced": format!("0.{minor}.0") }, { "fixed": format!("1.{minor}.{patch}") },
            ] }],
        }],
        "references": [
            { "type": "ADVISORY", "url": format!("https://advisories.example/ghsa/{n}") },
            { "type": "WEB", "url": format!("https://git.example/x/{name}/commit/{n:040x}") },
        ],
        "database_specific": { "severity": "HIGH", "cwe_ids": ["CWE-20", "CWE-79"], "github_reviewed": true },
    })
}
