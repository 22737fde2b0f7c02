//! `npm search`: what the garden holds and the gate lets through, and nothing else.

use serde_json::{Value, json};
use support::http::Asked;
use support::publish::Publish;
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

    let said = npm.must(&["search", "left-pad"]);
    assert!(said.text().contains("Version 1.2.0"), "{}", said.text());

    // What was found is not found when it is not allowed any more.
    garth.run(&["deny", "npm:right-pad"]);
    assert_eq!(found(&garth, "text=pad").await, ["left-pad@1.2.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_are_those_of_the_newest_allowed_version() {
    let up = upstream().await;
    let paint = |words: &'static str| {
        move |version: support::upstream::NpmVersion| {
            version
                .field("description", json!(format!("{words} colours")))
                .field("keywords", json!([words]))
                .field("author", json!({ "name": format!("{words}-author") }))
        }
    };
    up.npm("paint")
        .version("1.0.0", paint("calm"))
        .version("1.1.0", paint("calm"))
        .version("2.0.0", paint("wild"))
        .version("3.0.0-rc.1", paint("mad"))
        .publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:paint"]);
    visit(&garth, &["paint"]).await;
    let finds = async |word: &str| {
        let mut found_by = Vec::new();
        for query in [word.to_owned(), format!("keywords:{word}"), format!("author:{word}-author")]
        {
            found_by.push(found(&garth, &format!("text={query}")).await);
        }
        assert!(found_by.iter().all(|found| *found == found_by[0]), "{word}: {found_by:?}");
        found_by.remove(0)
    };
    assert_eq!(finds("wild").await, ["paint@2.0.0"]);
    assert_eq!(finds("calm").await, [""; 0], "nobody would get that version");
    assert_eq!(finds("mad").await, [""; 0]);
    let npm = npm(&garth);
    assert!(npm.must(&["search", "wild"]).text().contains("wild colours"));

    garth.run(&["deny", "npm:paint@2.0.0", "--name", "not-wild"]);
    // Without the document: a search reads none.
    let blobs = garth.setup().data().join("blobs");
    std::fs::rename(&blobs, blobs.with_extension("gone")).unwrap();
    assert_eq!(finds("wild").await, [""; 0], "a version that is denied says nothing");
    assert_eq!(finds("calm").await, ["paint@1.1.0"]);
    let answer = garth.get("/npm/-/v1/search?text=paint").await.json();
    let shown = &answer["objects"][0]["package"];
    assert_eq!(shown["description"], "calm colours");
    assert_eq!(shown["keywords"], json!(["calm"]));
    assert_eq!(shown["author"]["name"], "calm-author");
    assert!(!answer.to_string().contains("wild"), "{answer}");
    let said = npm.must(&["search", "calm"]);
    insta::assert_snapshot!("npm_search_of_an_older_version", npm.redacted(&said));
    assert!(npm.must(&["search", "wild"]).text().contains("No matches found"));

    garth.run(&["deny", "npm:paint@<2", "--name", "not-calm"]);
    assert_eq!(finds("mad").await, ["paint@3.0.0-rc.1"]);
    for rule in ["not-calm", "not-wild"] {
        garth.run(&["rules", "remove", rule]);
    }
    assert_eq!(finds("wild").await, ["paint@2.0.0"]);
    std::fs::rename(blobs.with_extension("gone"), &blobs).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_package_is_found_after_its_name_was_taken_out_of_the_settings() {
    let up = described().await;
    let garth = registry(&up, "own = [\"@acme/*\"]").start();
    let manifest = json!({ "name": "@acme/ui", "version": "1.0.0", "description": "our buttons" });
    assert_eq!(Publish::of(&manifest).to(&garth).await.status, 201);
    assert_eq!(found(&garth, "text=buttons").await, ["@acme/ui@1.0.0"]);
    let (setup, _) = garth.stop();
    let garth = setup.with_env("GARTH_REGISTRY_NPM_OWN", "@other/*").start();
    assert_eq!(garth.get("/npm/@acme%2fui").await.status, 200, "it is still served");
    assert_eq!(found(&garth, "text=buttons").await, ["@acme/ui@1.0.0"]);
    let said = npm(&garth).must(&["search", "buttons"]);
    assert!(said.text().contains("@acme/ui"), "{}", said.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_knows_what_came_or_changed_a_moment_ago() {
    let up = described().await;
    let garth = registry(&up, "max_age = \"0s\"\nown = [\"@acme/*\"]").start();
    garth.run(&["allow", "npm:*"]);
    assert_eq!(found(&garth, "text=").await, [""; 0]);
    visit(&garth, &["right-pad"]).await;
    assert_eq!(found(&garth, "text=right").await, ["right-pad@2.0.0"]);
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
    setup.lose_and_rebuild();
    let garth = setup.start_with(&["--accept-log", "the store was lost"]);
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
    assert_eq!(found(&garth, "text=right").await, ["right-pad@2.0.0"]);
    let (setup, _) = garth.stop();
    let other = upstream().await;
    let garth = setup.with_env("GARTH_REGISTRY_NPM_UPSTREAM", other.url().as_str()).start();
    assert_eq!(found(&garth, "text=right").await, [""; 0]);
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
