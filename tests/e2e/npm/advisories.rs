//! Advisories that were imported: what they refuse, and what audits say of them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use support::http::Asked;
use support::package_managers::{Kind, PackageManager};
use support::server::{Setup, TestServer};

use super::{npm, registry, setup, upstream};

/// A directory of records, as a database is exported.
pub fn export(setup: &Setup, name: &str, records: &[Value]) -> String {
    let directory: PathBuf = setup.directory().join(name).join("npm");
    std::fs::create_dir_all(&directory).unwrap();
    for record in records {
        let file = directory.join(format!("{}.json", record["id"].as_str().unwrap()));
        std::fs::write(file, record.to_string()).unwrap();
    }
    setup.directory().join(name).display().to_string()
}

fn malicious(modified: &str) -> Value {
    json!({
        "schema_version": "1.7.4", "id": "MAL-2026-7", "modified": modified,
        "summary": "Malicious code in left-pad (npm)",
        "affected": [{
            "package": { "ecosystem": "npm", "name": "left-pad" },
            "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }] }],
        }],
    })
}

pub fn hole() -> Value {
    json!({
        "schema_version": "1.7.4", "id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2026-1"],
        "modified": "2026-01-01T00:00:00Z", "summary": "Padding on the wrong side",
        "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }],
        "affected": [{
            "package": { "ecosystem": "npm", "name": "left-pad" },
            "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "1.2.0" }] }],
        }],
        "references": [{ "type": "ADVISORY", "url": "https://advisories.example/GHSA-aaaa-bbbb-cccc" }],
        "database_specific": { "severity": "CRITICAL", "cwe_ids": ["CWE-682"] },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_import_calls_malicious_is_refused_from_the_next_request_on() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    let npm = npm(&garth);
    npm.must(&["install", "left-pad@1.3.0"]);

    let first = export(garth.setup(), "first", &[malicious("2026-01-01T00:00:00Z")]);
    let told = garth.run(&["advisories", "import", &first, "--source", "malicious", "--complete"]);
    assert!(told.contains("1 written") && told.contains("denied"), "{told}");
    // By its metadata, and by the lockfile that has it already.
    for arguments in [&["install", "left-pad@1.3.0"][..], &["ci"]] {
        npm.forget();
        let _ = std::fs::remove_dir_all(npm.project().join("node_modules"));
        let refused = npm.must_fail(arguments).text();
        assert!(refused.contains("the advisory MAL-2026-7 says that it is malicious"), "{refused}");
    }
    let why = garth.garth(&["why", "npm:left-pad@1.3.0"]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("MAL-2026-7"), "{why}");
    let listed = garth.run(&["advisories", "list", "npm:left-pad@1.3.0"]);
    assert!(listed.contains("MAL-2026-7  MALICIOUS"), "{listed}");

    // After a start as well, and until it is taken back.
    let garth = garth.stop().0.start();
    let asked = Asked::new("GET", "/npm/left-pad/-/left-pad-1.3.0.tgz");
    assert_eq!(garth.ask(&asked).await.status, 403);
    let mut withdrawn = malicious("2026-02-01T00:00:00Z");
    withdrawn["withdrawn"] = "2026-02-01T00:00:00Z".into();
    let second = export(garth.setup(), "second", &[withdrawn]);
    garth.run(&["advisories", "import", &second, "--source", "malicious"]);
    assert_eq!(garth.ask(&asked).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_is_answered_from_what_was_imported_and_its_fix_works() {
    let up = upstream().await;
    up.advise("left-pad", "<1.3.0", "low");
    let garth = registry(&up, "own = [\"acme-*\"]").start();
    garth.run(&["allow", "npm:*"]);
    let npm = PackageManager::new(Kind::Npm, &format!("{}/npm/", garth.url));
    npm.must(&["install", "left-pad@1.1.0"]);

    // A single record is no database: the upstream is still asked.
    let mut lone = hole();
    lone["id"] = "ACME-1".into();
    lone["affected"][0]["package"]["name"] = "something-else".into();
    let file = garth.setup().directory().join("lone.json");
    std::fs::write(&file, lone.to_string()).unwrap();
    garth.run(&["advisories", "import", &file.display().to_string(), "--source", "mine"]);
    let asked = npm.must_fail(&["audit"]).text();
    assert!(asked.contains("a hole in left-pad"), "{asked}");

    let directory = export(garth.setup(), "export", &[hole()]);
    garth.run(&["advisories", "import", &directory, "--complete"]);
    up.forget_requests();
    let audited = npm.must_fail(&["audit"]);
    insta::assert_snapshot!("npm_audit_by_what_was_imported", npm.redacted(&audited));
    assert!(up.recorded().iter().all(|asked| asked.method != "POST"), "nobody else is asked");
    npm.must(&["audit", "fix"]);
    assert_eq!(npm.installed("left-pad").as_deref(), Some("1.3.0"));
    let clean = npm.must(&["audit"]).text();
    assert!(clean.contains("found 0 vulnerabilities"), "{clean}");

    let asked = json!({ "left-pad": ["1.1.0", "1.3.0"], "@s/n": ["1.0.0"], "../x": ["1.0.0"] });
    let path = "/npm/-/npm/v1/security/advisories/bulk";
    let answer = garth.ask(&Asked::new("POST", path).body(asked.to_string())).await.json();
    let entry = &answer["left-pad"][0];
    assert_eq!(entry["vulnerable_versions"], "<1.2.0");
    assert_eq!((&entry["severity"], &entry["cvss"]["score"]), (&json!("critical"), &json!(9.8)));
    assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_clients_audit_by_it_too() {
    let up = upstream().await;
    let garth = registry(&up, "").start();
    garth.run(&["allow", "npm:*"]);
    let directory = export(garth.setup(), "export", &[hole()]);
    garth.run(&["advisories", "import", &directory, "--complete"]);
    for (kind, audit) in [
        (Kind::Pnpm, &["audit"][..]),
        (Kind::Berry, &["npm", "audit", "--recursive"]),
        (Kind::Bun, &["audit"]),
    ] {
        let person = PackageManager::new(kind, &format!("{}/npm/", garth.url));
        person.write(
            "package.json",
            r#"{ "name": "shop", "version": "1.0.0", "dependencies": { "left-pad": "1.1.0" } }"#,
        );
        person.must(&["install"]);
        let text = person.must_fail(audit).text();
        assert!(text.contains("Padding on the wrong side"), "{kind:?}: {text}");
    }
    assert!(up.recorded().iter().all(|asked| asked.method != "POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_import_changes_nothing_and_names_the_file() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let good = export(garth.setup(), "good", &[hole()]);
    garth.run(&["advisories", "import", &good, "--complete"]);
    let before = garth.run(&["advisories", "status"]);

    let bad = export(garth.setup(), "bad", &[malicious("2026-01-01T00:00:00Z")]);
    let broken = garth.setup().directory().join("bad/npm/broken.json");
    std::fs::write(broken, "{ \"id\": \"A-1\",\n  \"modified\": 7 }").unwrap();
    let cut = garth.setup().directory().join("cut.zip");
    std::fs::write(&cut, b"PK\x03\x04 and then nothing").unwrap();
    let cut = cut.display().to_string();
    let missing = garth.setup().directory().join("missing").display().to_string();
    for (path, told) in [
        (&bad, "npm/broken.json: it is no OSV record"),
        (&bad, "line 2"),
        (&cut, "broken zip"),
        (&missing, "can not be read"),
    ] {
        let refused = garth.garth(&["advisories", "import", path, "--complete"]);
        assert_eq!(refused.status.code(), Some(2));
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(errors.contains(told), "{path}: {errors}");
    }
    assert_eq!(garth.run(&["advisories", "status"]), before);
    let shown = garth.run(&["advisories", "show", "GHSA-aaaa-bbbb-cccc"]);
    assert!(shown.contains("Padding on the wrong side") && shown.contains("CVE-2026-1"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_advisories_says_that_nothing_is_known_to_be_malicious() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let told = || garth.log().matches("no advisories are imported").count();
    for _ in 0..200 {
        if told() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told(), 1, "{}", garth.log());
    assert!(!garth.story().contains(" WARN "), "it may be meant so: {}", garth.log());
    let status = garth.run(&["advisories", "status"]);
    assert!(status.contains("has nothing to go by"), "{status}");
    let directory = export(garth.setup(), "export", &[hole()]);
    garth.run(&["advisories", "import", &directory, "--complete"]);
    let status = garth.run(&["advisories", "status"]);
    assert!(!status.contains("nothing to go by") && !status.contains("OLD"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_imports_without_the_token() {
    let up = upstream().await;
    let garth = setup(&up).start();
    for (method, path) in [
        ("POST", "/api/v1/advisories/import"),
        ("GET", "/api/v1/advisories/status"),
        ("GET", "/api/v1/advisories?package=npm:left-pad"),
        ("GET", "/api/v1/advisories/A-1"),
    ] {
        let answer = garth.ask(&Asked::new(method, path).body("{}")).await;
        assert_eq!(answer.status, 401, "{path}");
    }
}

fn count(garth: &TestServer) -> u64 {
    let status: Value =
        serde_json::from_str(&garth.run(&["advisories", "status", "--json"])).unwrap();
    status["advisories"].as_u64().unwrap()
}

/// Whenever it dies, what is in force afterwards is all of the import or nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_an_import_leaves_the_advisories_of_before() {
    const MANY: u64 = 20_000;
    let up = upstream().await;
    let mut garth = setup(&up).start();
    let good = export(garth.setup(), "good", &[hole()]);
    garth.run(&["advisories", "import", &good, "--source", "good"]);
    let many: Vec<Value> = (0..MANY)
        .map(|n| {
            let mut record = malicious("2026-01-01T00:00:00Z");
            record["id"] = format!("MAL-2026-{n}").into();
            record["affected"][0]["package"]["name"] = format!("package-{n}").into();
            record
        })
        .collect();
    let many = export(garth.setup(), "many", &many);
    let mut broken_off = 0;
    for round in 0..6 {
        let mut importing = garth
            .setup()
            .command(&["advisories", "import", &many, "--source", "many"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(400 + 500 * round)).await;
        let died_in_the_middle = importing.try_wait().unwrap().is_none();
        garth = garth.kill().start();
        importing.wait().unwrap();
        let found = count(&garth);
        assert!(found == 1 || found == MANY + 1, "{found}");
        broken_off += u64::from(died_in_the_middle && found == 1);
        if found > 1 {
            break;
        }
    }
    assert!(broken_off > 0, "no kill came in the middle");
    garth.run(&["advisories", "import", &many, "--source", "many"]);
    assert_eq!(count(&garth), MANY + 1);
    let (setup, _) = garth.stop();
    let checked = setup.command(&["check"]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

fn tarred(records: &[Value]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for record in records {
        let text = record.to_string();
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        let file = format!("{}.json", record["id"].as_str().unwrap());
        tar.append_data(&mut header, file, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_archives_are_fetched_and_a_broken_one_changes_nothing() {
    let up = upstream().await;
    let archive = "application/x-tar";
    up.place("/osv/npm/all.tar", archive, tarred(&[malicious("2026-01-01T00:00:00Z")]));
    let settings = format!("[advisories]\nurls = [\"{}osv/npm/all.tar\"]\n", up.url());
    let garth = registry(&up, &settings).start();
    garth.run(&["allow", "npm:*"]);
    let asked = Asked::new("GET", "/npm/left-pad/-/left-pad-1.3.0.tgz");
    for _ in 0..200 {
        if garth.ask(&asked).await.status == 403 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(garth.ask(&asked).await.text().contains("MAL-2026-7"));
    assert_eq!(count(&garth), 1);

    up.place("/osv/npm/all.tar", archive, "no archive");
    let garth = garth.stop().0.start();
    for _ in 0..200 {
        if garth.log().contains("advisories could not be fetched") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(garth.log().contains("neither a record in JSON nor"), "{}", garth.log());
    assert!(garth.ask(&asked).await.text().contains("MAL-2026-7"));
}
