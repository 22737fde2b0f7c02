//! Own packages stay: over restarts, other settings, damage and a rebuild.

use std::path::{Path, PathBuf};

use serde_json::json;
use support::publish::Publish;
use support::server::{Setup, TestServer};

use super::{own, package, packument, publisher};

fn blobs(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(blobs(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

/// The file that starts with these bytes.
fn blob_with(setup: &Setup, start: &[u8]) -> PathBuf {
    let all = blobs(&setup.data().join("blobs"));
    let found = all.into_iter().find(|path| std::fs::read(path).unwrap().starts_with(start));
    found.expect("a blob that starts so")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_there_after_a_restart_and_without_its_upstream() {
    let up = super::super::upstream().await;
    let garth = super::super::registry(&up, "own = [\"@acme/*\"]\nmax_age = \"0s\"").start();
    let npm = publisher(&garth);
    package(&npm, "@acme/ui", "1.0.0", &json!({}));
    npm.must(&["publish"]);
    up.go_offline();
    let (setup, _) = garth.stop();
    let garth = setup.start();
    let before = packument(&garth, "@acme/ui").await;
    assert_eq!(before["dist-tags"]["latest"], "1.0.0");
    super::super::npm(&garth).must(&["install", "@acme/ui"]);
    assert_eq!(up.requests("/@acme/ui"), 0);
}

/// The settings forget the name: it must not become somebody else's package.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_published_here_is_never_asked_of_an_upstream() {
    let up = super::super::upstream().await;
    up.npm("@acme/ui").plain_version("9.9.9").publish();
    let garth = own().start();
    assert_eq!(Publish::new("@acme/ui", "1.0.0").to(&garth).await.status, 201);
    let (setup, _) = garth.stop();
    let garth = setup.with_env("GARTH_REGISTRY_NPM_UPSTREAM", up.url().as_str()).start();
    garth.run(&["allow", "npm:@acme/ui"]);
    let seen = packument(&garth, "@acme/ui").await;
    assert_eq!(seen["dist-tags"], json!({ "latest": "1.0.0" }), "{seen}");
    assert_eq!(garth.get("/npm/@acme/ui/-/ui-1.0.0.tgz").await.status, 200);
    assert_eq!(garth.get("/npm/@acme/ui/-/ui-9.9.9.tgz").await.status, 404);
    assert_eq!(up.requests("/@acme/ui"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_from_what_lies_beside_the_blobs_brings_own_packages_back() {
    let garth = Setup::new("[registry.npm]\nunpublish = true\n").start();
    let npm = publisher(&garth);
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        package(&npm, "@acme/ui", version, &json!({}));
        npm.must(&["publish"]);
    }
    npm.must(&["unpublish", "@acme/ui@2.0.0"]);
    let seen = async |garth: &TestServer| {
        let text = packument(garth, "@acme/ui").await.to_string();
        text.replace(garth.authority(), "garth.example.com")
    };
    let before = seen(&garth).await;
    let tarball = garth.get("/npm/@acme/ui/-/ui-1.0.0.tgz").await.whole();
    let (setup, _) = garth.stop();
    setup.lose_and_rebuild();
    // The audit log is lost with the store, and nobody starts over it by accident.
    let garth = setup.start_with(&["--accept-log", "the store was lost"]);
    assert_eq!(seen(&garth).await, before);
    assert_eq!(garth.get("/npm/@acme/ui/-/ui-1.0.0.tgz").await.whole(), tarball);
    for version in ["1.0.0", "2.0.0"] {
        let answer = Publish::new("@acme/ui", version).to(&garth).await;
        assert_eq!(answer.status, 409, "{version}: {}", answer.text());
    }
    assert_eq!(Publish::new("@acme/ui", "4.0.0").to(&garth).await.status, 201);
    for name in ["@acme/u_i", "@acme/u.i"] {
        let answer = Publish::new(name, "1.0.0").to(&garth).await;
        assert_eq!(answer.status, 409, "{name}: {}", answer.text());
        assert!(answer.text().contains("@acme/ui"), "{}", answer.text());
    }
    let reader = super::super::npm(&garth);
    reader.must(&["install", "@acme/ui@3.0.0"]);
    assert_eq!(reader.installed("@acme/ui").as_deref(), Some("3.0.0"));
    let npm = publisher(&garth);
    npm.must(&["unpublish", "@acme/ui@3.0.0"]);
    assert_eq!(garth.get("/npm/@acme/ui/-/ui-3.0.0.tgz").await.status, 404);
}

/// Nobody has it but us: damage is said, and is not absence.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_own_bytes_are_an_alarm_and_never_a_404() {
    let garth = own().start();
    assert_eq!(Publish::new("x", "1.0.0").to(&garth).await.status, 201);
    let (setup, _) = garth.stop();
    std::fs::write(blob_with(&setup, &[0x1f, 0x8b]), b"damaged").unwrap();
    let garth = setup.start();
    let answer = garth.get("/npm/x/-/x-1.0.0.tgz").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("backup"), "{}", answer.text());
    assert!(garth.alarms("blob-damaged").await > 0);
    assert_eq!(packument(&garth, "x").await["dist-tags"]["latest"], "1.0.0");
    assert_eq!(Publish::new("x", "1.0.0").to(&garth).await.status, 409, "not even then");

    let (setup, _) = garth.stop();
    std::fs::write(blob_with(&setup, b"{\"_id\""), b"damaged").unwrap();
    let garth = setup.start();
    for path in ["/npm/x", "/npm/x/1.0.0", "/npm/x/-/x-1.0.0.tgz"] {
        let answer = garth.get(path).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
    }
    let answer = Publish::new("x", "2.0.0").to(&garth).await;
    assert_eq!(answer.status, 503, "nothing is made of nothing: {}", answer.text());
    let (setup, _) = garth.stop();
    let check = setup.command(&["check"]).output().unwrap();
    assert_eq!(check.status.code(), Some(1), "{}", String::from_utf8_lossy(&check.stdout));
}
