//! What happens without anybody doing anything, as events: holds that begin and end, advisories that
//! speak of what is in use.

use std::time::Duration;

use serde_json::{Value, json};
use support::events::{Events, Told};
use support::http::Asked;
use support::server::TestServer;

use super::npm::advisories::{export, hole};
use super::npm::teams::token;
use super::npm::{setup, upstream};

const TARBALL: &str = "/npm/left-pad/-/left-pad-1.1.0.tgz";

async fn open(garth: &TestServer, token: &str, query: &str) -> Events {
    Events::open(garth, token, query, None).await.ok().unwrap()
}

async fn next(events: &mut Events) -> Told {
    let told = tokio::time::timeout(Duration::from_mins(1), events.next()).await;
    told.expect("it is told soon").expect("the stream goes on")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_told_when_somebody_meets_it_and_when_it_ends_by_itself() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    garth.run(&["team", "create", "web/shop"]);
    let shop = token(&garth, &["shop", "--team", "web/shop"]);
    let admin = garth.admin_token();
    let mut all = open(&garth, &admin, "?kind=package-*").await;
    let mut of_team = open(&garth, &shop, "?kind=package-*").await;
    let ends = jiff::Timestamp::now() + Duration::from_secs(20);
    let ends = format!("{ends:.0}");
    garth.run(&["hold", "npm:left-pad", "--name", "wait", "--expires", &ends, "--reason", "INC-7"]);
    let asked = Asked::get(TARBALL).header("Authorization", &format!("Bearer {shop}"));
    assert_eq!(garth.ask(&asked).await.status, 403);
    assert_eq!(garth.ask(&asked).await.status, 403);
    for events in [&mut all, &mut of_team] {
        let held = next(events).await;
        assert_eq!(held.kind, "package-held");
        let data = &held.data["data"];
        assert_eq!(
            (&data["packages"], &data["versions"]),
            (&json!(["npm:left-pad"]), &json!("1.1.0"))
        );
        assert_eq!(
            (&data["details"]["rule"], &data["details"]["teams"]),
            (&json!("wait"), &json!("web/shop"))
        );
        assert!(data["details"]["until"].is_string() && data["who"] == "garth", "{data}");
        let released = next(events).await;
        assert_eq!(released.kind, "package-released");
        assert_eq!(released.data["data"]["details"]["effect"], "allow", "{:?}", released.data);
    }
    assert_eq!(garth.ask(&asked).await.status, 200);
    // What a person lifts, and what is denied afterwards.
    garth.run(&["hold", "npm:left-pad", "--name", "again"]);
    assert_eq!(garth.ask(&asked).await.status, 403);
    assert_eq!(next(&mut all).await.kind, "package-held");
    let garth = garth.kill().start();
    garth.run(&["deny", "npm:left-pad", "--name", "never"]);
    let last = all.last_id().to_owned();
    let mut all = Events::open(&garth, &admin, "?kind=package-*", Some(&last)).await.ok().unwrap();
    let released = next(&mut all).await;
    assert_eq!(released.kind, "package-released");
    assert_eq!(released.data["data"]["details"]["effect"], "deny");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_advisory_that_speaks_of_something_in_use_is_told_once() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    garth.run(&["team", "create", "web/shop"]);
    let shop = token(&garth, &["shop", "--team", "web/shop"]);
    let asked = Asked::get(TARBALL).header("Authorization", &format!("Bearer {shop}"));
    assert_eq!(garth.ask(&asked).await.status, 200);
    let other = hole_named("GHSA-dddd-eeee-ffff", "2026-01-01T00:00:00Z");
    let mut all = open(&garth, &garth.admin_token(), "?kind=advisory-hit").await;
    let mut of_team = open(&garth, &shop, "?kind=advisory-hit").await;
    let first = export(garth.setup(), "first", &[hole()]);
    garth.run(&["advisories", "import", &first, "--source", "ghsa"]);
    for events in [&mut all, &mut of_team] {
        let hit = next(events).await;
        let data = &hit.data["data"];
        assert_eq!(data["subject"], "GHSA-aaaa-bbbb-cccc");
        assert_eq!(
            (&data["packages"], &data["versions"]),
            (&json!(["npm:left-pad"]), &json!("1.1.0"))
        );
        let details = &data["details"];
        assert_eq!((&details["cached"], &details["teams"]), (&json!("yes"), &json!("web/shop")));
        assert_eq!(details["fixed"], "1.2.0", "{details}");
    }
    // Changed, and so looked at again, beside one that is new: only that is told.
    let mut changed = hole();
    changed["modified"] = json!("2026-03-01T00:00:00Z");
    changed["summary"] = json!("Padding on both wrong sides");
    let second = export(garth.setup(), "second", &[changed, other]);
    garth.run(&["advisories", "import", &second, "--source", "ghsa"]);
    assert_eq!(next(&mut all).await.data["data"]["subject"], "GHSA-dddd-eeee-ffff");
    let garth = garth.kill().start();
    let token = garth.admin_token();
    let last = all.last_id().to_owned();
    let mut all =
        Events::open(&garth, &token, "?kind=advisory-hit", Some(&last)).await.ok().unwrap();
    let more = tokio::time::timeout(Duration::from_secs(6), all.next()).await;
    assert!(more.is_err(), "{more:?}");
}

fn hole_named(id: &str, modified: &str) -> Value {
    let mut record = hole();
    record["id"] = json!(id);
    record["aliases"] = json!([]);
    record["modified"] = json!(modified);
    record
}
