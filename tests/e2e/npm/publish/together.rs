//! Many publish at the same time: what is acknowledged is there, and nobody meets a lock.

use std::collections::BTreeSet;

use support::publish::Publish;
use tokio::task::JoinSet;

use super::{own, packument};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_parallel_publishes_are_all_there() {
    let garth = std::sync::Arc::new(own().start());
    let mut publishes = JoinSet::new();
    for n in 0..64 {
        let garth = std::sync::Arc::clone(&garth);
        let (name, version) = match n % 4 {
            // One package in many versions, many packages, and one version many times.
            0 | 1 => ("many".to_owned(), format!("1.0.{n}")),
            2 => (format!("one-{n}"), "1.0.0".to_owned()),
            _ => ("same".to_owned(), "1.0.0".to_owned()),
        };
        publishes.spawn(async move {
            let manifest = serde_json::json!({ "name": name, "version": version, "n": n });
            let publish = Publish::of(&manifest);
            (publish.to(&garth).await, name, version, publish.archive)
        });
    }
    let mut same = Vec::new();
    while let Some(done) = publishes.join_next().await {
        let (answer, name, version, archive) = done.unwrap();
        if name == "same" {
            same.push((answer.status, archive));
            continue;
        }
        assert_eq!(answer.status, 201, "{name}@{version}: {}", answer.text());
        let tarball = garth.get(&format!("/npm/{name}/-/{name}-{version}.tgz")).await;
        assert_eq!(tarball.whole().as_deref(), Some(archive.as_slice()), "{name}@{version}");
    }
    let (won, lost): (Vec<_>, Vec<_>) = same.into_iter().partition(|(status, _)| *status == 201);
    assert_eq!(won.len(), 1, "one of the same version wins");
    assert!(lost.iter().all(|(status, _)| *status == 409), "the others are told");
    let tarball = garth.get("/npm/same/-/same-1.0.0.tgz").await;
    assert_eq!(tarball.whole().as_deref(), Some(won[0].1.as_slice()));
    let many = packument(&garth, "many").await;
    let versions: BTreeSet<&str> =
        many["versions"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(versions.len(), 32);
    assert!(!garth.story().contains("ERROR"), "{}", garth.story());

    let garth = std::sync::Arc::into_inner(garth).unwrap();
    let (setup, _) = garth.stop();
    let check = setup.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && !said.contains("leftover: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_names_that_are_one_only_one_is_published() {
    let garth = std::sync::Arc::new(own().start());
    let mut publishes = JoinSet::new();
    for name in ["left-pad", "left_pad", "leftpad", "left.pad"] {
        let garth = std::sync::Arc::clone(&garth);
        publishes.spawn(async move { Publish::new(name, "1.0.0").to(&garth).await.status });
    }
    let mut statuses = publishes.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
}
