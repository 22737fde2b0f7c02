//! What the log and the metrics tell of requests, and the secrets that they do not tell.

use std::time::Duration;

use serde_json::Value;
use support::client::{Answer, Client};
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

use super::super::pull::{ALLOW_ALL, eventually};

const DENY: &str = "[[rule]]\nname = \"no-evil\"\neffect = \"deny\"\npackages = [\"npm:evil\"]\nreason = \"a test\"\n";

async fn garden(log: &str) -> (ScriptedUpstream, TestServer, Client) {
    let up = ScriptedUpstream::start().await;
    up.npm("p").plain_version("1.0.0").publish();
    up.npm("evil").plain_version("6.6.6").publish();
    let settings =
        format!("[registry.npm]\nupstream = \"{}\"\nmax_age = \"0s\"\n[log]\n{log}", up.url());
    let setup = Setup::new(&settings);
    setup.write_policy("all", ALLOW_ALL);
    setup.write_policy("evil", DENY);
    let server = setup.start();
    let client = Client::of(&server);
    (up, server, client)
}

fn id(answer: &Answer) -> String {
    answer.header("x-request-id").expect("every answer has an id").to_owned()
}

/// The one access line of a request.
async fn line(server: &TestServer, id: &str) -> String {
    let lines = || {
        let log = server.log();
        log.lines().filter(|line| line.contains(id)).map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("the access line", Duration::from_secs(30), async || !lines().is_empty()).await;
    let found = lines();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_has_one_line_of_json_with_its_id_and_all_that_happened() {
    let (up, server, client) = garden("format = \"json\"\n").await;
    let tarball = "/npm/p/-/p-1.0.0.tgz";
    let rows = [
        ("cold", "/npm/p", 200, "npm", "npm:p", "allow", "miss"),
        ("confirmed", "/npm/p", 200, "npm", "npm:p", "allow", "hit"),
        ("a cold tarball", tarball, 200, "npm", "npm:p@1.0.0", "allow", "miss"),
        ("a warm one", tarball, 200, "npm", "npm:p@1.0.0", "allow", "hit"),
        ("denied", "/npm/evil/-/evil-6.6.6.tgz", 403, "npm", "npm:evil@6.6.6", "deny", "miss"),
        ("absent", "/npm/none", 404, "npm", "npm:none", "none", "none"),
        ("stale", "/npm/p", 200, "npm", "npm:p", "allow", "stale"),
        ("no registry", "/elsewhere", 404, "", "", "none", "none"),
        ("the API", "/api/v1/rules", 401, "", "", "none", "none"),
    ];
    for (name, path, status, registry, package, decision, cache) in rows {
        if name == "stale" {
            up.go_offline();
        }
        if name == "a warm one" {
            // It is kept behind its last byte.
            server.hold(tarball).await;
        }
        let answer = client.get(path).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        let id = id(&answer);
        let text = line(&server, &id).await;
        let line: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{name}: {text}"));
        assert_eq!(line["target"], "access", "{name}");
        assert_eq!(line["request_id"], id.as_str(), "{name}");
        assert_eq!(line["path"], path, "{name}");
        assert_eq!(line["status"], status, "{name}");
        assert_eq!(line["registry"], registry, "{name}");
        assert_eq!(line["decision"], decision, "{name}");
        assert_eq!(line["package"], package, "{name}: {line}");
        if name != "denied" {
            assert_eq!(line["cache"], cache, "{name}");
        }
        assert_eq!(line["bytes"], answer.bytes().len(), "{name}: {line}");
        for time in ["first_byte_ms", "total_ms"] {
            let millis: f64 = line[time].as_str().unwrap().parse().unwrap();
            assert!((0.0..60_000.0).contains(&millis), "{name}: {line}");
        }
    }
    for line in server.log().lines().filter(|line| line.starts_with('{')) {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(parsed["timestamp"].is_string() && parsed["level"].is_string(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_log_has_the_same_and_the_metrics_count_it() {
    let (up, server, client) = garden("format = \"text\"\n").await;
    for path in ["/npm/p", "/npm/p", "/npm/evil", "/npm/p/-/p-1.0.0.tgz"] {
        let answer = client.get(path).await;
        let text = line(&server, &id(&answer)).await;
        for field in [
            "access:",
            "registry=npm",
            "package=npm:",
            "decision=\"",
            "cache=\"",
            "bytes=",
            "total_ms=",
        ] {
            assert!(text.contains(field), "{field}: {text}");
        }
    }
    up.go_offline();
    client.get("/npm/other").await;
    eventually("the stores are measured", Duration::from_secs(10), async || {
        client.metric("garth_store_bytes{store=\"metadata\"}").await > 0
    })
    .await;
    let page = client.get("/metrics").await.text();
    for metric in [
        "garth_requests_total{registry=\"npm\",decision=\"allow\",cache=\"miss\",status_class=\"2xx\"}",
        "garth_requests_total{registry=\"npm\",decision=\"deny\"",
        "_bucket{le=\"0.1\",registry=\"npm\",cache=\"hit\"}",
        "garth_upstream_up{upstream=\"npm\"} 1",
        "garth_upstream_breaker_state{upstream=\"npm\"} 0",
        "garth_upstream_requests_total{upstream=\"npm\"}",
        "garth_upstream_failures_total{upstream=\"npm\"}",
        "garth_store_bytes{store=\"blobs\"}",
        "garth_rules_ok 1",
        "garth_rules 2",
        "garth_connections_open",
    ] {
        assert!(page.contains(metric), "{metric} is missing in\n{page}");
    }
    let blobs = client.metric("garth_store_bytes{store=\"blobs\"}").await;
    assert!(blobs > 500, "{blobs}");
    assert!(page.ends_with("# EOF\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_any_log_answer_or_metric() {
    let up = ScriptedUpstream::start().await;
    let with_userinfo = |url: &str| url.replace("http://", "http://eve:userinfo-secret@");
    up.npm("p")
        .version("1.0.0", |v| v.tarball_url(&with_userinfo(&up.at("p/-/p-1.0.0.tgz"))))
        .version("2.0.0", |v| v.tarball_url("http://eve:userinfo-secret@10.0.0.1/x.tgz"))
        .publish();
    up.on("/locked").status(401);
    up.on("/broken").status(500);
    up.on("/moved").redirect("http://eve:userinfo-secret@169.254.169.254/");
    for trace in ["info", "trace,h2=trace,actix_http=trace"] {
        let setup = Setup::new(&format!(
            "[registry.npm]\nupstream = \"{}\"\nusername = \"garth\"\npassword = {{ env = \"UP_PASSWORD\" }}\n\
             [log]\nlevel = \"{trace}\"\n",
            up.url()
        ))
        .with_env("UP_PASSWORD", "the-upstream-password");
        setup.write_policy("all", ALLOW_ALL);
        let server = setup.start();
        let client = Client::of(&server);
        let token = server.admin_token();
        let mut said = String::new();
        for path in [
            "/npm/p",
            "/npm/p/1.0.0",
            "/npm/locked",
            "/npm/broken",
            "/npm/moved",
            "/npm/p/-/p-2.0.0.tgz",
            "/npm/missing",
            "/readyz",
            "/metrics",
            "/api/v1/rules",
        ] {
            said.push_str(&client.get(path).await.text());
        }
        assert!(client.get("/npm/p/-/p-1.0.0.tgz").await.is_whole());
        assert_eq!(client.make_rule("r", "deny", "npm:q").await, 201);
        for path in ["/rules", "/rules/r", "/decisions?package=npm:p@1.0.0", "/rules/none"] {
            said.push_str(&client.api("GET", path, None).await.unwrap().text());
        }
        said.push_str(&server.run(&["rules", "list"]));
        said.push_str(&server.run(&["why", "npm:p@1.0.0"]));
        let wrong = client.request("/api/v1/rules").header("Authorization", "Bearer a-wrong-token");
        wrong.send().await.unwrap();
        let sent = up.last_request("/p");
        let basic =
            sent.header("authorization").unwrap().strip_prefix("Basic ").unwrap().to_owned();
        let (setup, _) = server.stop();
        said.push_str(&setup.log());
        for secret in ["the-upstream-password", "userinfo-secret", &token, &basic, "a-wrong-token"]
        {
            let at = said.find(secret).map(|at| &said[at.saturating_sub(300)..at]);
            assert_eq!(at, None, "{trace}: {secret}");
        }
    }
}
