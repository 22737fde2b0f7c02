//! Rights with limits, by the API.

use super::*;

#[actix_web::test]
async fn a_limited_right_changes_what_it_names_alone() {
    let (_home, api) = api().await;
    let acme = token(&api, "acme", None, &["administer=npm:@acme/*", "read=npm:@acme/*"]).await;
    let rule = |packages: Value| json!({ "effect": "allow", "packages": packages }).to_string();
    check(
        &api,
        "POST",
        "/api/v1/rules",
        Some(&json!({ "effect": "deny", "packages": ["npm:x"] })),
        (201, ""),
    )
    .await;
    let forget = |package: &str| json!({ "package": package }).to_string();
    let rows = [
        ("POST", "/api/v1/rules", Some(rule(json!(["npm:@acme/ui", "npm:@acme/x-*"]))), 201),
        ("POST", "/api/v1/rules", Some(rule(json!(["npm:@acme/ui@1.0.0"]))), 201),
        ("POST", "/api/v1/rules", Some(rule(json!(["npm:@acme-evil/ui"]))), 403),
        ("POST", "/api/v1/rules", Some(rule(json!(["npm:@acme/ui", "npm:x"]))), 403),
        ("POST", "/api/v1/rules", Some(rule(json!(["npm:@*"]))), 403),
        ("POST", "/api/v1/rules", Some(rule(json!(["*"]))), 403),
        ("POST", "/api/v1/rules", Some(rule(json!([]))), 403),
        ("DELETE", "/api/v1/rules/deny-x", None, 403),
        ("DELETE", "/api/v1/rules/from-file", None, 403),
        ("DELETE", "/api/v1/rules/nothing", None, 403),
        ("POST", "/api/v1/forget", Some(forget("npm:x")), 403),
        ("POST", "/api/v1/forget", Some(forget("npm:@acme/ui")), 409),
        ("GET", "/api/v1/decisions?package=npm:@acme/ui@1.0.0", None, 200),
        ("GET", "/api/v1/decisions?package=npm:x@1.0.0", None, 403),
        ("GET", "/api/v1/rules", None, 403),
        ("GET", "/api/v1/requests", None, 403),
        ("GET", "/api/v1/roles", None, 403),
        ("GET", "/api/v1/tokens", None, 200),
        ("POST", "/api/v1/tokens", Some(json!({ "name": "a" }).to_string()), 403),
        ("POST", "/api/v1/roles", Some(json!({ "name": "a", "rights": [] }).to_string()), 403),
        ("PUT", "/api/v1/roles/a", Some(json!({ "rights": [] }).to_string()), 403),
        ("DELETE", "/api/v1/roles/a", None, 403),
        ("POST", "/api/v1/teams", Some(json!({ "name": "web/shop" }).to_string()), 403),
        ("POST", "/api/v1/advisories/import", None, 403),
        ("POST", "/api/v1/requests/approve", Some(json!({ "requests": [1] }).to_string()), 403),
    ];
    for (method, path, body, expected) in rows {
        let (status, _, answer) = send(&api, method, path, Some(&acme), body.as_deref()).await;
        assert_eq!(status.as_u16(), expected, "{method} {path} {body:?}: {answer}");
    }
    let (_, _, made) = send(&api, "GET", "/api/v1/rules", Some(GOOD), None).await;
    let name = made["rules"][0]["name"].as_str().unwrap();
    let path = format!("/api/v1/rules/{name}");
    let (status, _, answer) = send(&api, "DELETE", &path, Some(&acme), None).await;
    assert_eq!(status.as_u16(), 204, "{name}: {answer}");
}

#[actix_web::test]
async fn an_approver_of_some_packages_answers_what_is_asked_about_these() {
    let (_home, api) = api().await;
    for package in ["npm:@acme/ui", "npm:x"] {
        let asked = json!({ "package": package, "reason": "we need it" });
        check(&api, "POST", "/api/v1/requests", Some(&asked), (201, "")).await;
    }
    let versions = json!(["npm:@acme/tools@1.0.0", "npm:x@1.0.0"]);
    let both = json!({ "lockfile": { "name": "package-lock.json", "versions": versions } });
    check(&api, "POST", "/api/v1/requests", Some(&both), (201, "")).await;
    let acme = token(&api, "acme", None, &["approve=npm:@acme/*"]).await;
    // Of many versions, what is first says nothing of the others.
    let rows = [
        ("approve", 2, 403),
        ("reject", 2, 403),
        ("approve", 3, 403),
        ("reject", 3, 403),
        ("approve", 1, 0),
    ];
    for (path, number, expected) in rows {
        let body = json!({ "requests": [number], "reason": "because" }).to_string();
        let path = format!("/api/v1/requests/{path}");
        let (status, _, answer) = send(&api, "POST", &path, Some(&acme), Some(&body)).await;
        assert_eq!(status.as_u16(), 200, "{answer}");
        let problem = &answer["outcomes"][0]["problem"];
        let told = problem["status"].as_u64().unwrap_or_default();
        assert_eq!(told, expected, "{path} {number}: {answer}");
    }
}
