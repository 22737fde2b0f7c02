//! Tarballs that say something else of themselves than their packument says of them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use support::edge::Answer;
use support::http::Asked;
use support::publish::{TarGz, gzip};
use support::server::TestServer;
use support::upstream::{NpmVersion, ScriptedUpstream};

use super::{npm, setup};

const AGREES: &str = "garth_artifacts_compared_total{registry=\"npm\",found=\"agrees\"}";
const CONTRADICTS: &str = "garth_artifacts_compared_total{registry=\"npm\",found=\"contradicts\"}";
const UNREADABLE: &str = "garth_artifacts_compared_total{registry=\"npm\",found=\"unreadable\"}";
const LIAR: &str = "/npm/liar/-/liar-1.0.0.tgz";

/// Publishes a `liar` whose tarball runs a script and wants a package, of which its packument says
/// nothing.
fn publish_liar(up: &ScriptedUpstream) {
    let lie = |version: NpmVersion| {
        let version = version.script("postinstall", "node -e 0").dependency("evil", "^6.6.6");
        version.registry_field("scripts", json!({})).registry_field("dependencies", json!({}))
    };
    up.npm("liar").version("1.0.0", lie).publish();
}

async fn wait_until_compared(garth: &TestServer, metric: &str, count: u64) {
    let is_there = |answer: &Answer| {
        let page = String::from_utf8_lossy(&answer.whole().unwrap()).into_owned();
        let found = page.lines().find_map(|line| line.strip_prefix(metric));
        found.is_some_and(|number| number.trim().parse() == Ok(count))
    };
    garth.wait_for(&Asked::get("/metrics"), is_there).await;
}

fn warned(story: &str) -> Vec<&str> {
    story.lines().filter(|line| line.contains(" WARN ")).collect()
}

fn why(garth: &TestServer, package: &str) -> String {
    String::from_utf8(garth.garth(&["why", package]).stdout).unwrap()
}

/// What `garth why --json` says came of the comparison.
fn compared(garth: &TestServer, package: &str) -> Value {
    let output = garth.garth(&["why", package, "--json"]);
    let view: Value = serde_json::from_slice(&output.stdout).unwrap();
    view["seen"][0]["compared"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_that_contradicts_its_packument_is_installed_and_seen() {
    let up = ScriptedUpstream::start().await;
    publish_liar(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:liar"]);
    assert_eq!(garth.get("/npm/liar").await.status, 200);
    assert_eq!(compared(&garth, "npm:liar@1.0.0"), Value::Null, "nothing is known of it yet");
    let person = npm(&garth);
    person.must(&["install", "liar@1.0.0"]);
    assert_eq!(person.installed("liar").as_deref(), Some("1.0.0"), "nothing refuses it by itself");
    wait_until_compared(&garth, CONTRADICTS, 1).await;
    let told = "it is not what the registry says: of scripts its archive says \
                {\"postinstall\":\"node -e 0\"}, the registry says nothing; of dependencies its archive \
                says {\"evil\":\"^6.6.6\"}, the registry says nothing";
    let said = why(&garth, "npm:liar@1.0.0");
    assert!(said.contains(told), "{said}");
    assert_eq!(compared(&garth, "npm:liar@1.0.0"), "contradicts");
    let story = garth.story();
    let warned = warned(&story);
    assert!(warned.len() == 1 && warned[0].contains("of scripts its archive says"), "{story}");

    // Once, and for good.
    let garth = garth.kill().start();
    assert_eq!(garth.get(LIAR).await.status, 200);
    assert_eq!(garth.get(LIAR).await.status, 200);
    up.npm("liar").plain_version("2.0.0").publish();
    assert_eq!(garth.get("/npm/liar").await.status, 200);
    let said = why(&garth, "npm:liar@1.0.0");
    assert_eq!(said.matches(told).count(), 1, "{said}");
    assert_eq!(compared(&garth, "npm:liar@1.0.0"), "contradicts");
    assert_eq!(garth.metric(CONTRADICTS).await, 0, "it was not compared again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_tarball_agrees_and_nothing_is_said() {
    let up = ScriptedUpstream::start().await;
    let honest = |version: NpmVersion| {
        let version = version.script("postinstall", "node -e 0").field("bin", "./cli.js".into());
        let version = version.file("cli.js", "#!/usr/bin/env node\n");
        // As the registry shows it.
        version.registry_field("bin", json!({ "honest": "cli.js" }))
    };
    up.npm("honest").version("1.0.0", honest).publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:honest"]);
    npm(&garth).must(&["install", "honest@1.0.0"]);
    wait_until_compared(&garth, AGREES, 1).await;
    assert_eq!(compared(&garth, "npm:honest@1.0.0"), "agrees");
    let said = why(&garth, "npm:honest@1.0.0");
    assert!(!said.contains("archive"), "{said}");
    assert!(warned(&garth.story()).is_empty(), "{}", garth.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_that_can_not_be_opened_is_served_and_is_no_contradiction() {
    let up = ScriptedUpstream::start().await;
    let linked = TarGz::new().file("package/package.json", br#"{ "name": "odd" }"#);
    let linked = linked.entry(tar::EntryType::Symlink, "package/a", Some("/etc/passwd"), b"");
    let odd = [("1.0.0", b"no archive at all".to_vec()), ("2.0.0", linked.finish())];
    for (version, bytes) in &odd {
        up.npm("odd").version(version, |draft| draft.raw_tarball(bytes.clone())).publish();
    }
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:odd"]);
    for (n, (version, bytes)) in (1..).zip(&odd) {
        let answer = garth.get(&format!("/npm/odd/-/odd-{version}.tgz")).await;
        assert_eq!(answer.whole().as_ref(), Some(bytes), "{version}");
        wait_until_compared(&garth, UNREADABLE, n).await;
        let package = format!("npm:odd@{version}");
        assert_eq!(compared(&garth, &package), "unreadable", "{version}");
        let said = why(&garth, &package);
        assert!(said.contains("what its archive says can not be compared"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packument_that_says_something_else_is_compared_anew() {
    let up = ScriptedUpstream::start().await;
    let honest = |version: NpmVersion| version.dependency("a", "1");
    up.npm("turncoat").version("1.0.0", honest).publish();
    let path = "/npm/turncoat/-/turncoat-1.0.0.tgz";
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:turncoat"]);
    assert_eq!(garth.get(path).await.status, 200);
    wait_until_compared(&garth, AGREES, 1).await;

    // The bytes are the same; what is said of them is not.
    let lie = |version: NpmVersion| {
        version.dependency("a", "1").registry_field("dependencies", json!({ "evil": "1" }))
    };
    up.npm("turncoat").version("1.0.0", lie).publish();
    assert_eq!(garth.get("/npm/turncoat").await.status, 200);
    assert_eq!(compared(&garth, "npm:turncoat@1.0.0"), Value::Null, "what was known is outdated");
    assert_eq!(garth.get(path).await.status, 200);
    wait_until_compared(&garth, CONTRADICTS, 1).await;
    let said = why(&garth, "npm:turncoat@1.0.0");
    assert!(said.contains("the registry says {\"evil\":\"1\"}"), "{said}");
    assert!(garth.alarms("bytes-changed").await == 0, "the bytes did not change");
}

/// An archive that takes much longer to look through than to send.
fn slow_archive(name: &str) -> Vec<u8> {
    let manifest = json!({ "name": name, "version": "1.0.0", "license": "MIT" }).to_string();
    let archive = TarGz::new().file("package/package.json", manifest.as_bytes());
    let files = (0..90_000).map(|n| format!("package/{n:06}"));
    gzip(&files.fold(archive, |archive, file| archive.file(&file, b"")).tar())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_download_waits_for_a_comparison() {
    let up = ScriptedUpstream::start().await;
    // More than are compared at once.
    let names = ["slow-a", "slow-b", "slow-c", "quick"];
    for name in names {
        let slow = name.starts_with("slow").then(|| slow_archive(name));
        up.npm(name)
            .version("1.0.0", |version| match slow {
                Some(bytes) => version.raw_tarball(bytes),
                None => version,
            })
            .publish();
    }
    let garth = setup(&up).start();
    for name in names {
        garth.run(&["allow", &format!("npm:{name}")]);
        assert_eq!(garth.get(&format!("/npm/{name}")).await.status, 200);
    }
    let download = async |name: &str| {
        let answer = garth.get(&format!("/npm/{name}/-/{name}-1.0.0.tgz")).await;
        assert_eq!(answer.whole().as_deref(), Some(&*up.tarball(name, "1.0.0").bytes()));
    };
    // The slow ones at once, so that it is soon over, and the quick one behind them in the queue.
    let (quick, slow) = names.split_last().unwrap();
    join_all(slow.iter().map(|name| download(name))).await;
    download(quick).await;
    assert_eq!(garth.metric(AGREES).await, 0, "all are here before one is compared");
    wait_until_compared(&garth, AGREES, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_kept_from_being_compared_is_compared_when_it_is_next_served() {
    let up = ScriptedUpstream::start().await;
    let mut garth = setup(&up).start();
    // On a busy machine a comparison may be faster than the kill, which then says nothing of it.
    for n in 0.. {
        assert!(n < 10, "each was compared before the kill");
        let name = format!("liar-{n}");
        let bytes = slow_archive(&name);
        let lie = |version: NpmVersion| version.raw_tarball(bytes).dependency("evil", "1");
        up.npm(&name).version("1.0.0", lie).publish();
        let (package, tarball) =
            (format!("npm:{name}@1.0.0"), format!("/{name}/-/{name}-1.0.0.tgz"));
        garth.run(&["allow", &format!("npm:{name}")]);
        garth.hold(&format!("/npm{tarball}")).await;
        let mut kills = 0;
        while kills < 2 {
            garth = garth.kill().start();
            if compared(&garth, &package) != Value::Null {
                break;
            }
            kills += 1;
            garth.hold(&format!("/npm{tarball}")).await;
        }
        if kills == 2 {
            wait_until_compared(&garth, CONTRADICTS, 1).await;
            assert_eq!(compared(&garth, &package), "contradicts");
            assert_eq!(up.requests(&tarball), 1, "nothing is fetched again for it");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_what_is_left_to_compare() {
    let up = ScriptedUpstream::start().await;
    let names: Vec<String> = (0..8).map(|n| format!("slow-{n}")).collect();
    for name in &names {
        let bytes = slow_archive(name);
        up.npm(name).version("1.0.0", |version| version.raw_tarball(bytes)).publish();
    }
    let garth = setup(&up).start();
    for name in &names {
        garth.run(&["allow", &format!("npm:{name}")]);
        garth.hold(&format!("/npm/{name}/-/{name}-1.0.0.tgz")).await;
    }
    let begun = Instant::now();
    let (setup, status) = garth.stop();
    assert!(status.success() && begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(!setup.log().contains("could not be compared"), "{}", setup.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_packument_and_a_comparison_do_not_lose_what_the_other_wrote() {
    const VERSIONS: usize = 40;
    let up = ScriptedUpstream::start().await;
    for n in 0..VERSIONS {
        up.npm("busy").plain_version(&format!("1.0.{n}")).publish();
    }
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:busy"]);
    assert_eq!(garth.get("/npm/busy").await.status, 200);
    let tarballs = async {
        for n in 0..VERSIONS {
            assert_eq!(garth.get(&format!("/npm/busy/-/busy-1.0.{n}.tgz")).await.status, 200);
        }
    };
    let packuments = async {
        for n in 0..VERSIONS {
            up.npm("busy").plain_version(&format!("2.0.{n}")).publish();
            let answer = garth.get("/npm/busy").await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    };
    tokio::join!(tarballs, packuments);
    wait_until_compared(&garth, AGREES, VERSIONS as u64).await;
    for n in [0, VERSIONS / 2, VERSIONS - 1] {
        assert_eq!(compared(&garth, &format!("npm:busy@1.0.{n}")), "agrees");
        let said = why(&garth, &format!("npm:busy@2.0.{n}"));
        assert!(said.contains("first seen by this garth"), "{said}");
    }
    assert!(warned(&garth.story()).is_empty(), "{}", garth.story());
}
