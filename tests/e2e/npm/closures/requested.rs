//! A package with all that it needs, or a lockfile, as one request: from refused to installed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::{npm, publish, setup};

const TREE: &str = "app@1.0.0: a@^1 old@npm:left@1.0.0 ?gone@1
    a@1.0.0: left@^1 ^peer@*
    a@1.1.0: left@^1 ^peer@*
    left@1.0.0:
    left@1.5.0:
    peer@2.0.0:
    other@1.0.0: a@^1";

fn open(garth: &TestServer) -> Vec<Value> {
    serde_json::from_str(&garth.run(&["requests", "list", "--json"])).unwrap()
}

const ASK: [&str; 5] = ["request", "npm:app@^1", "--with-dependencies", "--as", "ann"];

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_install_is_asked_for_with_all_that_it_needs_and_works_when_that_is_approved() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", TREE);
    let garth = setup(&up).start();
    let npm = npm(&garth);
    garth.run(&["allow", "npm:peer", "--name", "peer"]);
    npm.must_fail(&["install", "app"]);

    let said = garth.run(&[&ASK[..], &["--reason", "the shop"]].concat());
    assert!(said.contains("npm:app in 1.0.0 with all that it needs (4 versions)"), "{said}");
    assert!(said.contains("not to be had: gone 1, for npm:app@1.0.0, which is optional"), "{said}");
    let number = said.split([' ', ':']).nth(1).unwrap().to_owned();
    let again = garth.run(&ASK);
    assert!(
        again.starts_with(&format!("request {number}: ")) && again.contains("joined"),
        "{again}"
    );
    // A refusal of anything in it belongs to it, and opens no other.
    let refused = garth.get("/npm/left/1.5.0").await;
    assert!(refused.text().contains(&format!("by request {number}")), "{}", refused.text());

    let shown = garth.run(&["requests", "show", &number]);
    for says in [
        "4 versions to allow:\n  npm:a@1.1.0 npm:app@1.0.0 npm:left@1.0.0 npm:left@1.5.0\n",
        "1 other version of it had been allowed before",
        "why: the shop",
    ] {
        assert!(shown.contains(says), "{says}: {shown}");
    }
    let said = garth.run(&["requests", "approve", &number, "--expires", "2090-01-01"]);
    assert!(said.contains(&format!("approved (rule request-{number})")), "{said}");
    let rules = garth.run(&["rules", "list"]);
    assert!(rules.contains("2 rules,"), "one for all of it: {rules}");
    npm.must(&["install", "app"]);
    assert_eq!(npm.installed("left").as_deref(), Some("1.5.0"));
    assert_eq!(npm.installed("old").as_deref(), Some("1.0.0"));
    assert_eq!(garth.get("/npm/a/1.0.0").await.status, 403, "that was not asked for");

    // What the refused install had opened by itself is answered by that.
    let begun = Instant::now();
    while !open(&garth).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:#?}", open(&garth));
        std::thread::sleep(Duration::from_millis(100));
    }
    let again = garth.run(&ASK);
    assert!(again.contains("npm:app@^1 with all that it needs is allowed already"), "{again}");
    let (setup, _) = garth.stop();
    let garth = setup.start();
    let shown = garth.run(&["requests", "show", &number]);
    assert!(shown.contains("4 versions allowed meanwhile"), "{shown}");
    assert_eq!(garth.get("/npm/left/1.5.0").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lockfile_is_one_request_and_npm_ci_works_when_it_is_approved() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", TREE);
    let garth = setup(&up).start();
    let npm = npm(&garth);
    npm.write("package.json", "{\"name\":\"shop\",\"version\":\"1.0.0\"}");
    garth.run(&["allow", "npm:*", "--name", "everything"]);
    npm.must(&["install", "other"]);
    garth.run(&["rules", "remove", "everything"]);
    npm.forget();
    npm.must_fail(&["ci"]);
    let lockfile = npm.project().join("package-lock.json");
    let lockfile = lockfile.to_str().unwrap();
    let said = garth.run(&["request", "--from", lockfile, "--as", "ann"]);
    assert!(said.contains("4 versions of package-lock.json of shop"), "{said}");
    let number = said.split([' ', ':']).nth(1).unwrap().to_owned();
    let again = garth.run(&["request", "--from", lockfile, "--as", "bob"]);
    assert!(again.starts_with(&format!("request {number}: ")), "{again}");
    let shown = garth.run(&["requests", "show", &number]);
    assert!(shown.contains("4 versions to allow"), "{shown}");
    garth.run(&["requests", "approve", &number]);
    npm.must(&["ci"]);
    assert_eq!(npm.installed("left").as_deref(), Some("1.5.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_refuses_of_it_is_shown_and_stays_refused_until_a_waiver_is_meant() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", "app@1.0.0: a@^1 b@1.0.0\na@1.0.0:\nb@1.0.0:");
    let garth = setup(&up).start();
    garth.run(&["deny", "npm:b", "--name", "no-b", "--reason", "INC-7"]);
    garth.run(&["request", "npm:app", "--with-dependencies", "--as", "ann"]);
    // A restart knows what is in it.
    let (setup, _) = garth.stop();
    let garth = setup.start();
    let refused = garth.get("/npm/a/1.0.0").await;
    assert!(refused.text().contains("by request 1"), "{}", refused.text());
    let shown = garth.run(&["requests", "show", "1"]);
    assert!(shown.contains("still denied: npm:b@1.0.0 by the rule no-b: INC-7"), "{shown}");
    let output = garth.garth(&["requests", "approve", "1", "--versions", "^1"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("each of its own"));
    let output = garth.garth(&["requests", "approve", "1"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("still denied: npm:b@1.0.0 by the rule no-b"), "{said}");
    assert_eq!(garth.get("/npm/a/1.0.0").await.status, 200);
    assert_eq!(garth.get("/npm/b/1.0.0").await.status, 403);

    garth.run(&["rules", "remove", "request-1"]);
    garth.run(&["request", "npm:app", "--with-dependencies", "--as", "ann"]);
    let approve = ["requests", "approve", "2", "--waive", "--expires", "2090-01-01", "--json"];
    let said: Value = serde_json::from_str(&garth.run(&approve)).unwrap();
    let rules = &said[0]["request"]["closed"]["rules"];
    assert_eq!(*rules, json!(["request-2", "request-2-2"]), "{said:#}");
    let npm = npm(&garth);
    npm.must(&["install", "app"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_whole_is_not_asked_for() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", TREE);
    let garth = setup(&up).start();
    up.on("/left").status(503);
    let output = garth.garth(&ASK);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("not asked for, since not all that it needs is known"), "{errors}");
    let output = garth.garth(&["request", "npm:nowhere", "--with-dependencies", "--as", "ann"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(open(&garth), [] as [Value; 0]);
    // What needs nothing is an ordinary wish.
    let said = garth.run(&["request", "npm:peer", "--with-dependencies", "--as", "ann"]);
    assert!(said.starts_with("request 1: npm:peer in 2.0.0 is asked for"), "{said}");
    let ask = json!({ "package": "npm:a", "lockfile": { "name": "x", "versions": [] } });
    let asked = support::http::Asked::new("POST", "/api/v1/requests")
        .header("content-type", "application/json")
        .body(ask.to_string());
    let answer = garth.ask(&asked).await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (400, json!("what-is-asked-for")));
}
