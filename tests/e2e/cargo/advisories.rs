//! Holes in crates: records of both forms that the databases have, and what rules make of them.

use serde_json::json;
use support::crates::Crate;

use super::{lines, person, setup, upstream};

const VECTOR: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";

/// Two records of one hole in `Seed_Box`, each in the form of its database.
fn write_records(directory: &std::path::Path) {
    let rustsec = directory.join("crates/seed-box");
    std::fs::create_dir_all(&rustsec).unwrap();
    let record = format!(
        "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\npackage = \"Seed_Box\"\ndate = \"2026-01-01\"\n\
         cvss = \"{VECTOR}\"\naliases = [\"CVE-2026-1\"]\n\n[versions]\npatched = [\">= 1.2.0\"]\n```\n\n\
         # Boxes that open by themselves\n\nAll of it.\n"
    );
    std::fs::write(rustsec.join("RUSTSEC-2026-0001.md"), record).unwrap();
    let osv = json!({
        "schema_version": "1.7.4", "id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2026-1"],
        "modified": "2026-01-02T00:00:00Z", "summary": "Boxes that open by themselves",
        "severity": [{ "type": "CVSS_V3", "score": VECTOR }],
        "affected": [{
            "package": { "ecosystem": "crates.io", "name": "Seed_Box" },
            "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0.0.0-0" }, { "fixed": "1.2.0" }] }],
        }],
    });
    std::fs::write(directory.join("GHSA-aaaa-bbbb-cccc.json"), osv.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_with_a_hole_is_refused_by_a_rule_and_the_hole_is_one() {
    let up = upstream().await;
    Crate::plain("Seed_Box", &["1.0.0", "1.1.0", "1.2.0"]).publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:*"]);
    let before = person(&garth);
    before.depend("Seed_Box = \"1\"");
    before.must(&["fetch"]);
    let holed = "/cargo/api/v1/crates/Seed_Box/1.1.0/download";
    assert_eq!(garth.get(holed).await.status, 200);

    let directory = garth.setup().directory().join("database");
    write_records(&directory);
    garth.run(&[
        "advisories",
        "import",
        &directory.display().to_string(),
        "--source",
        "mine",
        "--complete",
    ]);
    let listed = garth.run(&["advisories", "list", "cargo:seed_box@1.1.0"]);
    for id in ["RUSTSEC-2026-0001", "GHSA-aaaa-bbbb-cccc", "CVE-2026-1"] {
        assert!(listed.contains(id), "no {id}: {listed}");
    }
    assert_eq!(listed.trim().lines().count(), 1, "it is one hole: {listed}");
    assert_eq!(garth.get(holed).await.status, 200, "no rule is about it yet");

    let rule = "[[rule]]\nname = \"no-known-critical\"\neffect = \"deny\"\npackages = [\"*\"]\n\
                when = \"advisories.exists(a, a.severity >= 9.0)\"\nreason = \"it has a hole\"\n";
    garth.setup().write_policy("holes", rule);
    let garth = garth.stop().0.start();
    let refused = garth.get(holed).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("no-known-critical"), "{}", refused.text());
    let index = garth.get("/cargo/se/ed/seed_box").await;
    assert_eq!(lines(&index.text()), ["1.2.0"]);
    // At another port by now.
    let person = person(&garth);
    person.depend("Seed_Box = \"1\"");
    person.must(&["fetch"]);
    assert_eq!(person.locked("Seed_Box").as_deref(), Some("1.2.0"));
}

/// Whoever is let have everything is not let have what was planted.
#[tokio::test(flavor = "multi_thread")]
async fn what_rustsec_files_as_malicious_is_refused_whatever_the_rules_say() {
    let up = upstream().await;
    Crate::plain("rustdecinal", &["1.0.0"]).publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:*"]);
    let directory = garth.setup().directory().join("database");
    let rustsec = directory.join("crates/rustdecinal");
    std::fs::create_dir_all(&rustsec).unwrap();
    let record = "```toml\n[advisory]\nid = \"RUSTSEC-2026-0002\"\npackage = \"rustdecinal\"\n\
                  date = \"2026-01-01\"\ncategories = [\"malicious\"]\n\n[versions]\npatched = []\n```\n\n\
                  # It takes tokens along\n\nIt was taken down.\n";
    std::fs::write(rustsec.join("RUSTSEC-2026-0002.md"), record).unwrap();
    let directory = directory.display().to_string();
    garth.run(&["advisories", "import", &directory, "--source", "mine", "--complete"]);
    let person = person(&garth);
    person.depend("rustdecinal = \"1\"");
    let printed = person.must_fail(&["fetch"]).text();
    assert!(printed.contains("RUSTSEC-2026-0002 says that it is malicious"), "{printed}");
}
