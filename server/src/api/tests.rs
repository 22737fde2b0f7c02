#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{App, test};
use policies::package::Ecosystem;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::access::admin_token::AdminToken;
use crate::advisories;
use crate::metadata::Metadata;
use crate::metadata::sled::{Sled, SledOptions};
use crate::rules::RulesConfig;

const TOKEN: &str = "garth_test";
const GOOD: &str = "Bearer garth_test";

async fn api() -> (TempDir, Api) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("policies");
    tokio::fs::create_dir(&dir).await.unwrap();
    let text = "[[rule]]\nname = 'from-file'\neffect = 'deny'\npackages = ['npm:evil']\nreason = 'INC-7'\n";
    tokio::fs::write(dir.join("a.toml"), text).await.unwrap();
    let metadata = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let clock = Clock::from_fn(|| "2026-06-01T00:00:00Z".parse().unwrap());
    let metadata: Arc<dyn Metadata> = Arc::new(metadata);
    let rules = RulesConfig { dir: Some(dir) };
    let rules = Rules::open(rules, Arc::clone(&metadata), clock.clone()).await.unwrap();
    let advisories =
        advisories::tests::opened(home.path(), Arc::clone(&metadata), rules.clone()).await;
    let memory = Memory { metadata, registries: Arc::new([("npm".into(), Ecosystem::Npm)]) };
    let access = Access::new(AdminToken::of(TOKEN));
    let (registries, mode) = (Arc::new([]), Mode::Enforce);
    (home, Api { rules, advisories, access, memory, registries, clock, mode })
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
        Some("garth_test"),
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
        ("GET", "/api/v1/rules?limit=-1", (400, "invalid-query")),
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
