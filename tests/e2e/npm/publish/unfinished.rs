//! An unpublish that takes more than one commit, killed in the middle.

use std::time::{Duration, Instant};

use serde_json::Value;
use server::metadata::records::{
    self, ArtifactRecord, Prefix, UnpublishingRecord, commit_in_parts,
};
use server::metadata::sled::{Sled, SledOptions};
use server::metadata::{Batch, Metadata as _};
use support::client::Client;
use support::publish::Publish;
use support::server::Setup;

use super::packument;

/// Takes seconds to go, page after page.
const FILES: usize = 60_000;
const PATIENCE: Duration = Duration::from_mins(2);
const TARBALL: &str = "/npm/x/-/x-1.0.0.tgz";
/// A busy machine may kill when all is done.
const TRIES: usize = 4;

fn store_of(setup: &Setup) -> Sled {
    Sled::open(&Sled::directory_in(&setup.data()), SledOptions::default()).unwrap()
}

/// Files of the package, and whether anything of it is noted as still to go.
async fn left(setup: &Setup) -> (usize, bool) {
    let store = store_of(setup);
    let prefix = ArtifactRecord::of_package("npm", "x");
    let files = records::scan(&store, &prefix, None, FILES * 2).await.unwrap().len();
    let notes = Prefix::<UnpublishingRecord>::all();
    let noted = !records::scan(&store, &notes, None, 1).await.unwrap().is_empty();
    store.close().await;
    (files, noted)
}

async fn add_files(setup: &Setup) {
    let store = store_of(setup);
    let key = |file: &str| ArtifactRecord::key("npm", "x", file);
    let record = records::read(&store, &key("x-1.0.0.tgz")).await.unwrap().unwrap();
    let more = (0..FILES).fold(Batch::default(), |batch, n| {
        batch.put_record(&key(&format!("{n}.sigstore")), &record)
    });
    commit_in_parts(&store, more, Batch::default()).await.unwrap();
    store.close().await;
}

fn has_one(packument: &Value) -> bool {
    packument["versions"].get("1.0.0").is_some()
}

/// A garth that is killed while it takes the version away; `None` if it was done by then.
async fn killed_half_way() -> Option<Setup> {
    let garth = Setup::new("[registry.npm]\nunpublish = true\n").start();
    for version in ["1.0.0", "2.0.0"] {
        assert_eq!(Publish::new("x", version).to(&garth).await.status, 201);
    }
    let (setup, _) = garth.stop();
    add_files(&setup).await;
    let garth = setup.start();
    assert_eq!(garth.get(TARBALL).await.status, 200);

    let mut sent = packument(&garth, "x").await;
    let path = format!("/npm/x/-rev/{}", sent["_rev"].as_str().unwrap());
    sent["versions"].as_object_mut().unwrap().remove("1.0.0");
    let client = Client::of(&garth);
    let asking = tokio::spawn(async move { client.change("PUT", &path, sent.to_string()).await });
    let begun = Instant::now();
    while has_one(&packument(&garth, "x").await) {
        assert!(begun.elapsed() < PATIENCE, "it is not shown as gone");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let setup = garth.kill();
    // Its answer may be lost where nothing else is.
    let _answer = asking.await.unwrap();
    let (files, noted) = left(&setup).await;
    (files > 1 && noted).then_some(setup)
}

/// npm never sends it again: it asks for the document first, and that has no such version.
#[tokio::test(flavor = "multi_thread")]
async fn an_unpublish_that_is_killed_half_way_ends_with_the_next_start() {
    let mut killed = None;
    for _ in 0..TRIES {
        killed = killed_half_way().await;
        if killed.is_some() {
            break;
        }
    }
    let setup = killed.expect("each kill came too late to show anything");
    let garth = setup.start();
    let begun = Instant::now();
    while !garth.log().contains("what was left of an unpublish is gone") {
        assert!(!has_one(&packument(&garth, "x").await));
        assert_eq!(garth.get(TARBALL).await.status, 404);
        assert!(begun.elapsed() < PATIENCE, "{}", garth.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(garth.get("/npm/x/-/x-2.0.0.tgz").await.status, 200);
    let again = Publish::new("x", "1.0.0").to(&garth).await;
    assert_eq!(again.status, 409, "{}", again.text());
    let (setup, _) = garth.stop();
    assert_eq!(left(&setup).await, (1, false), "the tarball of the other version");
    let check = setup.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && !said.contains("leftover: "), "{said}");
}
