//! Own crates stay: over many at once, restarts, kills, other settings and a rebuild.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use server::metadata::Metadata as _;
use server::metadata::records::{self, VersionsRecord};
use server::metadata::sled::{Sled, SledOptions};
use support::crates::Crate;
use support::http::Asked;
use support::own_crates::{NewCrate, change};
use support::upstream::ScriptedUpstream;
use tokio::task::JoinSet;

use super::own;
use crate::cargo::lines;

const SEED: &str = "/cargo/se/ed/seed";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_publishers_at_once_exactly_one_wins_a_version() {
    let garth = Arc::new(own().start());
    let mut publishes = JoinSet::new();
    for n in 0..32 {
        let garth = Arc::clone(&garth);
        let (name, version) = match n % 4 {
            0 | 1 => ("seed", format!("1.0.{n}")),
            2 => ("same", "1.0.0".to_owned()),
            _ => (["left-pad", "left_pad"][n / 4 % 2], "1.0.0".to_owned()),
        };
        publishes.spawn(async move {
            let manifest = format!("[package.metadata]\nn = {n}\n");
            let publish = NewCrate::with(name, &version, &serde_json::json!({}), &manifest);
            (publish.to(&garth).await.status, name, version, publish.archive)
        });
    }
    let all = publishes.join_all().await;
    let won = |of: &str| {
        all.iter().filter(|(status, name, ..)| *status == 200 && name.starts_with(of)).count()
    };
    assert_eq!((won("seed"), won("same"), won("left")), (16, 1, 1));
    assert!(all.iter().all(|(status, ..)| matches!(status, 200 | 409)));
    let same = garth.get("/cargo/api/v1/crates/same/1.0.0/download").await;
    let (.., archive) =
        all.iter().find(|(status, name, ..)| *status == 200 && *name == "same").unwrap();
    assert_eq!(same.whole().as_deref(), Some(&archive[..]));
    let versions: BTreeSet<String> = lines(&garth.get(SEED).await.text()).into_iter().collect();
    assert_eq!(versions.len(), 16);
    let garth = Arc::into_inner(garth).unwrap();
    let (setup, _) = garth.stop();
    let check = setup.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && !said.contains("leftover: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_from_what_lies_beside_the_blobs_brings_own_crates_back() {
    let garth = own().start();
    for version in ["1.0.0", "1.1.0"] {
        assert_eq!(NewCrate::new("seed", version).to(&garth).await.status, 200);
    }
    change(&garth, "DELETE", "/cargo/api/v1/crates/seed/1.0.0/yank", b"").await;
    let before = garth.get(SEED).await.text();
    assert!(before.contains("\"yanked\":true") && !before.contains("\"own\""), "{before}");
    let download = "/cargo/api/v1/crates/seed/1.1.0/download";
    let bytes = garth.get(download).await.whole();
    let (setup, _) = garth.stop();
    setup.lose_and_rebuild();
    // A rule asks for what only the crate says, of which nothing was remembered.
    setup.write_policy(
        "rules",
        "[[rule]]\nname = \"no-scripts\"\neffect = \"deny\"\npackages = [\"cargo:*\"]\nwhen = \"install_scripts\"\n",
    );
    let garth = setup.start_with(&["--accept-log", "the store was lost"]);
    assert_eq!(garth.get(SEED).await.text(), before);
    assert_eq!(garth.get(download).await.whole(), bytes);
    for (name, version) in [("seed", "1.0.0"), ("seed", "1.1.0+x"), ("SEED", "2.0.0")] {
        let answer = NewCrate::new(name, version).to(&garth).await;
        assert_eq!(answer.status, 409, "{name} {version}: {}", answer.text());
    }
    assert_eq!(NewCrate::new("seed", "2.0.0").to(&garth).await.status, 200);
    let owners = change(&garth, "GET", "/cargo/api/v1/crates/seed/owners", b"").await;
    assert_eq!(owners.json()["users"][0]["login"], "admin");
    let found = garth.get("/cargo/api/v1/crates?q=seed").await.json();
    assert_eq!(found["crates"][0]["max_version"], "2.0.0", "{found}");
    // What was found in the crate is in the store, and needs no crate any more.
    let (setup, _) = garth.stop();
    let store = Sled::open(&Sled::directory_in(&setup.data()), SledOptions::default()).unwrap();
    let all = VersionsRecord::of_package("cargo", "seed");
    let kept = records::scan(&store, &all, None, 9).await.unwrap();
    let mut kept: Vec<_> = kept.into_iter().flat_map(|(_, record)| record.versions).collect();
    kept.retain(|(version, record)| version == "1.1.0" && record.own);
    assert_eq!(kept.len(), 1, "{kept:?}");
    store.close().await;
}

/// The settings forget the name: it must not become somebody else's crate.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_published_here_is_never_asked_of_an_upstream() {
    let up = ScriptedUpstream::start().await;
    Crate::plain("seed", &["9.9.9"]).publish(&up);
    Crate::plain("weed", &["1.0.0"]).publish(&up);
    Crate::plain("weed-log", &["1.0.0"]).publish(&up);
    let garth = own().start();
    assert_eq!(NewCrate::new("seed", "1.0.0").to(&garth).await.status, 200);
    let (setup, _) = garth.stop();
    let garth = setup.with_env("GARTH_REGISTRY_CARGO_UPSTREAM", up.url().as_str()).start();
    garth.run(&["allow", "cargo:seed", "cargo:weed", "cargo:weed-log"]);
    assert_eq!(lines(&garth.get(SEED).await.text()), ["1.0.0"]);
    assert_eq!(garth.get("/cargo/api/v1/crates/seed/1.0.0/download").await.status, 200);
    assert_eq!(garth.get("/cargo/api/v1/crates/seed/9.9.9/download").await.status, 404);
    assert_eq!(up.requests("/se/ed/seed"), 0);
    // What came from there is nobody's own when its name becomes own.
    assert_eq!(garth.get("/cargo/we/ed/weed").await.status, 200);
    assert_eq!(garth.get("/cargo/we/ed/weed-log").await.status, 200);
    let (setup, _) = garth.stop();
    let garth = setup.with_env("GARTH_REGISTRY_CARGO_OWN", "weed*").start();
    let answer = NewCrate::new("weed", "2.0.0").to(&garth).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("garth forget cargo:weed"), "{}", answer.text());
    // To cargo this is the same crate.
    let answer = NewCrate::new("weed_log", "2.0.0").to(&garth).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("garth forget cargo:weed-log"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_survives_a_kill_and_nothing_half_written_is_seen() {
    let mut setup = own();
    let mut acknowledged = BTreeSet::new();
    for round in 0..3 {
        let garth = Arc::new(setup.start());
        let mut publishes = JoinSet::new();
        for n in 0..12 {
            let (garth, version) = (Arc::clone(&garth), format!("{round}.0.{n}"));
            publishes.spawn(async move {
                let publish = NewCrate::new("seed", &version);
                let sent =
                    tokio::time::timeout(std::time::Duration::from_secs(20), publish.to(&garth));
                (sent.await.is_ok_and(|answer| answer.status == 200), version)
            });
        }
        for _ in 0..5 {
            if let Some(Ok((true, version))) = publishes.join_next().await {
                acknowledged.insert(version);
            }
        }
        publishes.shutdown().await;
        setup = Arc::into_inner(garth).unwrap().kill();
    }
    let garth = setup.start();
    let seen: BTreeSet<String> = lines(&garth.get(SEED).await.text()).into_iter().collect();
    assert!(acknowledged.is_subset(&seen), "{acknowledged:?} {seen:?}");
    for version in &seen {
        let path = format!("/cargo/api/v1/crates/seed/{version}/download");
        assert_eq!(garth.get(&path).await.status, 200, "{version} is whole");
    }
}

/// Nobody else has them: they are not fetched again, and somebody has to hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_of_an_own_crate_are_never_sent_and_raise_an_alarm() {
    let garth = own().start();
    assert_eq!(NewCrate::new("seed", "1.0.0").to(&garth).await.status, 200);
    let download = "/cargo/api/v1/crates/seed/1.0.0/download";
    let bytes = garth.get(download).await.whole().unwrap();
    let (setup, _) = garth.stop();
    let blob = file_of(&setup.data().join("blobs"), &bytes).unwrap();
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(blob, damaged).unwrap();
    let garth = setup.start();
    // At the first time it may begin before it is known.
    let first = garth.get(download).await;
    assert!(first.status == 503 || first.whole().is_none(), "{}", first.status);
    let answer = garth.wait_for(&Asked::get(download), |answer| answer.status == 503).await;
    assert!(
        answer.text().contains("damaged") || answer.text().contains("lost"),
        "{}",
        answer.text()
    );
    assert!(garth.alarms("blob-damaged").await > 0);
    let again = NewCrate::new("seed", "1.0.0").to(&garth).await;
    assert_eq!(again.status, 409, "it is published all the same: {}", again.text());
}

/// The file below this directory that has these bytes.
fn file_of(directory: &Path, bytes: &[u8]) -> Option<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        if path.is_dir() {
            return file_of(&path, bytes);
        }
        (std::fs::read(&path).unwrap() == bytes).then_some(path)
    })
}
