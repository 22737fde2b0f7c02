//! What a crate needs: as the real cargo locks it, and allowed as one.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::cargo::Cargo;
use support::crates::{Crate, CrateVersion};
use support::http::Asked;
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::{person, setup, upstream};

/// `app` with optional crates, crates for other platforms, two ranges of one crate, and two dependents
/// that do not want the same.
async fn forest() -> ScriptedUpstream {
    let up = upstream().await;
    let features = json!({ "default": ["std"], "std": ["dep:extra", "extra?/big", "faint?/big"] });
    Crate::new("app")
        .version("1.0.0", |version| version.needs("gone", "1"))
        .version("1.4.0", |version| {
            let version = version.needs("base", "1").needs("narrow", "1").needs("wide", "0.3");
            let version = version.needs_on("cfg(windows)", "elsewhere", "1");
            let version = version.may_use("extra", "1").may_use("unused", "1");
            // Only named by what does not turn it on: cargo locks it.
            let version = version.may_use("faint", "1");
            version.field("v", 2.into()).field("features2", features)
        })
        .version("1.5.0", CrateVersion::yanked)
        .publish(&up);
    Crate::new("base")
        .version("1.0.0", |version| version)
        .version("1.1.0", |version| version.needs("too-new", "1"))
        .publish(&up);
    Crate::new("narrow")
        .version("1.0.0", |version| version.needs("base", "=1.0.0").needs("wide", "0.4"))
        .publish(&up);
    Crate::plain("wide", &["0.3.1", "0.3.2", "0.4.0"]).publish(&up);
    Crate::new("extra")
        .version("1.2.0", |version| {
            version.may_use("deep", "1").field("features", json!({ "big": ["deep"] }))
        })
        .publish(&up);
    Crate::new("faint")
        .version("1.0.0", |version| version.field("features", json!({ "big": [] })))
        .publish(&up);
    for name in ["elsewhere", "unused", "deep", "too-new"] {
        Crate::plain(name, &["1.0.0", "1.2.0", "2.0.0"]).publish(&up);
    }
    up
}

/// `name@version` of every crate of the lockfile.
fn locked(person: &Cargo) -> BTreeSet<String> {
    let lockfile: toml::Table = person.read("Cargo.lock").unwrap().parse().unwrap();
    let packages = lockfile["package"].as_array().unwrap();
    let fetched = packages.iter().filter(|package| package.get("source").is_some());
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
    fetched.map(|one| format!("{}@{}", text(one, "name"), text(one, "version"))).collect()
}

fn closure(garth: &TestServer, package: &str) -> Value {
    let command = ["allow", package, "--with-dependencies", "--dry-run", "--json"];
    let output = garth.garth(&command);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"));
    said["closures"][0].clone()
}

fn members(closure: &Value) -> BTreeSet<String> {
    let versions = closure["versions"].as_array().unwrap().iter();
    let text = |member: &Value, key: &str| member[key].as_str().unwrap().to_owned();
    let name = |member: &Value| text(member, "package").replacen("cargo:", "", 1);
    versions.map(|member| format!("{}@{}", name(member), text(member, "version"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_allow_with_dependencies_cargo_fetches() {
    let up = forest().await;
    let direct = Cargo::replaced_by(up.url().as_str());
    direct.depend("app = \"1\"");
    direct.must(&["fetch"]);

    let garth = setup(&up).start();
    let person = person(&garth);
    person.depend("app = \"1\"");
    person.must_fail(&["fetch"]);
    assert_eq!(members(&closure(&garth, "cargo:app@^1")), locked(&direct));
    assert_eq!(members(&closure(&garth, "cargo:app")), locked(&direct));

    let told = garth.run(&["allow", "cargo:app@^1", "--with-dependencies", "--reason", "ADR-14"]);
    assert!(told.contains("as cargo would install it"), "{told}");
    person.forget();
    person.depend("app = \"1\"");
    person.must(&["fetch"]);
    assert_eq!(person.read("Cargo.lock"), direct.read("Cargo.lock"));
    assert_eq!(garth.get("/cargo/api/v1/crates/unused/1.2.0/download").await.status, 403);
    let again = garth.run(&["allow", "cargo:app@^1", "--with-dependencies"]);
    assert!(again.contains("allowed already"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_is_told() {
    let up = forest().await;
    let garth = setup(&up).start();
    // Another version does.
    garth.run(&["deny", "cargo:wide@0.3.2", "--reason", "it leaks", "--name", "no-leaks"]);
    let all = closure(&garth, "cargo:app@^1");
    assert!(members(&all).contains("wide@0.3.1"), "{all:#}");
    let passed =
        all["versions"].as_array().unwrap().iter().find(|one| !one["instead_of"].is_null());
    assert_eq!(passed.unwrap()["instead_of"]["version"], "0.3.2");
    // Nothing else does, and what is needed is unknown.
    let refused = garth.garth(&["allow", "cargo:app@=1.0.0", "--with-dependencies"]);
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    let told = String::from_utf8(refused.stdout).unwrap();
    assert!(told.contains("not to be had: gone ^1, for cargo:app@1.0.0"), "{told}");
    for (package, why) in [
        ("cargo:nothing", "unknown"),
        ("cargo:app@1.5.0", "not yanked"),
        ("cargo:app@^9", "has no version"),
    ] {
        let refused = garth.garth(&["allow", package, "--with-dependencies"]);
        assert_eq!(refused.status.code(), Some(2), "{package}");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains(why), "{package}: {told}");
    }
}

/// What is told is what a build would meet: each crate is looked up, as npm's packages are.
#[tokio::test(flavor = "multi_thread")]
async fn a_lockfile_is_one_rule_and_each_of_its_crates_is_looked_up() {
    let up = forest().await;
    let direct = Cargo::replaced_by(up.url().as_str());
    direct.depend("app = \"1\"");
    direct.must(&["fetch"]);
    let lockfile = direct.read("Cargo.lock").unwrap();
    // Taken back since.
    Crate::new("base")
        .version("1.0.0", CrateVersion::yanked)
        .version("1.1.0", |version| version.needs("too-new", "1"))
        .publish(&up);
    let setup = setup(&up);
    let rule = "[[rule]]\nname = \"no-yanked\"\neffect = \"deny\"\npackages = [\"cargo:*\"]\n\
                when = \"has(yanked) && yanked\"\n";
    setup.write_policy("yanked", rule);
    let garth = setup.start();

    let source = lockfile.lines().find(|line| line.starts_with("source = ")).unwrap();
    let more = format!("\n[[package]]\nname = \"nowhere\"\nversion = \"1.0.0\"\n{source}\n");
    direct.write("Cargo.lock", &format!("{lockfile}{more}"));
    let path = direct.project().join("Cargo.lock").display().to_string();
    let made = garth.garth(&["allow", "--from", &path, "--reason", "in use", "--json"]);
    let said: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made.status.code(), Some(3), "something stays refused: {said}");
    let refused = said["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 1, "{said}");
    assert_eq!(refused[0]["package"], "cargo:base@1.0.0");
    assert_eq!(refused[0]["decision"]["rule"], "no-yanked", "{said}");
    let unknown = said["unknown"].as_array().unwrap();
    assert_eq!(unknown.len(), 1, "{said}");
    assert_eq!(unknown[0]["unknown"], "the registry has no such crate", "{said}");

    std::fs::remove_file(garth.setup().directory().join("policies/yanked.toml")).unwrap();
    let person = person(&garth);
    person.depend("app = \"1\"");
    person.write("Cargo.lock", &lockfile);
    let downloaded = Asked::get("/cargo/api/v1/crates/base/1.0.0/download");
    garth.wait_for(&downloaded, |answer| answer.status == 200).await;
    person.must(&["fetch", "--locked"]);
    assert_eq!(garth.get("/cargo/api/v1/crates/unused/2.0.0/download").await.status, 403);
}

/// A rule asks for a licence, which no index says: cargo is shown these crates, takes the newest of them,
/// and it is decided when they are opened.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_crate_says_is_held_against_none_that_was_not_opened() {
    let up = ScriptedUpstream::start().await;
    let licensed =
        |version: CrateVersion, licence: &str| version.says(&format!("license = \"{licence}\""));
    Crate::new("root")
        .version("1.0.0", |version| licensed(version, "MIT").needs("leaf", "1").needs("thief", "1"))
        .publish(&up);
    Crate::new("leaf")
        .version("1.0.0", |version| licensed(version, "MIT"))
        .version("1.1.0", |version| licensed(version, "MIT"))
        .publish(&up);
    Crate::new("thief").version("1.0.0", |version| licensed(version, "GPL-3.0-only")).publish(&up);
    let setup = setup(&up);
    let (name, text) =
        policies::rules::DEFAULTS.iter().find(|(name, _)| name.starts_with("licences")).unwrap();
    setup.write_policy(name.trim_end_matches(".toml"), text);
    let garth = setup.start();
    // An older version of it is known already.
    garth.run(&["allow", "cargo:leaf"]);
    garth.hold("/cargo/api/v1/crates/leaf/1.0.0/download").await;

    let found = garth.get("/cargo/api/v1/crates?q=leaf").await.json();
    assert_eq!(found["crates"][0]["max_version"], "1.1.0", "as the index shows it: {found}");

    let made = garth.garth(&["allow", "cargo:root", "--with-dependencies"]);
    let told = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success(), "{told}");
    assert!(told.contains("3 versions are decided at the first download"), "{told}");
    let person = person(&garth);
    person.depend("root = \"1\"");
    let refused = person.must_fail(&["fetch"]).text();
    assert!(refused.contains("cargo:thief@1.0.0 is denied by the rule licences"), "{refused}");
    assert_eq!(
        person.locked("leaf").as_deref(),
        Some("1.1.0"),
        "what cargo takes is what was told"
    );
    for one in ["root/1.0.0", "leaf/1.1.0"] {
        garth.hold(&format!("/cargo/api/v1/crates/{one}/download")).await;
    }
    let known = closure(&garth, "cargo:root");
    let standing = |name: &str| {
        let all = known["versions"].as_array().unwrap();
        all.iter().find(|one| one["package"] == name).unwrap()["standing"].clone()
    };
    let all = ["cargo:root", "cargo:leaf", "cargo:thief"].map(standing);
    assert_eq!(all, ["allowed", "allowed", "refused"], "{known:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_lockfile_it_is_told_what_only_its_crates_will_say() {
    let up = forest().await;
    let setup = setup(&up);
    let rule = "[[rule]]\nname = \"permissive\"\neffect = \"deny\"\npackages = [\"cargo:*\"]\n\
                when = \"!licence.allowed(['family:permissive'])\"\n";
    setup.write_policy("permissive", rule);
    let garth = setup.start();
    let direct = Cargo::replaced_by(up.url().as_str());
    direct.depend("base = \"=1.0.0\"");
    direct.must(&["fetch"]);
    let path = direct.project().join("Cargo.lock").display().to_string();
    let made = garth.garth(&["allow", "--from", &path, "--reason", "in use", "--json"]);
    let said: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(said["refused"], json!([]), "{said}");
    assert_eq!((&said["unknown"], &said["undecided"]), (&json!([]), &json!(1)), "{said}");
    // What is denied only until it is opened is denied for good when somebody says so.
    let told = garth.run(&["deny", "--from", &path, "--reason", "not for us", "--name", "never"]);
    assert!(told.contains("1 to deny"), "{told}");
}
