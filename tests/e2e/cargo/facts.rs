//! What rules ask of a crate, and where garth knows it from.

use std::time::Duration;

use serde_json::{Value, json};
use support::crates::{Crate, CrateVersion, crate_path, index_path, publish_lines, sha256};
use support::http::Asked;
use support::own_crates::NewCrate;
use support::publish::gzip;
use support::server::TestServer;
use support::upstream::{Answer, Body, ScriptedUpstream};
use tar::{EntryType, Header};

use super::{lines, registry, setup, upstream};

pub fn download(name: &str, version: &str) -> String {
    format!("/cargo/api/v1/crates/{name}/{version}/download")
}

async fn licensed() -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    Crate::new("turned")
        .version("1.0.0", |version| version.says("license = \"MIT\""))
        .version("2.0.0", |version| version.says("license = \"GPL-3.0-only\""))
        .publish(&up);
    Crate::plain("silent", &["1.0.0"]).publish(&up);
    up
}

const PERMISSIVE: &str = "[[rule]]\nname = \"permissive\"\neffect = \"allow\"\npackages = [\"cargo:*\"]\n\
                          when = \"licence.allowed(['family:permissive'])\"\n";

/// The header of a file in a crate that is 2^62 bytes of nothing, and of nothing else in the archive.
pub fn hole(path: &str) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_path(path).unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    let size = [&[0x80, 0, 0, 0][..], &(1_u64 << 62).to_be_bytes()].concat();
    gnu.realsize.copy_from_slice(&size);
    gnu.sparse[0].offset.copy_from_slice(&size);
    gnu.sparse[0].numbytes.copy_from_slice(b"00000000000\0");
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// As many of them as there are places to look into crates would have held each of them for years.
#[tokio::test(flavor = "multi_thread")]
async fn a_crate_that_never_ends_is_refused_and_others_are_still_looked_into() {
    const ENOUGH: Duration = Duration::from_secs(20);
    let up = licensed().await;
    let mut lines = String::new();
    let versions = ["1.0.0", "2.0.0", "3.0.0"];
    for version in versions {
        let whole = NewCrate::tar("endless", version, "license = \"MIT\"\n").tar();
        let bytes = gzip(&[hole(&format!("endless-{version}/src/hole.rs")), whole].concat());
        let line = json!({
            "name": "endless", "vers": version, "deps": [], "cksum": sha256(&bytes),
            "features": {}, "yanked": false,
        });
        lines.extend([line.to_string(), "\n".to_owned()]);
        let answer = Answer::ok("application/gzip", Body::Bytes(bytes.into()));
        up.put(&crate_path("endless", version), answer);
    }
    publish_lines(&up, "endless", &lines);
    let setup = setup(&up);
    setup.write_policy("rules", PERMISSIVE);
    let garth = setup.start();
    for version in versions {
        let asked = download("endless", version);
        let refused = tokio::time::timeout(ENOUGH, garth.get(&asked)).await.expect("an answer");
        assert_eq!(refused.status, 403, "{version}: {}", refused.text());
        assert!(refused.text().contains("nobody knows its licence"), "{}", refused.text());
    }
    let asked = download("turned", "1.0.0");
    let served = tokio::time::timeout(ENOUGH, garth.get(&asked)).await.expect("an answer");
    assert_eq!(served.status, 200, "{}", served.text());
    let log = garth.log();
    assert!(log.contains("hole.rs in it is a file with holes"), "{log}");
}

/// No index says a licence, so garth looks into the crate before it decides.
#[tokio::test(flavor = "multi_thread")]
async fn a_licence_is_read_in_the_crate_before_anything_of_it_is_sent() {
    let up = licensed().await;
    let setup = setup(&up);
    setup.write_policy("rules", PERMISSIVE);
    let garth = setup.start();
    let index = format!("/cargo{}", index_path("turned"));
    assert_eq!(lines(&garth.get(&index).await.text()), ["1.0.0", "2.0.0"], "nobody knows yet");
    let refused = garth.get(&download("turned", "2.0.0")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(!refused.text().contains("nobody knows"), "{}", refused.text());
    // It is held, and sent to nobody: asking again fetches nothing.
    assert_eq!(garth.get(&download("turned", "2.0.0")).await.status, 403);
    assert_eq!(up.requests(&crate_path("turned", "2.0.0")), 1);
    assert_eq!(lines(&garth.get(&index).await.text()), ["1.0.0"], "what is denied is absent");
    let served = garth.get(&download("turned", "1.0.0")).await;
    assert_eq!(served.status, 200, "{}", served.text());
    let silent = garth.get(&download("silent", "1.0.0")).await;
    assert!(silent.text().contains("nobody knows its licence"), "{}", silent.text());
    let why = garth.garth(&["why", "cargo:turned@2.0.0", "--json"]);
    let why = String::from_utf8(why.stdout).unwrap();
    assert!(why.contains("GPL-3.0-only"), "{why}");

    // Another process knows it.
    let garth = garth.kill().start();
    up.go_offline();
    assert_eq!(garth.get(&download("turned", "2.0.0")).await.status, 403);
    assert_eq!(garth.get(&download("turned", "1.0.0")).await.status, 200);
    assert_eq!(lines(&garth.get(&index).await.text()), ["1.0.0"]);
}

/// What was learned by opening a crate is known without the crate, whoever starts next.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crate_said_is_known_when_the_crate_is_gone_and_after_a_kill() {
    let up = licensed().await;
    let setup = setup(&up);
    setup.write_policy("rules", PERMISSIVE);
    let garth = setup.start();
    assert_eq!(garth.get(&download("turned", "2.0.0")).await.status, 403);
    let garth = garth.kill().start();
    let held = Asked::new("DELETE", "/api/v1/packages/cargo/turned/versions/2.0.0")
        .header("Authorization", &format!("Bearer {}", garth.admin_token()));
    let dropped = garth.ask(&held).await;
    assert_eq!(dropped.status, 200, "{}", dropped.text());
    let garth = garth.kill().start();
    up.go_offline();
    let index = format!("/cargo{}", index_path("turned"));
    assert_eq!(lines(&garth.get(&index).await.text()), ["1.0.0"]);
    let refused = garth.get(&download("turned", "2.0.0")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(!refused.text().contains("nobody knows"), "{}", refused.text());
    assert_eq!(facts(&garth, "cargo:turned@2.0.0")["licence"], "GPL-3.0-only");
    assert_eq!(up.requests(&crate_path("turned", "2.0.0")), 1);
}

/// What garth knows of a version, as `garth why` says it.
pub fn facts(garth: &TestServer, version: &str) -> Value {
    let why = garth.garth(&["why", version, "--json"]);
    let why: Value = serde_json::from_slice(&why.stdout).unwrap();
    why["facts"].clone()
}

/// The index says it of newer versions; of others the crate does, once it was fetched.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crate_is_and_what_compiles_it_are_facts() {
    let up = ScriptedUpstream::start().await;
    let says = |version: CrateVersion, rust: &str| {
        let version = version.says("description = \"A parser\\n of things\"");
        let version = version.says("repository = \"https://git.example/parser\"");
        version.says("license = \"MIT\"").says(&format!("rust-version = \"{rust}\""))
    };
    Crate::new("parser")
        .version("1.0.0", |version| says(version, "1.70"))
        .version("2.0.0", |version| {
            says(version, "1.85").field("rust_version", "1.85".into()).yanked()
        })
        .publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:*"]);
    garth.get(&format!("/cargo{}", index_path("parser"))).await;
    let before = facts(&garth, "cargo:parser@1.0.0");
    assert!(before["rust_version"].is_null() && before["description"].is_null(), "{before}");
    assert_eq!(facts(&garth, "cargo:parser@2.0.0")["rust_version"], "1.85");
    for version in ["1.0.0", "2.0.0"] {
        garth.hold(&download("parser", version)).await;
    }
    // It is opened behind the client's back.
    let known = async || {
        for _ in 0..500 {
            let known = facts(&garth, "cargo:parser@1.0.0");
            if !known["description"].is_null() {
                return known;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("nothing is known of it")
    };
    let known = known().await;
    assert_eq!(known["description"], "A parser of things");
    assert_eq!(known["repository"], "https://git.example/parser");
    assert_eq!((&known["rust_version"], &known["licence"]), (&"1.70".into(), &"MIT".into()));
    assert_eq!(known["install_scripts"], false);
    let why = garth.run(&["why", "cargo:parser@1.0.0"]);
    assert!(why.contains("A parser of things"), "{why}");
    assert!(why.contains("for Rust 1.70 and newer"), "{why}");
    let path = "/api/v1/packages/cargo/parser/versions/1.0.0";
    let shown =
        Asked::get(path).header("Authorization", &format!("Bearer {}", garth.admin_token()));
    let shown = garth.ask(&shown).await.json();
    assert_eq!(shown["decision"]["facts"]["repository"], known["repository"], "{shown}");

    let rules = "[[rule]]\nname = \"ours\"\neffect = \"deny\"\npackages = [\"cargo:*\"]\n\
                 when = \"!repository.startsWith('https://git.example/') || rust_version == '1.85'\"\n";
    garth.setup().write_policy("rules", rules);
    let newer = Asked::get(&download("parser", "2.0.0"));
    garth.wait_for(&newer, |answer| answer.status == 403).await;
    assert_eq!(garth.get(&download("parser", "1.0.0")).await.status, 200);
}

/// A rule that asks for what only the crate says has it looked into, whichever of these it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_crate_is_looked_into_for_what_a_rule_asks_of_it() {
    let up = ScriptedUpstream::start().await;
    Crate::new("foreign")
        .version("1.0.0", |version| version.says("repository = \"https://elsewhere.example/x\""))
        .publish(&up);
    let setup = setup(&up);
    let rules = "[[rule]]\nname = \"ours\"\neffect = \"allow\"\npackages = [\"cargo:*\"]\n\
                 when = \"repository.startsWith('https://git.example/')\"\n";
    setup.write_policy("rules", rules);
    let garth = setup.start();
    let refused = garth.get(&download("foreign", "1.0.0")).await;
    assert_eq!(refused.status, 403);
    assert!(!refused.text().contains("nobody knows"), "{}", refused.text());
    assert_eq!(up.requests(&crate_path("foreign", "1.0.0")), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_looks_like_a_well_known_crate_s_is_told_from_another_spelling_of_it() {
    let up = ScriptedUpstream::start().await;
    for name in ["serde-json", "serdejson", "acme-core", "acmecore"] {
        Crate::plain(name, &["1.0.0"]).publish(&up);
    }
    let setup = setup(&up);
    let rules = "[[rule]]\nname = \"all\"\neffect = \"allow\"\npackages = [\"cargo:*\"]\n\
                 [[rule]]\nname = \"meant\"\neffect = \"allow\"\npackages = [\"cargo:acme-core\"]\n\
                 [[rule]]\nname = \"no-look-alikes\"\neffect = \"deny\"\npackages = [\"cargo:*\"]\n\
                 when = \"similar_to != ''\"\n";
    setup.write_policy("rules", rules);
    let garth = setup.start();
    for (name, status) in
        [("serde-json", 200), ("serdejson", 403), ("acme-core", 200), ("acmecore", 403)]
    {
        let answer = garth.get(&download(name, "1.0.0")).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    assert_eq!(facts(&garth, "cargo:serdejson@1.0.0")["similar_to"], "serde_json");
}

/// Whatever a crate says of itself, a version that is denied by its name is not fetched.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_licence_could_let_through_is_not_looked_into() {
    let up = licensed().await;
    let setup = setup(&up);
    let deny = "[[rule]]\nname = \"no\"\neffect = \"deny\"\npackages = [\"cargo:turned\"]\n";
    setup.write_policy("rules", &format!("{PERMISSIVE}{deny}"));
    let garth = setup.start();
    assert_eq!(garth.get(&download("turned", "1.0.0")).await.status, 403);
    assert_eq!(up.requests(&crate_path("turned", "1.0.0")), 0);
}

/// What a rule asks of others is no reason to hold a crate back until it is opened.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_about_the_licences_of_others_has_no_crate_opened_first() {
    let up = licensed().await;
    let setup = setup(&up);
    let others = "[[rule]]\nname = \"no\"\neffect = \"deny\"\npackages = [\"npm:*\", \"cargo:silent\"]\n\
                  when = \"!licence.allowed(['MIT'])\"\n";
    setup.write_policy("rules", others);
    let garth = setup.start();
    garth.run(&["allow", "cargo:*"]);
    for (name, status, why) in [("turned", 206, "allow-"), ("silent", 403, "looks into it")] {
        let part = Asked::get(&download(name, "1.0.0")).header("Range", "bytes=0-0");
        assert_eq!(garth.ask(&part).await.status, status, "{name}");
        let said = garth.run(&["log", "--action", "admitted", "--json"]);
        let of_it: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(matches!(&of_it[..], [line] if line.contains(why)), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_runs_at_a_build_is_what_rules_call_install_scripts() {
    let up = ScriptedUpstream::start().await;
    Crate::new("builds")
        .version("1.0.0", |version| version.file("build.rs", "fn main() {}"))
        .publish(&up);
    Crate::plain("plain", &["1.0.0"]).publish(&up);
    let setup = setup(&up);
    let rules = "[[rule]]\nname = \"quiet\"\neffect = \"allow\"\npackages = [\"cargo:*\"]\n\
                 when = \"!install_scripts\"\n";
    setup.write_policy("rules", rules);
    let garth = setup.start();
    assert_eq!(garth.get(&download("plain", "1.0.0")).await.status, 200);
    let refused = garth.get(&download("builds", "1.0.0")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn yanked_and_the_date_are_as_the_index_says_them() {
    let up = upstream().await;
    Crate::new("seed")
        .version("1.0.0", |version| version.field("pubtime", "2024-05-06T07:08:09Z".into()))
        .version("2.0.0", |version| {
            version.yanked().field("pubtime", "2200-01-01T00:00:00Z".into())
        })
        .publish(&up);
    let setup = setup(&up);
    let rules = "[[rule]]\nname = \"old\"\neffect = \"allow\"\npackages = [\"cargo:seed\"]\n\
                 when = \"age > duration('24h') && !yanked\"\n";
    setup.write_policy("rules", rules);
    let garth = setup.start();
    assert_eq!(lines(&garth.get("/cargo/se/ed/seed").await.text()), ["1.0.0"]);
    assert_eq!(garth.get(&download("seed", "2.0.0")).await.status, 403);
}

/// What an upstream said of a version has a date, whatever it says now.
#[tokio::test(flavor = "multi_thread")]
async fn when_the_upstream_yanked_a_version_and_took_it_back_is_told() {
    let up = upstream().await;
    let garth = registry(&up, "max_age = \"0s\"").start();
    garth.run(&["allow", "cargo:*"]);
    let publish = |yanked: bool| {
        let mark = |version: CrateVersion| if yanked { version.yanked() } else { version };
        Crate::new("seed").version("1.0.0", mark).publish(&up);
    };
    for (yanked, told) in [(false, ""), (true, "it is yanked\n"), (false, "it is yanked no more\n")]
    {
        publish(yanked);
        assert_eq!(garth.get("/cargo/se/ed/seed").await.status, 200);
        let why = garth.run(&["why", "cargo:seed@1.0.0"]);
        assert!(why.contains(told), "{why}");
        assert!(!told.is_empty() || !why.contains("yanked"), "{why}");
    }
}

/// cargo resolves by the index and builds by the manifest.
#[tokio::test(flavor = "multi_thread")]
async fn a_crate_that_needs_something_else_than_its_index_says_contradicts_it() {
    let up = ScriptedUpstream::start().await;
    Crate::new("liar")
        .version("1.0.0", |version| version.needs("evil", "1").field("deps", "[]".parse().unwrap()))
        .publish(&up);
    Crate::new("honest")
        .version("1.0.0", |version| {
            version.needs("a", "1").may_use("b", ">=1.2, <2").needs_on("cfg(unix)", "c", "^0.1")
        })
        .publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:*"]);
    for name in ["liar", "honest"] {
        garth.hold(&download(name, "1.0.0")).await;
    }
    let no_liars = "[[rule]]\nname = \"no-liars\"\neffect = \"deny\"\npackages = [\"cargo:*\"]\n\
                    when = \"contradicts\"\n";
    garth.setup().write_policy("rules", no_liars);
    let refused = Asked::get(&download("liar", "1.0.0"));
    garth
        .wait_for(&refused, |answer| {
            answer.status == 403 && !answer.text().contains("nobody knows")
        })
        .await;
    let served = Asked::get(&download("honest", "1.0.0"));
    garth.wait_for(&served, |answer| answer.status == 200).await;
    let log = garth.log();
    assert!(log.contains("of dependencies its archive says normal evil ^1"), "{log}");
}
