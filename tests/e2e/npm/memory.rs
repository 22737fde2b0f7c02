//! What garth remembers of an upstream, and keeps when the upstream changes its mind.

use policies::package::{Ecosystem, Package, Version};
use server::metadata::Metadata as _;
use server::metadata::records::{self, Observation, ObservationKind, VersionRecord};
use server::metadata::sled::{Sled, SledOptions};
use support::http::Asked;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

use super::{npm, setup, upstream};

const TARBALL: &str = "/npm/left-pad/-/left-pad-1.3.0.tgz";

/// A garth that allows `left-pad` and holds the tarball of 1.3.0.
async fn garth_that_holds_left_pad(up: &ScriptedUpstream) -> TestServer {
    let garth = setup(up).start();
    garth.run(&["allow", "npm:left-pad"]);
    garth.hold(TARBALL).await;
    garth
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_version_that_the_upstream_deletes_stays_installable() {
    let up = upstream().await;
    let garth = garth_that_holds_left_pad(&up).await;
    let bytes = up.tarball("left-pad", "1.3.0").bytes();
    // 1.1.0 was never fetched, so nothing of it is left to serve.
    up.npm("left-pad").unpublish("1.3.0").unpublish("1.1.0").publish();
    let mut garth = garth;
    for round in ["at once", "after a restart", "after a kill"] {
        let packument = garth.get("/npm/left-pad").await.json();
        let mut versions: Vec<_> = packument["versions"].as_object().unwrap().keys().collect();
        versions.sort();
        assert_eq!(versions, ["1.2.0", "1.3.0"], "{round}");
        assert_eq!(packument["dist-tags"]["latest"], "1.2.0", "{round}: the upstream's own word");
        assert_eq!(garth.get(TARBALL).await.whole().as_deref(), Some(&*bytes), "{round}");
        let npm = npm(&garth);
        npm.must(&["install", "left-pad@1.3.0"]);
        assert_eq!(npm.installed("left-pad").as_deref(), Some("1.3.0"), "{round}");
        garth = if round == "at once" { garth.stop().0.start() } else { garth.kill().start() };
    }
    // Another change of the document does not lose what was kept before.
    up.npm("left-pad").plain_version("1.4.0").publish();
    let packument = garth.get("/npm/left-pad").await.json();
    let mut versions: Vec<_> = packument["versions"].as_object().unwrap().keys().collect();
    versions.sort();
    assert_eq!(versions, ["1.2.0", "1.3.0", "1.4.0"]);
    // The gate counts for it as for any other.
    garth.run(&["deny", "npm:left-pad@1.3.0"]);
    assert_eq!(garth.get(TARBALL).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_the_upstream_deletes_stays_installable() {
    let up = upstream().await;
    let garth = garth_that_holds_left_pad(&up).await;
    up.npm("left-pad").remove();
    let mut garth = garth;
    for round in ["at once", "after a restart"] {
        let npm = npm(&garth);
        npm.must(&["install", "left-pad@1.3.0"]);
        assert_eq!(npm.installed("left-pad").as_deref(), Some("1.3.0"), "{round}");
        garth = garth.stop().0.start();
    }
    assert_eq!(garth.get("/npm/never-there").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_under_a_held_version_do_not_replace_the_first_ones() {
    let up = upstream().await;
    let garth = garth_that_holds_left_pad(&up).await;
    let first = up.tarball("left-pad", "1.3.0");
    up.npm("left-pad").republish_with_other_bytes("1.3.0").publish();
    let mut garth = garth;
    for round in ["at once", "after a restart"] {
        for form in ["application/json", "application/vnd.npm.install-v1+json"] {
            let asked = Asked::get("/npm/left-pad").header("Accept", form);
            let dist = garth.ask(&asked).await.json()["versions"]["1.3.0"]["dist"].clone();
            assert_eq!(dist["integrity"], first.integrity.as_str(), "{round}, {form}");
            assert_eq!(dist["shasum"].as_str(), first.shasum.as_deref(), "{round}, {form}");
        }
        let answer = garth.get(TARBALL).await;
        assert_eq!(answer.whole().as_deref(), Some(&*first.bytes()), "{round}");
        let npm = npm(&garth);
        npm.must(&["install", "left-pad@1.3.0"]);
        let installed = npm.read("node_modules/left-pad/index.js").unwrap();
        assert!(!installed.contains("other bytes"), "{round}");
        if round == "at once" {
            assert_eq!(garth.alarms("bytes-changed").await, 1, "told once");
        }
        garth = garth.stop().0.start();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_under_a_version_that_was_only_seen_are_refused() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    // The promise of first sight survives a restart.
    let garth = garth.kill().start();
    up.npm("left-pad").republish_with_other_bytes("1.3.0").publish();
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    assert_eq!(garth.alarms("bytes-changed").await, 1);
    for _ in 0..2 {
        let answer = garth.get(TARBALL).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(answer.text().contains("not the promised ones"), "{}", answer.text());
    }
    let npm = npm(&garth);
    npm.must_fail(&["install", "left-pad@1.3.0"]);
    npm.must(&["install", "left-pad@1.2.0"]);
    assert!(garth.alarms("digest-mismatch").await >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_seen_dates_and_observations_survive_a_restart() {
    let up = upstream().await;
    let garth = garth_that_holds_left_pad(&up).await;
    let setup = garth.stop().0;
    let (first, _) = remembered(&setup).await;
    assert!(first.published.unwrap().to_string().starts_with("2024-01-03"), "{first:?}");

    let garth = setup.start();
    let changed = up.npm("left-pad").plain_version("1.4.0").deprecate("1.2.0", "old");
    changed.unpublish("1.1.0").publish();
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    // A back-dated document changes nothing about what was seen.
    let forged = |version: support::upstream::NpmVersion| version.published("1999-01-01T00:00:00Z");
    up.npm("left-pad").version("1.5.0", forged).publish();
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    let setup = garth.kill();
    let (after, observations) = remembered(&setup).await;
    assert_eq!(after.first_seen, first.first_seen);
    let kinds: Vec<_> = observations
        .iter()
        .map(|seen| (seen.version.as_deref().unwrap_or_default(), kind(&seen.what)))
        .collect();
    for expected in [
        ("1.4.0", "appeared"),
        ("1.1.0", "vanished"),
        ("1.2.0", "deprecated"),
        ("", "tag moved"),
        ("1.5.0", "appeared"),
    ] {
        assert!(kinds.contains(&expected), "{expected:?} is not among {kinds:?}");
    }
}

fn kind(what: &ObservationKind) -> &'static str {
    match what {
        ObservationKind::Appeared => "appeared",
        ObservationKind::Vanished => "vanished",
        ObservationKind::Deprecated => "deprecated",
        ObservationKind::TagMoved { .. } => "tag moved",
        _ => "other",
    }
}

/// What the store of a stopped server says of left-pad@1.3.0 and of the package.
async fn remembered(setup: &Setup) -> (VersionRecord, Vec<Observation>) {
    let directory = Sled::directory_in(&setup.data());
    let store = Sled::open(&directory, SledOptions::default()).unwrap();
    let package = Package::new(Ecosystem::Npm, "left-pad").unwrap();
    let (mut versions, _) = records::read_versions(&store, "npm", &package).await.unwrap();
    let version =
        versions.remove(&Version::new("1.3.0").unwrap()).expect("a version that was seen");
    let prefix = Observation::of_package("npm", "left-pad");
    let observations = records::scan(&store, &prefix, None, 100).await.unwrap();
    store.close().await;
    (version, observations.into_iter().map(|(_, observation)| observation).collect())
}
