//! Documents that lie about dates, digests and places, end to end; the parser has its own tests.

use jiff::Timestamp;
use serde_json::{Value, json};
use support::http::Asked;
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::{setup, upstream};

fn why(garth: &TestServer, package: &str) -> String {
    // Ends with 1 for what is denied, which is an answer too.
    let output = garth.garth(&["why", package]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_date_is_shown_beside_our_own() {
    let up = ScriptedUpstream::start().await;
    let begun = Timestamp::now();
    let forged = "1999-12-31T23:59:59Z";
    up.npm("old").version("1.0.0", |version| version.published(forged)).publish();
    up.npm("future")
        .version("1.0.0", |version| version.published("2999-01-01T00:00:00Z"))
        .publish();
    up.npm("dateless").version("1.0.0", |version| version.published("yesterday")).publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    for (name, published) in
        [("old", Some(forged)), ("future", Some("2999-01-01T00:00:00Z")), ("dateless", None)]
    {
        assert_eq!(garth.get(&format!("/npm/{name}")).await.status, 200, "{name}");
        let subject = format!("npm:{name}@1.0.0");
        let view: Value = serde_json::from_str(&garth.run(&["why", "--json", &subject])).unwrap();
        let seen = &view["seen"][0];
        assert_eq!(seen["registry"], "npm", "{view}");
        assert_eq!(seen["published"].as_str(), published, "{view}");
        let first_seen: Timestamp = seen["first_seen"].as_str().unwrap().parse().unwrap();
        assert!((begun..=Timestamp::now()).contains(&first_seen), "{first_seen}");
        let said = why(&garth, &subject);
        assert!(said.contains(&format!("first seen by this garth {first_seen:.0}")), "{said}");
        assert!(said.contains(published.unwrap_or("without a date of the upstream")), "{said}");
    }
    // A newer document that moves the date back does not move ours.
    let before = why(&garth, "npm:old@1.0.0");
    up.npm("old").plain_version("1.0.1").publish();
    assert_eq!(garth.get("/npm/old").await.status, 200);
    assert_eq!(why(&garth, "npm:old@1.0.0"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_left_out_is_explained_to_whoever_asks_why() {
    let up = upstream().await;
    let bad = |version: support::upstream::NpmVersion| version.tarball_url("file:///etc/passwd");
    up.npm("left-pad").version("2.0.0", bad).publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    assert_eq!(garth.get("/npm/left-pad").await.json()["dist-tags"]["latest"], "1.3.0");
    let mut garth = garth;
    for round in ["at once", "after a restart"] {
        let said = why(&garth, "npm:left-pad@2.0.0");
        assert!(said.contains("never offered by this garth"), "{round}: {said}");
        assert!(said.contains("left out here: its tarball is not on the web"), "{round}: {said}");
        garth = garth.stop().0.start();
        assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    }
    // Told once for as long as it stays so.
    up.npm("left-pad").plain_version("1.4.0").publish();
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    assert_eq!(why(&garth, "npm:left-pad@2.0.0").matches("left out here").count(), 1);
    assert!(!why(&garth, "npm:left-pad@1.3.0").contains("left out"));
}

/// The texts of an upstream came whole into our answers and our log.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_no_document_is_not_repeated_in_the_answer() {
    let up = upstream().await;
    let long = "x".repeat(3_000_000);
    for body in
        [json!(long), json!({ "name": long }), json!({ "name": "left-pad", "versions": long })]
    {
        up.place("/left-pad", "application/json", body.to_string());
        let garth = setup(&up).start();
        garth.run(&["allow", "npm:left-pad"]);
        let answer = garth.get("/npm/left-pad").await;
        assert_eq!(answer.status, 502);
        assert!(answer.body.len() < 2000, "{} bytes", answer.body.len());
        assert!(garth.log().len() < 20_000, "{} bytes of log", garth.log().len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integrity_that_is_no_text_does_not_leave_the_weaker_digest_alone() {
    let up = upstream().await;
    let packument = |integrity: &Value| {
        let tarball = up.tarball("left-pad", "1.3.0");
        json!({
            "name": "left-pad",
            "dist-tags": { "latest": "1.3.0" },
            "versions": { "1.3.0": {
                "name": "left-pad",
                "version": "1.3.0",
                "dist": {
                    "tarball": up.at(&tarball.path),
                    "shasum": tarball.shasum,
                    "integrity": integrity,
                },
            }},
        })
    };
    let truth = up.tarball("left-pad", "1.3.0").integrity;
    for (integrity, status) in [(json!(truth), 200), (json!([truth]), 404), (json!(7), 404)] {
        up.place("/left-pad", "application/json", packument(&integrity).to_string());
        let garth = setup(&up).start();
        garth.run(&["allow", "npm:left-pad"]);
        let answer = garth.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await;
        assert_eq!(answer.status, status, "{integrity}: {}", answer.text());
    }
}

/// What a document says of itself at the top belongs to the version that is latest here.
#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_document_speaks_of_what_it_shows() {
    let up = upstream().await;
    let old = |version: support::upstream::NpmVersion| {
        version.field("description", json!("the old one")).field("license", json!("MIT"))
    };
    let new = |version: support::upstream::NpmVersion| {
        version.field("description", json!("the new one")).field("license", json!("UNLICENSED"))
    };
    up.npm("moved")
        .version("1.0.0", old)
        .version("2.0.0", new)
        .tag("next", "2.0.0")
        .readme("what 2.0.0 can do")
        .publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:moved"]);
    let whole = garth.get("/npm/moved").await.json();
    assert_eq!(whole["readme"], "what 2.0.0 can do");
    garth.run(&["deny", "npm:moved@2.0.0", "--name", "no-two"]);
    for path in ["/npm/moved", "/npm/moved?write=true"] {
        let answer = garth.get(path).await;
        let shown = answer.json();
        assert_eq!(shown["dist-tags"], json!({ "latest": "1.0.0" }), "{path}");
        assert_eq!(shown["description"], "the old one", "{path}");
        assert_eq!(shown["license"], "MIT", "{path}");
        assert!(!answer.text().contains("2.0.0"), "{path}: {}", answer.text());
        let notice = answer.header("npm-notice").expect("no silent downgrade");
        assert!(notice.contains("1.0.0") && notice.contains("no-two"), "{notice}");
    }
    let short = Asked::get("/npm/moved").header("Accept", "application/vnd.npm.install-v1+json");
    let answer = garth.ask(&short).await;
    assert!(!answer.text().contains("2.0.0"), "{}", answer.text());
    assert!(answer.json()["time"]["1.0.0"].is_string(), "cool-downs of clients need it");
    let tags = garth.get("/npm/-/package/moved/dist-tags").await;
    assert_eq!(tags.json(), json!({ "latest": "1.0.0" }));
}
