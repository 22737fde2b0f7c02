//! What a package needs: as the real npm installs it, allowed as one, and within bounds.

mod lockfiles;
mod requested;
mod trees;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::http::Asked;
use support::npm::Npm;
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::{npm, registry, setup};
use trees::publish;

/// `name@version` of everything in a lockfile of npm that comes out of a registry.
fn locked(npm: &Npm) -> BTreeSet<String> {
    let lockfile: Value = serde_json::from_str(&npm.read("package-lock.json").unwrap()).unwrap();
    let packages = lockfile["packages"].as_object().unwrap();
    // What leads to another folder of the tree is a link, and no version of its own.
    let is_fetched = |found: &Value| {
        found["inBundle"] != true && found["link"] != true && found["version"].is_string()
    };
    let fetched = packages.iter().filter(|(path, found)| !path.is_empty() && is_fetched(found));
    fetched
        .map(|(path, found)| {
            let folder = path.rsplit("node_modules/").next().unwrap();
            let name = found["name"].as_str().unwrap_or(folder);
            format!("{name}@{}", found["version"].as_str().unwrap())
        })
        .collect()
}

/// The closure as the command shows it, whatever stands in its way.
fn closure(garth: &TestServer, package: &str) -> Value {
    let command = ["allow", package, "--with-dependencies", "--dry-run", "--json"];
    let output = garth.garth(&command);
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{errors}"));
    said["closures"][0].clone()
}

fn members(closure: &Value) -> BTreeSet<String> {
    let versions = closure["versions"].as_array().unwrap();
    let name = |member: &Value| member["package"].as_str().unwrap().replacen("npm:", "", 1);
    let version = |member: &Value| member["version"].as_str().unwrap().to_owned();
    versions.iter().map(|member| format!("{}@{}", name(member), version(member))).collect()
}

fn member<'a>(closure: &'a Value, package: &str) -> &'a Value {
    let versions = closure["versions"].as_array().unwrap();
    let package = format!("npm:{package}");
    let found = versions.iter().find(|member| member["package"] == package.as_str());
    found.unwrap_or_else(|| panic!("{package} is not in {closure:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_allow_with_dependencies_npm_installs() {
    let up = ScriptedUpstream::start().await;
    publish(
        &up,
        "",
        "app@1.0.0: a@^1 old@npm:left@1.0.0 ?native@1
         app@2.0.0: a@^1 @s/b@* old@npm:left@1.0.0 ?native@1 ?gone@1
         a@1.0.0: left@^1 ^peer@>=2
         a@1.1.0: left@^1 ^peer@>=2
         @s/b@1.0.0: a@^1
         left@1.0.0:
         left@1.5.0:
         peer@2.0.0:
         native@1.0.0:",
    );
    let garth = setup(&up).start();
    let npm = npm(&garth);
    npm.must_fail(&["install", "app@2"]);

    let shown = garth.run(&["allow", "npm:app@^2", "--with-dependencies", "--dry-run"]);
    assert!(shown.contains("nothing was changed"), "{shown}");
    assert!(garth.run(&["rules", "list"]).contains("No rules"));

    let said = garth.run(&["allow", "npm:app@^2", "--with-dependencies", "--reason", "APP-1"]);
    assert!(said.contains("(rule allow-app-with-dependencies)"), "{said}");
    assert!(said.contains("gone 1, for npm:app@2.0.0, which is optional"), "{said}");
    npm.must(&["install", "app@2"]);
    let expected = [
        "@s/b@1.0.0",
        "a@1.1.0",
        "app@2.0.0",
        "left@1.0.0",
        "left@1.5.0",
        "native@1.0.0",
        "peer@2.0.0",
    ];
    assert_eq!(locked(&npm), BTreeSet::from(expected.map(str::to_owned)));
    // One rule, of these versions alone.
    let rules = garth.run(&["rules", "list"]);
    assert!(rules.contains("1 rule,"), "{rules}");
    assert_eq!(garth.get("/npm/app/1.0.0").await.status, 403);
    assert_eq!(garth.get("/npm/a/1.0.0").await.status, 403);
    let why = garth.run(&["why", "npm:left@1.5.0"]);
    assert!(why.contains("allow-app-with-dependencies"), "{why}");

    let again = garth.run(&["allow", "npm:app@^2", "--with-dependencies"]);
    assert!(again.contains("nothing to do: all of it is allowed already"), "{again}");
    garth.run(&["rules", "remove", "allow-app-with-dependencies"]);
    assert_eq!(garth.get("/npm/app/2.0.0").await.status, 403);
    assert_eq!(garth.get("/npm/left/1.5.0").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn compatible_ranges_and_versions_that_are_allowed_already_are_a_choice() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", "app@1.0.0: a@^1\na@1.0.0:\na@1.1.0:");
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:a@1.0.0", "--name", "before"]);
    let newest = closure(&garth, "npm:app");
    assert_eq!(member(&newest, "a")["version"], "1.1.0");
    garth.run(&["allow", "npm:app", "--with-dependencies", "--prefer-allowed", "--name", "few"]);
    let rules = garth.run(&["rules", "list"]);
    assert!(rules.contains("npm:app@1.0.0 "), "{rules}");
    let npm = npm(&garth);
    npm.must(&["install", "app"]);
    assert_eq!(npm.installed("a").as_deref(), Some("1.0.0"));

    garth.run(&["rules", "remove", "before", "few"]);
    garth.run(&["allow", "npm:app", "--with-dependencies", "--ranges", "compatible"]);
    up.npm("a").plain_version("1.2.0").plain_version("2.0.0").publish();
    npm.start_over();
    npm.must(&["install", "app"]);
    assert_eq!(npm.installed("a").as_deref(), Some("1.2.0"));
    assert_eq!(garth.get("/npm/a/2.0.0").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_refuses_is_passed_over_and_what_can_not_be_is_told() {
    let up = ScriptedUpstream::start().await;
    publish(
        &up,
        "",
        "app@1.0.0: a@^1 b@1.0.0 c@*
         a@1.0.0:
         a@1.1.0:
         b@1.0.0:
         c@1.0.0:",
    );
    let garth = setup(&up).start();
    garth.run(&["hold", "npm:a@1.1.0", "--name", "too-new", "--reason", "let it settle"]);
    garth.run(&["deny", "npm:b", "--name", "no-b", "--reason", "INC-7"]);
    garth.run(&["allow", "npm:c", "--name", "c"]);
    let found = closure(&garth, "npm:app");
    let counts = json!({ "allowed": 1, "open": 2, "refused": 1 });
    assert_eq!(found["counts"], counts, "{found:#}");
    let a = member(&found, "a");
    assert_eq!((&a["version"], &a["standing"]), (&json!("1.0.0"), &json!("open")));
    assert_eq!(a["instead_of"]["version"], "1.1.0");
    assert_eq!(a["instead_of"]["decision"]["rule"], "too-new");
    assert_eq!(member(&found, "b")["decision"]["rule"], "no-b");

    let output = garth.garth(&["allow", "npm:app", "--with-dependencies"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.starts_with("still denied: npm:b@1.0.0 by the rule no-b: INC-7"), "{said}");
    assert!(said.contains("npm:a@1.0.0 instead of 1.1.0, which is held: let it settle"), "{said}");
    // When the deny goes, what was asked for holds.
    garth.run(&["rules", "remove", "no-b"]);
    let npm = npm(&garth);
    npm.must(&["install", "app"]);
    assert_eq!(npm.installed("a").as_deref(), Some("1.0.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_registry_has_is_named() {
    let up = ScriptedUpstream::start().await;
    up.npm("app")
        .version("1.0.0", |app| {
            app.dependency("git", "github:o/git")
                .dependency("odd", "not a tag")
                .dependency("gone", "1")
                .dependency("few", "^9")
                .dependency("inside", "1")
                .dependency("mac", "1")
                .field("bundleDependencies", json!(["inside"]))
        })
        .publish();
    up.npm("few").plain_version("1.0.0").publish();
    up.npm("mac")
        .version("1.0.0", |mac| {
            mac.field("os", json!(["darwin"])).field("engines", json!({ "node": ">=18" }))
        })
        .publish();
    let garth = setup(&up).start();
    let found = closure(&garth, "npm:app");
    assert_eq!(members(&found), BTreeSet::from(["app@1.0.0", "mac@1.0.0"].map(str::to_owned)));
    let unmet = found["unmet"].as_array().unwrap();
    let mut codes: Vec<(&str, &str)> = unmet
        .iter()
        .map(|unmet| (unmet["name"].as_str().unwrap(), unmet["code"].as_str().unwrap()))
        .collect();
    codes.sort_unstable();
    let expected = [
        ("few", "no-version"),
        ("git", "elsewhere"),
        ("gone", "unknown-package"),
        ("odd", "unreadable"),
    ];
    assert_eq!(codes, expected);
    assert_eq!(member(&found, "app")["bundles"], json!(["inside"]));
    assert_eq!(member(&found, "mac")["platforms"], json!({ "os": ["darwin"] }));
    assert_eq!(member(&found, "mac")["engine"], ">=18");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_names_are_never_asked_of_an_upstream() {
    let up = ScriptedUpstream::start().await;
    let other = ScriptedUpstream::start().await;
    publish(&up, "", "app@1.0.0: @acme/ui@^1 a@^1\n@acme/ui@1.0.0:\na@1.0.0:");
    publish(&other, "", "a@9.0.0:");
    let second = format!(
        "[registry.second]\nformat = \"npm\"\nupstream = \"{}\"\nown = [\"@acme/*\"]",
        other.url()
    );
    let garth = registry(&up, "").with_settings(&second).start();
    let command = ["allow", "npm:app", "--with-dependencies"];
    let output = garth.garth(&command);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("say which: npm, second"), "{errors}");

    let output =
        garth.garth(&[&command[..], &["--registry", "npm", "--dry-run", "--json"]].concat());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = &said["closures"][0];
    assert_eq!(members(found), BTreeSet::from(["a@1.0.0", "app@1.0.0"].map(str::to_owned)));
    assert_eq!(found["unmet"][0]["name"], "@acme/ui");
    for up in [&up, &other] {
        assert_eq!(up.requests("/@acme%2fui"), 0);
    }
    assert_eq!(other.total_requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_is_told_and_nothing_is_allowed() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", "app@1.0.0: a@^1 b@^1\na@1.0.0:\nb@1.0.0:");
    let garth = setup(&up).start();
    for (package, code) in [("npm:gone", "unknown"), ("npm:app@^7", "no version for \"^7\"")] {
        let output = garth.garth(&["allow", package, "--with-dependencies"]);
        assert_eq!(output.status.code(), Some(2), "{package}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(code), "{errors}");
    }
    up.on("/b").status(503);
    let output = garth.garth(&["allow", "npm:app", "--with-dependencies"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("incomplete: 1 of its dependencies could not be asked for"), "{said}");
    assert!(said.contains("not to be had: b ^1, for npm:app@1.0.0"), "{said}");
    assert!(garth.run(&["rules", "list"]).contains("No rules"));

    up.go_offline();
    let output = garth.garth(&["allow", "npm:other", "--with-dependencies"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("npm:other: the upstream"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_to_be_endless_ends() {
    let up = ScriptedUpstream::start().await;
    let many: serde_json::Map<String, Value> =
        (0..100_000).map(|n| (format!("p{n}"), "1".into())).collect();
    up.npm("many").version("1.0.0", |many_| many_.field("dependencies", many.into())).publish();
    let long = "^1 || ".repeat(200_000) + "2";
    up.npm("long").version("1.0.0", |version| version.dependency("a", &long)).publish();
    publish(&up, "", "round@1.0.0: other@1\nother@1.0.0: round@1 round2@npm:round@1");
    let chain: Vec<String> = (0..60).map(|n| format!("c{n}@1.0.0: c{}@1", n + 1)).collect();
    publish(&up, "", &chain.join("\n"));
    let garth = registry(&up, "").with_settings("[limits]\nclosure_packages = 40").start();

    let found = closure(&garth, "npm:round");
    assert_eq!(found["incomplete"], Value::Null, "{found:#}");
    assert_eq!(found["versions"].as_array().unwrap().len(), 2);
    let found = closure(&garth, "npm:long");
    assert_eq!(found["unmet"][0]["code"], "unreadable", "{found:#}");
    for package in ["npm:many", "npm:c0"] {
        let found = closure(&garth, package);
        let incomplete = found["incomplete"].to_string();
        assert!(incomplete.contains("limits.closure_packages"), "{package}: {incomplete}");
        assert!(found["versions"].as_array().unwrap().len() <= 40);
        let output = garth.garth(&["allow", package, "--with-dependencies"]);
        assert_eq!(output.status.code(), Some(2));
    }
    assert!(up.total_requests() < 200, "{}", up.total_requests());
    assert!(garth.run(&["rules", "list"]).contains("No rules"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_wants_the_token_and_says_what_is_wrong() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", "app@1.0.0:");
    let garth = setup(&up).start();
    let token = format!("Bearer {}", garth.admin_token());
    let ask = |body: Value, authorization: &str| {
        let asked =
            Asked::new("POST", "/api/v1/closures").header("content-type", "application/json");
        asked.header("authorization", authorization).body(body.to_string())
    };
    let app = json!({ "package": "npm:app" });
    assert_eq!(garth.ask(&ask(app.clone(), "Bearer wrong")).await.status, 401);
    let answer = garth.ask(&ask(app, &token)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["root"], "npm:app@1.0.0");
    for (body, status, code) in [
        (json!({ "package": "app" }), 400, "invalid-package"),
        (json!({ "package": "npm:app@1", "versions": "2" }), 400, "two-versions"),
        (json!({ "package": "npm:app", "registry": "x" }), 404, "no-such-registry"),
        (json!({ "package": "npm:app@file:../x" }), 400, "unreadable-version"),
        (json!({ "package": "cargo:serde" }), 501, "not-served-yet"),
        (json!({ "package": "npm:gone" }), 404, "unknown-package"),
        (json!({ "package": "npm:app", "among": "all" }), 400, "invalid-json"),
    ] {
        let answer = garth.ask(&ask(body.clone(), &token)).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert_eq!(answer.json()["code"], code, "{body}");
    }
}
