//! The policies that `garth init` offers, with the real npm: what they let through is installed, and
//! what they refuse is refused with their reason.

use std::fs;
use std::path::Path;

use support::edge::Answer;
use support::http::Asked;
use support::npm::Npm;
use support::package_managers::{Kind, PackageManager};
use support::server::{Setup, TestServer};
use support::upstream::{NpmVersion, ScriptedUpstream};

use super::advisories::{export, hole};
use super::clients::person;
use super::{npm, setup};

/// What each of them refuses, and with which words.
const REFUSED: &[(&str, &str, &str)] = &[
    ("open", "event-stream", "use the streams of Node itself"),
    ("settle", "fresh", "it is younger than seven days"),
    ("no-known-critical", "holey", "it has a hole that is known and critical"),
    ("no-malicious", "liar", "its archive runs or wants something else than its registry says"),
    ("licences", "strict", "its licence is not one that we agreed to"),
    ("licences", "silent", "nobody knows its licence"),
    ("no-look-alikes", "expres", "its name looks like that of a better known package"),
    ("own-names", "@example-corp/ui", "this name is ours"),
];

async fn upstream() -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    for name in ["left-pad", "react", "event-stream", "holey", "expres", "@example-corp/ui"] {
        up.npm(name).plain_version("18.3.1").publish();
    }
    let publish = |name: &str, make: fn(NpmVersion) -> NpmVersion| {
        up.npm(name).version("1.0.0", make).publish();
    };
    // It is never a week old, whenever this test is run.
    publish("fresh", |version| version.published("2200-01-01T00:00:00Z"));
    publish("strict", |version| version.field("license", "AGPL-3.0-only".into()));
    publish("silent", |version| version.field("license", "SEE LICENSE IN LICENSE".into()));
    publish("liar", |version| {
        let version = version.script("postinstall", "node -e 0");
        version.registry_field("scripts", serde_json::json!({}))
    });
    up
}

/// What `garth init` wrote.
fn starters(setup: &Setup) -> std::path::PathBuf {
    let made = setup.directory().join("made");
    let output = setup.command(&["init", &made.display().to_string()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("none of them in force yet"), "{said}");
    made.join("policies").join("starters")
}

fn put_in_force(setup: &Setup, starters: &Path, name: &str) {
    let text = fs::read_to_string(starters.join(format!("{name}.toml"))).unwrap();
    setup.write_policy(name, &text);
}

/// What a policy asks for beside the packages.
async fn prepare(garth: &TestServer, policy: &str) {
    if policy == "no-known-critical" {
        let mut record = hole();
        record["affected"][0]["package"]["name"] = "holey".into();
        record["affected"][0]["ranges"][0]["events"][1]["fixed"] = "19.0.0".into();
        let directory = export(garth.setup(), "advisories", &[record]);
        garth.run(&["advisories", "import", &directory, "--complete"]);
    }
    if policy == "no-malicious" {
        // The first one is let through, and its archive is looked at.
        let asked = Asked::get("/npm/liar/-/liar-1.0.0.tgz");
        assert_eq!(garth.ask(&asked).await.status, 200);
        garth.wait_for(&asked, |answer: &Answer| answer.status == 403).await;
    }
}

fn check(npm: &Npm, policy: &str) {
    npm.start_over();
    npm.must(&["install", "left-pad"]);
    assert_eq!(npm.installed("left-pad").as_deref(), Some("18.3.1"), "{policy}");
    for (_, package, words) in REFUSED.iter().filter(|(of, ..)| *of == policy) {
        npm.start_over();
        let refused = npm.must_fail(&["install", package]).text();
        assert!(refused.contains(words), "{policy}: {package}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_starter_policy_works_alone() {
    let up = upstream().await;
    for policy in [
        "open",
        "settle",
        "no-known-critical",
        "no-malicious",
        "licences",
        "no-look-alikes",
        "own-names",
    ] {
        let setup = setup(&up);
        let starters = starters(&setup);
        put_in_force(&setup, &starters, policy);
        let garth = setup.start();
        if policy != "open" {
            garth.run(&["allow", "npm:*"]);
        }
        prepare(&garth, policy).await;
        check(&npm(&garth), policy);
    }
}

fn all_in_force(up: &ScriptedUpstream) -> TestServer {
    let setup = setup(up);
    let starters = starters(&setup);
    for file in fs::read_dir(&starters).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        put_in_force(&setup, &starters, name.strip_suffix(".toml").unwrap());
    }
    setup.start()
}

/// What else npm is told by them is above.
#[tokio::test(flavor = "multi_thread")]
async fn every_client_is_refused_what_each_starter_policy_refuses() {
    let up = upstream().await;
    let garth = all_in_force(&up);
    for policy in ["no-known-critical", "no-malicious"] {
        prepare(&garth, policy).await;
    }
    let garth = &garth;
    std::thread::scope(|scope| {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Npm) {
            scope.spawn(move || check_client(&person(kind, garth)));
        }
    });
}

fn check_client(person: &PackageManager) {
    let (name, add) = (person.kind().name(), person.kind().add());
    person.must(&[add, "left-pad"]);
    assert_eq!(person.installed("left-pad").as_deref(), Some("18.3.1"), "{name}");
    for (policy, package, words) in REFUSED {
        person.start_over();
        let told = person.must_fail(&[add, package]);
        assert_eq!(person.installed(package), None, "{name}: {policy}: {package}");
        // Some break lines, and one shows the reason as an address.
        let text = format!("{}{}", told.stdout, told.stderr).replace(['_', '│'], " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{name}: {policy}: {package}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_starter_policies_work_together() {
    let up = upstream().await;
    let garth = all_in_force(&up);
    let npm = npm(&garth);
    for (policy, ..) in REFUSED {
        prepare(&garth, policy).await;
        check(&npm, policy);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_allowlist_lets_through_what_it_names_and_nothing_else() {
    let up = upstream().await;
    let setup = setup(&up);
    let (name, text) = policies::rules::DEFAULTS[0];
    assert_eq!(name, "allowlist.toml");
    setup.write_policy("allowlist", text);
    let garth = setup.start();
    let npm = npm(&garth);
    npm.must(&["install", "react"]);
    assert_eq!(npm.installed("react").as_deref(), Some("18.3.1"));
    let refused = npm.must_fail(&["install", "left-pad"]).text();
    assert!(refused.contains("no rule allows"), "{refused}");
}
