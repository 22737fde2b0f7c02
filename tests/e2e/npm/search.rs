//! `npm search`: what the garden holds and the gate lets through, and nothing else.

use serde_json::{Value, json};
use support::http::Asked;
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::{npm, registry, setup, upstream};

async fn found(garth: &TestServer, query: &str) -> Vec<String> {
    let answer = garth.get(&format!("/npm/-/v1/search?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    let objects = answer.json()["objects"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    objects
        .iter()
        .map(|object| {
            let package = &object["package"];
            format!("{}@{}", text(&package["name"]), text(&package["version"]))
        })
        .collect()
}

/// Asks for these once, so that the garden holds them.
async fn visit(garth: &TestServer, names: &[&str]) {
    for name in names {
        garth.get(&format!("/npm/{name}")).await;
    }
}

async fn described() -> ScriptedUpstream {
    let up = upstream().await;
    up.npm("right-pad")
        .version("2.0.0", |version| {
            version
                .field("description", json!("Pads a text on the right"))
                .field("keywords", json!(["string", "pad"]))
                .registry_field("_npmUser", json!({ "name": "bob", "email": "bob@example.com" }))
        })
        .publish();
    up
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_finds_what_is_here_and_allowed_in_its_newest_allowed_version() {
    let up = described().await;
    let garth = setup(&up).start();
    visit(&garth, &["left-pad", "right-pad", "@s/n"]).await;
    assert_eq!(found(&garth, "text=pad").await, [""; 0], "nothing is allowed");

    garth.run(&["allow", "npm:left-pad", "npm:right-pad"]);
    garth.run(&["deny", "npm:left-pad@1.3.0"]);
    up.forget_requests();
    assert_eq!(found(&garth, "text=pad").await, ["left-pad@1.2.0", "right-pad@2.0.0"]);
    assert_eq!(found(&garth, "text=right-pad").await, ["right-pad@2.0.0"]);
    assert_eq!(found(&garth, "text=keywords:string").await, ["right-pad@2.0.0"]);
    assert_eq!(found(&garth, "text=maintainer:ann").await.len(), 2);
    assert_eq!(found(&garth, "text=scope:s").await, [""; 0]);
    assert_eq!(found(&garth, "text=pad&size=1&from=1").await, ["right-pad@2.0.0"]);
    assert_eq!(found(&garth, "text=pad&size=1000000000000").await.len(), 2);
    for literal in ["%25", "*", "_", ".", "%5B", "'", "%00"] {
        assert_eq!(found(&garth, &format!("text={literal}")).await, [""; 0], "{literal}");
    }
    assert_eq!(found(&garth, "text=pad&size=-1").await, [""; 0], "clamped");
    assert_eq!(found(&garth, "text=pad&from=-1").await.len(), 2, "clamped");
    for bad in ["size=-", "from=x", "size=1e9"] {
        let answer = garth.get(&format!("/npm/-/v1/search?text=pad&{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
    }

    let npm = npm(&garth);
    let said = npm.must(&["search", "right-pad"]);
    insta::assert_snapshot!("npm_search", npm.redacted(&said));
    let said = npm.must(&["search", "nothing-of-this"]);
    assert!(said.text().contains("No matches found"), "{}", said.text());
    assert_eq!(up.total_requests(), 0, "no upstream is asked");

    // The words are those of the denied latest version, and are not shown with another one.
    let answer = garth.get("/npm/-/v1/search?text=left-pad").await.json();
    let shown = &answer["objects"][0]["package"];
    assert_eq!(shown["version"], "1.2.0", "{answer}");
    assert!(shown["date"].is_string(), "{answer}");
    for said in ["description", "license", "author", "publisher"] {
        assert!(shown[said].is_null() || shown[said] == "", "{said}: {answer}");
    }
    let said = npm.must(&["search", "left-pad"]);
    assert!(said.text().contains("Version 1.2.0"), "{}", said.text());

    // What was found is not found when it is not allowed any more.
    garth.run(&["deny", "npm:right-pad"]);
    assert_eq!(found(&garth, "text=pad").await, ["left-pad@1.2.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_knows_what_came_or_changed_a_moment_ago() {
    let up = described().await;
    let garth = registry(&up, "max_age = \"0s\"\nown = [\"@acme/*\"]").start();
    garth.run(&["allow", "npm:*"]);
    assert_eq!(found(&garth, "text=").await, [""; 0]);
    visit(&garth, &["right-pad"]).await;
    assert_eq!(found(&garth, "text=package").await, ["right-pad@2.0.0"]);
    up.npm("right-pad")
        .version("2.1.0", |version| version.field("keywords", json!(["newer"])))
        .publish();
    assert_eq!(found(&garth, "text=newer").await, [""; 0], "nobody has asked for it yet");
    visit(&garth, &["right-pad"]).await;
    assert_eq!(found(&garth, "text=newer").await, ["right-pad@2.1.0"]);

    let npm = npm(&garth);
    npm.write(
        "package.json",
        r#"{ "name": "@acme/ui", "version": "1.0.0", "description": "our buttons" }"#,
    );
    let token = format!("--//{}/npm/:_authToken={}", garth.authority(), garth.admin_token());
    npm.must(&["publish", &token]);
    assert_eq!(found(&garth, "text=buttons").await, ["@acme/ui@1.0.0"]);
    assert_eq!(found(&garth, "text=scope:acme").await, ["@acme/ui@1.0.0"]);

    // After a restart, and after the metadata was made anew of what lies beside the blobs.
    let (setup, _) = garth.stop();
    let garth = setup.start();
    assert_eq!(found(&garth, "text=newer").await, ["right-pad@2.1.0"]);
    let (setup, _) = garth.stop();
    std::fs::remove_dir_all(setup.data().join("metadata")).unwrap();
    let rebuilt = setup.command(&["check", "--rebuild"]).output().unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let garth = setup.start();
    garth.run(&["allow", "npm:*"]);
    // Summaries are made again of the documents, from the first search on.
    let asked = Asked::get("/npm/-/v1/search?text=newer");
    let answer = garth.wait_for(&asked, |answer| answer.text().contains("right-pad")).await;
    assert_eq!(answer.json()["objects"][0]["package"]["version"], "2.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_upstream_said_is_not_found() {
    let up = described().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    visit(&garth, &["right-pad"]).await;
    assert_eq!(found(&garth, "text=package").await, ["right-pad@2.0.0"]);
    let (setup, _) = garth.stop();
    let other = upstream().await;
    let garth = setup.with_env("GARTH_REGISTRY_NPM_UPSTREAM", other.url().as_str()).start();
    assert_eq!(found(&garth, "text=package").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_searches_is_answered_or_told_to_come_again() {
    let up = described().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    visit(&garth, &["left-pad", "right-pad"]).await;
    let asked = Asked::get("/npm/-/v1/search?text=&from=10000&size=250");
    let crowd = futures_util::future::join_all((0..64).map(|_| garth.ask(&asked))).await;
    for answer in crowd {
        match answer.status {
            200 => assert_eq!(answer.json()["objects"], json!([])),
            503 => assert!(answer.header("retry-after").is_some(), "{}", answer.text()),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert_eq!(found(&garth, "text=pad").await.len(), 2);
}
