//! The admin API by what it says of itself: schemathesis asks each operation of the `OpenAPI` document
//! for what it takes, and for what it does not take.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::client::Client;
use support::server::Setup;
use support::upstream::ScriptedUpstream;

/// Cases that are made up for each operation, beside those at the edges of what it takes.
const EXAMPLES: &str = "4";
/// The same ones each time.
const SEED: &str = "1";

/// What a schema cannot say: whether a package is one, a pattern can be read, or a range is of its
/// ecosystem. What fits the schema may be refused for that (400), where it means nothing here (422), for
/// what is there (409, 412), or because others are at it (429, 503).
const SETTINGS: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 304, 400, 401, 403, 404, 409, 412, 413, 422, 429, 501, 502, 503]
[checks.negative_data_rejection]
expected-statuses = [304, 400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_wrong_with_the_api() {
    let up = ScriptedUpstream::start().await;
    // It asks faster than anybody may who means well.
    let settings =
        format!("[registry.npm]\nupstream = \"{}\"\n[limits]\nchanges_per_caller = 0\n", up.url());
    let garth = Setup::new(&settings).start();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("schemathesis.toml"), SETTINGS).unwrap();
    let house = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let python = house.join("target/clients/python/bin/python");
    assert!(python.exists(), "./dev setup installs {}", python.display());
    let document = format!("{}/api/v1/openapi.json", garth.url);
    let token = format!("Authorization: Bearer {}", garth.admin_token());
    let asked = Command::new(python)
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("NO_COLOR", "1")
        .args(["-m", "schemathesis.cli", "run", &document, "--header", &token])
        .args(["--url", &format!("{}/api/v1", garth.url)])
        .args(["--checks", "all", "--continue-on-failure"])
        .args(["--max-examples", EXAMPLES, "--seed", SEED, "--workers", "1"])
        .args(["--phases", "examples,coverage,fuzzing"])
        // A stream goes on until somebody ends it.
        .args(["--exclude-operation-id", "follow_events"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&asked.stdout);
    assert!(asked.status.success(), "{told}\n{}", String::from_utf8_lossy(&asked.stderr));
    assert!(garth.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_garden_is_shown_and_a_kept_file_is_dropped() {
    let up = crate::npm::upstream().await;
    let settings = format!(
        "[registry.npm]\nupstream = \"{}\"\nown = [\"@acme/*\"]\nusername = \"ann\"\n\
         password = {{ env = \"UPSTREAM_PASSWORD\" }}\n",
        up.url()
    );
    let garth = Setup::new(&settings).with_env("UPSTREAM_PASSWORD", "hidden").start();
    let client = Client::of(&garth);
    assert_eq!(client.make_rule("all", "allow", "npm:*").await, 201);
    let tarball = "/npm/left-pad/-/left-pad-1.3.0.tgz";
    assert_eq!(client.get("/npm/left-pad").await.status, 200);
    assert_eq!(client.get("/npm/@s%2fn").await.status, 200);
    assert_eq!(client.get(tarball).await.status, 200);

    let status = client.api("GET", "/status", None).await.unwrap().json();
    assert_eq!((&status["state"], &status["rules"]), (&json!("ready"), &json!(1)), "{status}");
    assert!(status["checks"].as_array().unwrap().iter().any(|check| check["name"] == "store"));
    let registries = client.api("GET", "/registries", None).await.unwrap();
    let registry = &registries.json()["registries"][0];
    assert_eq!((&registry["name"], &registry["own"]), (&json!("npm"), &json!(["@acme/*"])));
    assert_eq!(registry["health"]["breaker"], "closed");
    let set = client.api("GET", "/settings", None).await.unwrap().text();
    for text in [registries.text(), set.clone(), status.to_string()] {
        assert!(!text.contains("hidden"), "{text}");
    }
    assert!(set.contains("registry.npm.own"), "{set}");

    let list = |query: &str| format!("/packages{query}");
    let names = async |query: &str| {
        let page = client.api("GET", &list(query), None).await.unwrap().json();
        let names = page["packages"].as_array().unwrap().iter();
        (names.map(|one| one["package"].clone()).collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(names("").await, (vec![json!("npm:@s/n"), json!("npm:left-pad")], json!(null)));
    let (first, next) = names("?limit=1").await;
    assert_eq!(first.len(), 1);
    let rest = format!("?limit=1&after={}", next.as_str().unwrap().replace('/', "%2F"));
    let (second, _) = names(&rest).await;
    assert_eq!([first, second].concat(), [json!("npm:@s/n"), json!("npm:left-pad")]);
    assert_eq!(names("?search=PAD").await.0, [json!("npm:left-pad")]);
    assert_eq!(names("?search=%25").await.0, [json!(null); 0]);

    let version = "/packages/npm/left-pad/versions/1.3.0";
    let kept = kept_with(&client, version).await;
    let artifact = &kept["held"]["artifacts"][0];
    assert!(artifact["digest"].as_str().unwrap().starts_with("sha256:"), "{kept}");
    assert_eq!(kept["decision"]["decision"]["effect"], "allow");
    let scoped = client.api("GET", "/packages/npm/@s%2Fn/versions", None).await.unwrap();
    assert_eq!(scoped.json()["versions"][0]["version"], "1.0.0", "{}", scoped.text());

    let told = garth.run(&["packages", "remove", "left-pad", "1.3.0", "--registry", "npm"]);
    assert!(told.starts_with("dropped: 1 files"), "{told}");
    let kept = client.api("GET", version, None).await.unwrap().json();
    assert_eq!(kept["held"]["artifacts"], json!([]));
    assert_eq!(client.get(tarball).await.status, 200, "it is fetched again");
    let kept = kept_with(&client, version).await;
    assert_eq!(kept["held"]["artifacts"].as_array().unwrap().len(), 1);
    assert!(garth.run(&["packages", "list"]).contains("npm:left-pad"));
    assert!(garth.run(&["packages", "show", "left-pad", "--registry", "npm"]).contains("1.3.0"));
    assert!(garth.run(&["status"]).contains("is well"), "{}", garth.run(&["status"]));
    let unknown = client.api("GET", "/packages/npm/none/versions", None).await.unwrap();
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("no-such-package")));
}

/// The version, once a file of it is kept: that is a moment after a client has it.
async fn kept_with(client: &Client, version: &str) -> Value {
    for _ in 0..500 {
        let kept = client.api("GET", version, None).await.unwrap().json();
        if kept["held"]["artifacts"] != json!([]) {
            return kept;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no file of {version} is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_shown_and_run_and_what_they_count_is_told() {
    let up = crate::npm::upstream().await;
    let garth = Setup::npm(up.url().as_str()).start();
    let client = Client::of(&garth);
    let empty = client.api("GET", "/statistics", None).await.unwrap().json();
    assert_eq!(
        (&empty["counted"], &empty["registries"][0]["stored"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(client.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await.status, 403);
    assert_eq!(client.make_rule("all", "allow", "npm:*").await, 201);
    assert_eq!(client.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await.status, 200);
    kept_with(&client, "/packages/npm/left-pad/versions/1.3.0").await;
    assert_eq!(client.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await.status, 200);

    let jobs = client.api("GET", "/jobs", None).await.unwrap().json();
    let names: Vec<&str> =
        jobs["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["recorded-use", "scrub", "statistics", "unpublishing"]);
    let told = garth.run(&["jobs", "run", "statistics", "--wait"]);
    assert!(told.contains("done at") && told.contains("1 runs, 0 failed"), "{told}");
    assert!(garth.run(&["jobs", "list"]).contains("recorded-use"));
    let asked = garth.run(&["log", "--action", "job-asked", "--json"]);
    let asked: Vec<Value> = asked.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        (&asked[0]["subject"], &asked[0]["who"]),
        (&json!("job statistics"), &json!("admin"))
    );
    let job = client.api("GET", "/jobs/statistics", None).await.unwrap().json();
    assert_eq!((&job["runs"], &job["last"]["fault"]), (&json!(1), &json!(null)), "{job}");
    assert!(job["next"].is_string(), "{job}");
    for (method, path) in [("GET", "/jobs/none"), ("POST", "/jobs/none/runs")] {
        let unknown = client.api(method, path, None).await.unwrap();
        assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("no-such-job")));
    }

    let counted = client.api("GET", "/statistics", None).await.unwrap().json();
    let npm = &counted["registries"][0];
    assert!(counted["counted"].is_string(), "{counted}");
    assert_eq!(
        (&npm["stored"]["packages"], &npm["stored"]["files"]),
        (&json!(1), &json!(1)),
        "{npm}"
    );
    assert!(
        npm["stored"]["bytes"].as_u64() > Some(0) && npm["stored"]["versions"].as_u64() > Some(0)
    );
    assert_eq!((&npm["requests"], &npm["decisions"]["deny"]), (&json!(3), &json!(1)), "{npm}");
    assert_eq!((&npm["decisions"]["allow"], &npm["cache"]["hit"]), (&json!(2), &json!(1)), "{npm}");
}
