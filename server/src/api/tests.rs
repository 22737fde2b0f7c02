#![allow(clippy::unwrap_used)]

mod access;
mod form;
mod log;
mod once;
mod people;
mod requests;
mod rights;
mod waivers;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{App, test};
use policies::package::Ecosystem;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::form::once::{Marking, Once};
use super::*;
use crate::access::admin_token::AdminToken;
use crate::access::register::Register;
use crate::advisories;
use crate::metadata::Metadata;
use crate::metadata::sled::{Sled, SledOptions};
use crate::recorded;
use crate::registries::closure::ClosureLimits;
use crate::rules::RulesConfig;

const TOKEN: &str = "garth_test";
pub(super) const GOOD: &str = "Bearer garth_test";

pub(super) async fn api() -> (TempDir, Api) {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let api = api_over(home.path(), Arc::new(store)).await;
    (home, api)
}

/// Over a store that may hold something already.
pub(super) async fn api_over(home: &std::path::Path, metadata: Arc<dyn Metadata>) -> Api {
    let dir = home.join("policies");
    tokio::fs::create_dir_all(&dir).await.unwrap();
    let text = "[[rule]]\nname = 'from-file'\neffect = 'deny'\npackages = ['npm:evil']\nreason = 'INC-7'\n";
    tokio::fs::write(dir.join("a.toml"), text).await.unwrap();
    let clock = Clock::from_fn(|| "2026-06-01T00:00:00Z".parse().unwrap());
    let (log, metadata, logging) = crate::audit::Log::open(
        metadata,
        clock.clone(),
        crate::audit::checkpoint::LogKey::make("log"),
    );
    // It ends with the test's runtime.
    std::mem::forget(logging);
    let metadata: Arc<dyn Metadata> = Marking::over(metadata);
    let rules = RulesConfig { dir: Some(dir) };
    let rules = Rules::open(rules, Arc::clone(&metadata), clock.clone()).await.unwrap();
    let advisories = advisories::tests::opened(home, Arc::clone(&metadata), rules.clone()).await;
    let memory = Memory {
        metadata: Arc::clone(&metadata),
        registries: Arc::new([("npm".into(), Ecosystem::Npm)]),
    };
    let register = Register::open(Arc::clone(&metadata), clock.clone()).await.unwrap();
    let access = Access::new(AdminToken::of(TOKEN), register, jiff::SignedDuration::from_hours(12));
    let (registries, mode): (Arc<[_]>, _) = (Arc::new([]), Mode::Enforce);
    let gate = crate::gate::Gate::new(rules.clone(), mode, clock.clone());
    let limits = ClosureLimits { packages: 10, time: std::time::Duration::from_secs(1) };
    let closures = Closures::new(gate, Arc::clone(&registries), limits);
    let recorder = recorded::tests::opened(Arc::clone(&memory.metadata), clock.clone());
    let keep = std::time::Duration::from_hours(24);
    let metadata = Arc::clone(&memory.metadata);
    let revisions = Revisions::new(metadata, rules.clone(), clock.clone(), keep);
    let requests = crate::requests::tests::opened(&memory, &rules, &clock).await;
    let once = Once::open(Arc::clone(&memory.metadata), clock.clone()).await.unwrap();
    Api {
        once,
        rules,
        advisories,
        requests,
        access,
        often: crate::audit::Often::new(
            Arc::clone(&memory.metadata),
            clock.clone(),
            tokio::runtime::Handle::current(),
        ),
        memory,
        recorder,
        revisions,
        log,
        registries,
        closures,
        clock,
        mode,
        public_url: None,
        anonymous: crate::config::Anonymous::Read,
    }
}

async fn send(
    api: &Api,
    method: &str,
    path: &str,
    authorization: Option<&str>,
    body: Option<&str>,
) -> (StatusCode, HeaderMap, Value) {
    let app = App::new().app_data(web::Data::new(api.clone())).configure(routes);
    let app = test::init_service(app).await;
    let mut request = test::TestRequest::with_uri(path).method(method.parse().unwrap());
    if let Some(authorization) = authorization {
        request = request.insert_header(("authorization", authorization));
    }
    if let Some(body) = body {
        request = request
            .insert_header(("content-type", "application/json"))
            .set_payload(body.to_owned());
    }
    let response = test::call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = test::read_body(response).await;
    (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn check(
    api: &Api,
    method: &str,
    path: &str,
    body: Option<&Value>,
    expected: (u16, &str),
) -> Value {
    let body = body.map(Value::to_string);
    let (status, headers, answer) = send(api, method, path, Some(GOOD), body.as_deref()).await;
    let code = answer.get("code").and_then(Value::as_str).unwrap_or_default();
    assert_eq!((status.as_u16(), code), expected, "{method} {path}: {answer}");
    if !code.is_empty() {
        assert_eq!(headers.get("content-type").unwrap(), "application/problem+json");
        assert_eq!(answer["status"], expected.0);
    }
    answer
}

#[actix_web::test]
async fn every_path_and_method_asks_for_the_token_first() {
    let (_home, api) = api().await;
    let mut bodies = Vec::new();
    for authorization in [
        None,
        Some(""),
        Some("garth_tesu"),
        Some("Basic garth_test"),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer garth_tesu"),
        Some("Bearer garth_test2"),
        Some("Bearer garth_tes"),
    ] {
        for (method, path) in [
            ("GET", "/api/v1/rules"),
            ("POST", "/api/v1/rules"),
            ("PATCH", "/api/v1/rules"),
            ("DELETE", "/api/v1/rules/from-file"),
            ("GET", "/api/rules"),
            ("HEAD", "/api/v1/rules"),
            ("GET", "/api/v1/decisions?package=npm:x@1.0.0"),
            ("POST", "/api/v1/forget"),
            ("GET", "/api/v1/tokens"),
            ("POST", "/api/v1/tokens"),
            ("POST", "/api/v1/tokens/ci/rotate"),
            ("DELETE", "/api/v1/tokens/ci"),
            ("GET", "/api/v1/teams"),
            ("DELETE", "/api/v1/teams/web/shop"),
            ("GET", "/api/v1/requests"),
            ("GET", "/api/v1/requests/1"),
            ("POST", "/api/v1/requests/approve"),
            ("POST", "/api/v1/requests/reject"),
            ("POST", "/api/v1/requests/1/comments"),
            ("GET", "/api/v1/log"),
            ("GET", "/api/v1/log/checkpoint"),
            ("GET", "/api/v1/observed"),
            ("POST", "/api/v1/policy/backtest"),
            ("POST", "/api/v1/policy/diff"),
            ("GET", "/api/v1/nothing"),
            ("GET", "/api/v1"),
        ] {
            let (status, headers, body) = send(&api, method, path, authorization, None).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{authorization:?} {method} {path}");
            assert!(headers.contains_key("www-authenticate"));
            bodies.push(body);
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "whoever has no token learns nothing");
    let (status, ..) = send(&api, "GET", "/api/v1/rules", Some("bearer  garth_test"), None).await;
    assert_eq!(status, StatusCode::OK);
}

/// A token with these rights, as a header.
async fn token(api: &Api, name: &str, team: Option<&str>, rights: &[&str]) -> String {
    let asked = json!({ "name": name, "team": team, "rights": rights });
    let made = check(api, "POST", "/api/v1/tokens", Some(&asked), (201, "")).await;
    format!("Bearer {}", made["secret"].as_str().unwrap())
}

#[actix_web::test]
async fn what_a_token_may_is_what_its_rights_say() {
    let (_home, api) = api().await;
    check(&api, "POST", "/api/v1/teams", Some(&json!({ "name": "web/shop" })), (201, "")).await;
    let reader = token(&api, "reader", Some("web/shop"), &[]).await;
    let publisher = token(&api, "publisher", None, &["publish", "approve"]).await;
    let admin = token(&api, "second", None, &["administer"]).await;
    let rule = json!({ "effect": "deny", "packages": ["npm:x"] }).to_string();
    let team = json!({ "name": "web/blog" }).to_string();
    let more = json!({ "name": "more", "rights": ["publish"] }).to_string();
    let empty = "{}".to_owned();
    // Method, path, body, and what readers, publishers and administrators are answered.
    let rows = [
        ("GET", "/api/v1/rules", None, [200, 200, 200]),
        ("GET", "/api/v1/decisions?package=npm:x@1.0.0", None, [200, 200, 200]),
        ("GET", "/api/v1/teams", None, [200, 200, 200]),
        ("GET", "/api/v1/tokens", None, [200, 200, 200]),
        ("GET", "/api/v1/log", None, [403, 403, 200]),
        ("GET", "/api/v1/log/checkpoint", None, [403, 403, 200]),
        ("GET", "/api/v1/log/proofs/inclusion?n=0", None, [403, 403, 200]),
        ("GET", "/api/v1/log/proofs/consistency?from=1", None, [403, 403, 200]),
        ("POST", "/api/v1/rules", Some(&rule), [403, 403, 201]),
        ("POST", "/api/v1/rul%65s", Some(&rule), [403, 403, 200]),
        ("DELETE", "/api/v1/rules/deny-x", None, [403, 403, 204]),
        ("POST", "/api/v1/forget", Some(&empty), [403, 403, 400]),
        ("POST", "/api/v1/advisories/import", None, [403, 403, 422]),
        ("POST", "/api/v1/teams", Some(&team), [403, 403, 201]),
        ("DELETE", "/api/v1/teams/web/blog", None, [403, 403, 204]),
        ("POST", "/api/v1/tokens", Some(&more), [403, 403, 403]),
        ("POST", "/api/v1/tokens/publisher/rotate", Some(&empty), [403, 200, 403]),
        ("DELETE", "/api/v1/tokens/other", None, [403, 403, 404]),
        ("DELETE", "/api/v1/nothing", None, [404, 404, 404]),
        ("PATCH", "/api/v1/rules", None, [405, 405, 405]),
    ];
    for (method, path, body, expected) in rows {
        for (by, expected) in [&reader, &publisher, &admin].into_iter().zip(expected) {
            let body = body.map(String::as_str);
            let (status, _, answer) = send(&api, method, path, Some(by), body).await;
            assert_eq!(status.as_u16(), expected, "{method} {path} by {by}: {answer}");
            if expected == 403 {
                assert_eq!(answer["code"], "missing-right");
                let detail = answer["detail"].as_str().unwrap();
                assert!(detail.contains("administer") || detail.contains("publish"), "{detail}");
            }
        }
    }
    // Whoever may not administer sees of the tokens the own one, however the path is spelt.
    for (path, by, count) in [
        ("/api/v1/tokens", &reader, 1),
        ("/api/v1/toke%6es", &reader, 1),
        ("/api/tokens?all=true", &reader, 1),
        ("/api/v1/tokens", &admin, 3),
    ] {
        let (status, _, list) = send(&api, "GET", path, Some(by), None).await;
        let found = list["tokens"].as_array().map_or(0, Vec::len);
        assert!(status == StatusCode::NOT_FOUND || found == count, "{path}: {status} {list}");
    }
    // The rule was made in the name of the token's owner.
    let (_, _, rules) = send(&api, "GET", "/api/v1/rules/deny-x", Some(&reader), None).await;
    assert_eq!(rules["code"], "no-such-rule");
    check(&api, "DELETE", "/api/v1/tokens/reader", None, (200, "")).await;
    let (status, _, gone) = send(&api, "GET", "/api/v1/rules", Some(&reader), None).await;
    assert_eq!((status.as_u16(), &gone["code"]), (401, &json!("token-not-valid")));
    assert!(gone["detail"].as_str().unwrap().contains("reader was revoked"), "{gone}");
}

#[actix_web::test]
async fn a_token_shows_its_secret_once() {
    let (_home, api) = api().await;
    let asked = json!({ "name": "ci" });
    let made = check(&api, "POST", "/api/v1/tokens", Some(&asked), (201, "")).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    let rotated = json!({ "grace_seconds": 60 });
    let rotated = check(&api, "POST", "/api/v1/tokens/ci/rotate", Some(&rotated), (200, "")).await;
    assert_eq!(rotated["before_until"], "2026-06-01T00:01:00Z");
    assert_eq!(made["expires"], "2027-06-01T00:00:00Z");
    let list = check(&api, "GET", "/api/v1/tokens", None, (200, "")).await.to_string();
    let again = check(&api, "DELETE", "/api/v1/tokens/ci", None, (200, "")).await.to_string();
    let hash = crate::access::secret::Hash::of(secret.as_bytes()).to_hex();
    for text in [&list, &again] {
        assert!(!text.contains(&secret) && !text.contains(&hash), "{text}");
    }
    for (body, code) in [
        (json!({ "name": "x", "rights": ["admin"] }), "no-such-right"),
        (json!({ "name": "x", "rights": ["publish=npm:@acme"] }), "invalid-right"),
        (json!({ "name": "x", "roles": ["admin"] }), "no-such-role"),
        (json!({ "name": "x", "team": "web/shop" }), "no-such-team"),
        (json!({ "name": "x y" }), "invalid-access"),
        (json!({ "name": "x", "expires": "soon" }), "invalid-access"),
        (json!({ "name": "x", "kind": "robot" }), "invalid-access"),
    ] {
        let status =
            if code.starts_with("no-such-") && code != "no-such-right" { 404 } else { 400 };
        check(&api, "POST", "/api/v1/tokens", Some(&body), (status, code)).await;
    }
}

#[actix_web::test]
async fn a_decision_is_that_for_the_team_that_asks_or_is_asked_about() {
    let (_home, api) = api().await;
    check(&api, "POST", "/api/v1/teams", Some(&json!({ "name": "web/shop" })), (201, "")).await;
    let rule = json!({ "effect": "allow", "packages": ["npm:x"], "teams": ["web/shop"] });
    check(&api, "POST", "/api/v1/rules", Some(&rule), (201, "")).await;
    let shop = token(&api, "shop", Some("web/shop"), &[]).await;
    for (by, team, effect) in [
        (&shop, "", "allow"),
        (&shop, "&team=web/blog", "deny"),
        (&GOOD.to_owned(), "", "deny"),
        (&GOOD.to_owned(), "&team=web/shop", "allow"),
    ] {
        let path = format!("/api/v1/decisions?package=npm:x@1.0.0{team}");
        let (_, _, answer) = send(&api, "GET", &path, Some(by), None).await;
        assert_eq!(answer["decision"]["effect"], effect, "{path}: {answer}");
    }
    let path = "/api/v1/decisions?package=npm:x&team=web";
    check(&api, "GET", path, None, (400, "invalid-team")).await;
}

#[actix_web::test]
async fn a_rule_is_made_shown_and_removed() {
    let (_home, api) = api().await;
    let rule = json!({ "effect": "allow", "packages": ["npm:left-pad"], "versions": "^1", "expires": "2027-01-01" });
    let made = check(&api, "POST", "/api/v1/rules", Some(&rule), (201, "")).await;
    assert_eq!(made["name"], "allow-left-pad");
    assert_eq!(made["expires"], "2027-01-01T00:00:00Z");
    assert_eq!(
        made["origin"],
        json!({ "kind": "api", "by": "admin", "at": "2026-06-01T00:00:00Z" })
    );
    let same = check(&api, "POST", "/api/v1/rules", Some(&rule), (200, "")).await;
    assert_eq!(same, made);
    assert_eq!(check(&api, "GET", "/api/v1/rules/allow-left-pad", None, (200, "")).await, made);
    assert_eq!(check(&api, "GET", "/api/rules/allow-left-pad", None, (200, "")).await, made);
    let names = |list: &Value| -> Vec<String> {
        list["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let list = check(&api, "GET", "/api/v1/rules", None, (200, "")).await;
    assert_eq!(names(&list), ["allow-left-pad", "from-file"]);
    let page = check(&api, "GET", "/api/v1/rules?limit=1", None, (200, "")).await;
    assert_eq!(
        (names(&page), &page["next"]),
        (vec!["allow-left-pad".to_owned()], &json!("allow-left-pad"))
    );
    let page = check(
        &api,
        "GET",
        "/api/v1/rules?after=allow-left-pad&limit=1000000000000",
        None,
        (200, ""),
    )
    .await;
    assert_eq!((names(&page), &page["next"]), (vec!["from-file".to_owned()], &Value::Null));
    let of = check(&api, "GET", "/api/v1/rules?package=npm:evil", None, (200, "")).await;
    assert_eq!(names(&of), ["from-file"]);
    check(&api, "DELETE", "/api/v1/rules/allow-left-pad", None, (204, "")).await;
    check(&api, "GET", "/api/v1/rules/allow-left-pad", None, (404, "no-such-rule")).await;
}

#[actix_web::test]
async fn what_cannot_be_done_is_a_problem_with_a_code() {
    let (_home, api) = api().await;
    let wrong =
        json!({ "effect": "alow", "packages": ["left-pad", "npm:x"], "versions": "latest" });
    let problem = check(&api, "POST", "/api/v1/rules", Some(&wrong), (400, "invalid-rule")).await;
    let fields: Vec<&str> = problem["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["effect", "packages[0]", "versions"]);
    let taken = json!({ "name": "from-file", "effect": "allow", "packages": ["npm:x"] });
    let problem = check(&api, "POST", "/api/v1/rules", Some(&taken), (409, "name-taken")).await;
    assert!(problem["detail"].as_str().unwrap().contains("a.toml, line 1"), "{problem}");
    let problem =
        check(&api, "DELETE", "/api/v1/rules/from-file", None, (409, "made-by-file")).await;
    assert!(problem["detail"].as_str().unwrap().contains("a.toml"), "{problem}");
    let unknown = json!({ "effect": "allow", "packages": ["npm:x"], "wehn": "yanked" });
    check(&api, "POST", "/api/v1/rules", Some(&unknown), (400, "invalid-json")).await;
    for (method, path, expected) in [
        ("GET", "/api/v1/rules/nobody", (404, "no-such-rule")),
        ("DELETE", "/api/v1/rules/nobody", (404, "no-such-rule")),
        ("DELETE", "/api/v1/rules/..%2f..%2fx", (404, "no-such-rule")),
        ("GET", "/api/v1/nothing", (404, "no-such-path")),
        ("PATCH", "/api/v1/rules", (405, "wrong-method")),
        ("POST", "/api/v1/rules", (415, "not-json")),
        ("GET", "/api/v1/rules?packages=x", (400, "invalid-query")),
        ("GET", "/api/v1/rules?limit=-1", (200, "")),
        ("GET", "/api/v1/decisions", (400, "missing-package")),
        ("GET", "/api/v1/decisions?package=left-pad", (400, "invalid-package")),
        ("GET", "/api/v1/decisions?package=npm:../x@1", (400, "invalid-package")),
        ("GET", "/api/v1/decisions?package=npm:x@%00", (400, "invalid-package")),
    ] {
        check(&api, method, path, None, expected).await;
    }
    let (status, _, body) =
        send(&api, "POST", "/api/v1/rules", Some(GOOD), Some("{\"effect\":")).await;
    assert_eq!((status.as_u16(), &body["code"]), (400, &json!("invalid-json")));
    let huge = " ".repeat(MAX_BODY + 1);
    let (status, _, body) = send(&api, "POST", "/api/v1/rules", Some(GOOD), Some(&huge)).await;
    assert_eq!((status.as_u16(), &body["code"]), (413, &json!("body-not-read")));
}

#[actix_web::test]
async fn a_decision_comes_with_the_rules_that_were_considered() {
    let (_home, api) = api().await;
    let denied =
        check(&api, "GET", "/api/v1/decisions?package=npm:evil@1.0.0", None, (200, "")).await;
    assert_eq!(denied["decision"]["effect"], "deny");
    assert_eq!(denied["decision"]["code"], "denied-by-rule");
    assert_eq!(denied["decision"]["reason"], "INC-7");
    assert_eq!(denied["considered"][0]["rule"], "from-file");
    assert_eq!(denied["considered"][0]["matched"], true);
    let silent = check(&api, "GET", "/api/v1/decisions?package=npm:x@1.0.0", None, (200, "")).await;
    assert_eq!(silent["decision"]["code"], "no-rule-allows");
    assert_eq!((&silent["others"], &silent["purl"]), (&json!(1), &json!("pkg:npm/x@1.0.0")));
    let general =
        check(&api, "GET", "/api/v1/decisions?package=pkg:npm/evil", None, (200, "")).await;
    assert_eq!((&general["version"], &general["decision"]), (&Value::Null, &Value::Null));
    assert_eq!(general["considered"][0]["why"], "speaks of every version");
}

#[actix_web::test]
async fn whoever_makes_a_waiver_answers_for_it() {
    let (_home, api) = api().await;
    let waiver = json!({ "waives": "from-file", "packages": ["npm:evil"], "reason": "once", "expires": "2027-01-01" });
    let made = check(&api, "POST", "/api/v1/rules", Some(&waiver), (201, "")).await;
    assert_eq!((&made["owner"], &made["waives"]), (&json!("admin"), &json!("from-file")));
}

#[actix_web::test]
async fn policies_are_tried_and_each_fault_in_them_has_its_place() {
    let (_home, api) = api().await;
    let file = |text: &str| json!({ "name": "p/a.toml", "text": text });
    let good = "[[rule]]\nname = 'all'\neffect = 'allow'\npackages = ['npm:*']\n";
    let candidate = json!({ "files": [file(good)] });
    for path in ["/api/v1/policy/backtest?since=30d&in_force=true", "/api/v1/policy/diff"] {
        let report = check(&api, "POST", path, Some(&candidate), (200, "")).await;
        assert_eq!((&report["changed"], &report["requests"]), (&json!(0), &json!(0)), "{report}");
    }
    let broken =
        [file("[[rule]]\nname = 'x'\neffect = 'alow'\npackages = ['npm:a']\n"), file(good)];
    let broken = json!({ "files": broken });
    let path = "/api/v1/policy/diff";
    let answer = check(&api, "POST", path, Some(&broken), (400, "invalid-policies")).await;
    assert_eq!(answer["faults"][0]["field"], "p/a.toml:3:10", "{answer}");
    // A name that a rule made by a command has is taken.
    check(
        &api,
        "POST",
        "/api/v1/rules",
        Some(&json!({"name": "all", "effect": "deny", "packages": ["npm:x"]})),
        (201, ""),
    )
    .await;
    check(&api, "POST", path, Some(&candidate), (400, "invalid-policies")).await;
    check(
        &api,
        "POST",
        "/api/v1/policy/backtest",
        Some(&json!({"file": 1})),
        (400, "invalid-json"),
    )
    .await;
    let since = "/api/v1/policy/diff?since=yesterday";
    let other = json!({ "files": [file(&good.replace("'all'", "'every'"))] });
    check(&api, "POST", since, Some(&other), (400, "invalid-since")).await;
    check(&api, "GET", "/api/v1/observed?team=a/b/c", None, (400, "invalid-team")).await;
    let observed = check(&api, "GET", "/api/v1/observed?since=7d", None, (200, "")).await;
    assert_eq!(observed["requests"], 0);
    let _place = api.recorder.place_for_trial().unwrap();
    check(&api, "POST", path, Some(&other), (503, "busy")).await;
}

#[actix_web::test]
async fn a_decision_can_be_asked_of_an_older_revision() {
    let (_home, api) = api().await;
    api.revisions.keep(&api.rules.current()).await.unwrap();
    let old = api.rules.current().revision().clone();
    let made = json!({ "effect": "allow", "packages": ["npm:left-pad"] });
    check(&api, "POST", "/api/v1/rules", Some(&made), (201, "")).await;
    api.revisions.keep(&api.rules.current()).await.unwrap();
    let path = "/api/v1/decisions?package=npm:left-pad@1.3.0";
    let now = check(&api, "GET", path, None, (200, "")).await;
    assert_eq!(now["decision"]["effect"], "allow", "{now}");
    let then = check(&api, "GET", &format!("{path}&at={old}"), None, (200, "")).await;
    assert_eq!(then["decision"]["effect"], "deny", "{then}");
    assert_eq!(then["revision"], old.as_str());
    assert_eq!(then["at"]["until"], "2026-06-01T00:00:00Z", "{then}");
    let unknown = format!("{path}&at=0000000000000000");
    let answer = check(&api, "GET", &unknown, None, (404, "no-such-revision")).await;
    assert!(answer["detail"].as_str().unwrap().contains(old.as_str()), "{answer}");
}
