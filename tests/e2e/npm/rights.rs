//! Rights with limits: what each client is let do is what the token names, and nothing beside it.

use serde_json::json;
use support::http::Asked;
use support::publish::Publish;
use support::server::{Setup, TestServer};

use super::teams::{npm_with, token};
use super::{registry, upstream};

fn bearer(asked: Asked, token: &str) -> Asked {
    asked.header("Authorization", &format!("Bearer {token}"))
}

async fn publish(garth: &TestServer, token: &str, name: &str) -> u16 {
    let path = format!("/npm/{}", name.replace('/', "%2f"));
    let body = Publish::new(name, "1.0.0").body().to_string();
    garth.ask(&bearer(Asked::new("PUT", &path).body(body), token)).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_publishes_changes_and_unpublishes_what_the_token_names() {
    let up = upstream().await;
    let own = "own = [\"@acme/*\", \"@other/*\"]\nunpublish = true";
    let garth = registry(&up, own).start();
    let whole = token(&garth, &["whole", "--right", "publish"]);
    let acme = token(&garth, &["acme", "--right", "publish=npm:@acme/*,registry:npm"]);
    let elsewhere = token(&garth, &["elsewhere", "--right", "publish=registry:internal"]);
    assert_eq!(publish(&garth, &whole, "@other/ui").await, 201);
    let npm = npm_with(&garth, &acme);
    let at = |name: &str, version: &str| {
        npm.write("package.json", &json!({ "name": name, "version": version }).to_string());
    };
    for version in ["1.0.0", "1.1.0"] {
        at("@acme/ui", version);
        npm.must(&["publish"]);
    }
    npm.must(&["deprecate", "@acme/ui@1.0.0", "too old"]);
    npm.must(&["dist-tag", "add", "@acme/ui@1.0.0", "old"]);
    npm.must(&["dist-tag", "rm", "@acme/ui", "old"]);
    npm.must(&["unpublish", "@acme/ui@1.1.0"]);
    at("@other/ui", "2.0.0");
    for arguments in [
        &["publish"][..],
        &["deprecate", "@other/ui@1.0.0", "too old"],
        &["dist-tag", "add", "@other/ui@1.0.0", "old"],
        &["unpublish", "@other/ui@1.0.0", "--force"],
        &["unpublish", "@other/ui", "--force"],
    ] {
        let refused = npm.must_fail(arguments).text();
        let said = "the right `publish` for npm:@other/ui";
        assert!(refused.contains(said), "{arguments:?}: {refused}");
    }
    // By every path and method that changes something, and at a registry of another name.
    for (method, path) in [
        ("PUT", "/npm/@other%2fui"),
        ("PUT", "/npm/@other%2Fui/-rev/1"),
        ("DELETE", "/npm/@other/ui/-rev/1"),
        ("DELETE", "/npm/@other/ui/-/ui-1.0.0.tgz/-rev/1"),
        ("PUT", "/npm/-/package/@other%2fui/dist-tags/x"),
        ("POST", "/npm/-/package/@other%2fui/dist-tags/x"),
        ("DELETE", "/npm/-/package/@other%2fui/dist-tags/x"),
    ] {
        for (who, token) in [("acme", &acme), ("elsewhere", &elsewhere)] {
            let asked = bearer(Asked::new(method, path).body("\"1.0.0\""), token);
            assert_eq!(garth.ask(&asked).await.status, 403, "{who}: {method} {path}");
        }
    }
    assert_eq!(publish(&garth, &elsewhere, "@acme/x").await, 403);
    assert_eq!(garth.get("/npm/@other%2fui").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_reader_is_served_what_the_token_names_and_finds_no_more() {
    let up = upstream().await;
    let garth = registry(&up, "own = [\"@acme/*\"]").start();
    garth.run(&["allow", "npm:*"]);
    let reader = token(&garth, &["reader", "--right", "read=npm:@s/*"]);
    let everything = token(&garth, &["everything"]);
    for (path, expected) in [
        ("/npm/@s%2fn", 200),
        ("/npm/left-pad", 403),
        ("/npm/left-pad/1.3.0", 403),
        ("/npm/left-pad/-/left-pad-1.3.0.tgz", 403),
        ("/npm/-/package/left-pad/dist-tags", 403),
        ("/npm/-/npm/v1/attestations/left-pad@1.3.0", 403),
    ] {
        for method in ["GET", "HEAD"] {
            let asked = || Asked::new(method, path);
            let whole = garth.ask(&bearer(asked(), &everything)).await;
            assert_ne!(whole.status, 403, "{method} {path}");
            let etag = whole.header("etag").unwrap_or("\"x\"").to_owned();
            for asked in [
                asked(),
                asked().header("If-None-Match", &etag),
                asked().header("Range", "bytes=0-1"),
            ] {
                let status = garth.ask(&bearer(asked.clone(), &reader)).await.status;
                let expected = match status {
                    206 | 304 if expected == 200 => status,
                    _ => expected,
                };
                assert_eq!(status, expected, "{asked:?}");
            }
        }
    }
    let refused = npm_with(&garth, &reader).must_fail(&["install", "left-pad"]).text();
    assert!(refused.contains("the right `read` for npm:left-pad"), "{refused}");
    let search = Asked::get("/npm/-/v1/search?text=");
    let names = |found: &serde_json::Value| -> Vec<String> {
        let objects = found["objects"].as_array().unwrap().iter();
        objects.map(|object| object["package"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names(&garth.ask(&bearer(search.clone(), &everything)).await.json());
    assert_eq!(all, ["@s/n", "left-pad"]);
    assert_eq!(names(&garth.ask(&bearer(search, &reader)).await.json()), ["@s/n"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_made_held_and_taken_from_all() {
    let garth = Setup::new("[registry.npm]\nformat = \"npm\"\n").start();
    let right = "publish=npm:@acme/*";
    let made = garth.run(&["role", "create", "acme", "--right", right, "--description", "ours"]);
    assert_eq!(made, "made: the role acme, which may read, publish=npm:@acme/*\n");
    let holder = token(&garth, &["holder", "--role", "acme"]);
    let listed = garth.run(&["token", "list"]);
    assert!(listed.contains("may what the role acme says"), "{listed}");
    assert_eq!(publish(&garth, &holder, "@acme/ui").await, 201);
    assert_eq!(publish(&garth, &holder, "@other/ui").await, 403);
    garth.run(&["role", "change", "acme", "--right", "publish=npm:@other/*"]);
    assert_eq!(publish(&garth, &holder, "@acme/x").await, 403);
    assert_eq!(publish(&garth, &holder, "@other/ui").await, 201);
    let held = garth.garth(&["role", "remove", "acme"]);
    assert!(String::from_utf8_lossy(&held.stderr).contains("the token holder"));
    garth.run(&["role", "remove", "acme", "--from-all"]);
    assert_eq!(publish(&garth, &holder, "@other/x").await, 403);
    let roles = garth.run(&["role", "list"]);
    assert!(roles.contains("administrator") && !roles.contains("acme"), "{roles}");
}
