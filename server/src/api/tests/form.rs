//! The form that all endpoints share.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{App, test, web};
use serde_json::{Value, json};

use super::super::{BASES, routes};
use super::{GOOD, api, send};

#[actix_web::test]
async fn the_document_and_its_page_are_there_for_everybody_and_need_nothing_from_elsewhere() {
    let (_home, api) = api().await;
    for base in BASES {
        let (status, headers, document) =
            send(&api, "GET", &format!("{base}/openapi.json"), None, None).await;
        assert_eq!((status, &document["openapi"]), (StatusCode::OK, &json!("3.1.0")));
        assert_eq!(document["servers"][0]["url"], base);
        assert_eq!(document["paths"]["/rules"]["post"]["x-garth-right"], "administer");
        assert!(headers.contains_key("etag"));
        let app = App::new().app_data(web::Data::new(api.clone())).configure(routes);
        let app = test::init_service(app).await;
        let docs = test::TestRequest::with_uri(&format!("{base}/docs")).to_request();
        let response = test::call_service(&app, docs).await;
        let policy = response.headers().get("content-security-policy").unwrap().to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = String::from_utf8(test::read_body(response).await.to_vec()).unwrap();
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(page.contains(&format!("</span>{path}</code>")), "{path} is not on the page");
        }
        for foreign in ["<script", "<img", "<link", "src=", "url(", "=\"http", "=\"//"] {
            assert!(!page.contains(foreign), "the page has {foreign}");
        }
        assert!(page.contains("id=\"schema-RuleDraft\""));
    }
    let (status, _, problem) = send(&api, "POST", "/api/docs", None, None).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("wrong-method"))
    );
}

#[actix_web::test]
async fn a_method_that_is_not_there_is_told_which_are() {
    let (_home, api) = api().await;
    for (path, allowed) in [
        ("/api/v1/rules", "GET, HEAD, POST"),
        ("/api/v1/rules/x", "GET, HEAD, DELETE"),
        ("/api/v1/requests/approve", "POST"),
    ] {
        let (status, headers, _) = send(&api, "PATCH", path, Some(GOOD), None).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers.get("allow").unwrap(), allowed, "{path}");
    }
}

/// An answer to the admin: its status, its headers and what it says.
pub(super) async fn ask(
    api: &super::Api,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> (u16, HeaderMap, Value) {
    let app = App::new().app_data(web::Data::new(api.clone())).configure(routes);
    let app = test::init_service(app).await;
    let mut request = test::TestRequest::with_uri(path).method(method.parse().unwrap());
    request = request.insert_header(("authorization", GOOD));
    for header in headers {
        request = request.insert_header(*header);
    }
    if let Some(body) = body {
        request = request.set_json(body);
    }
    let response = test::call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = test::read_body(response).await;
    (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[actix_web::test]
async fn the_newest_version_says_which_it_is_and_one_that_is_not_there_is_406() {
    const V1: &str = "application/vnd.garth.v1+json";
    let (_home, api) = api().await;
    let rows = [
        ("/api/rules", None, 200, V1),
        ("/api/rules", Some(V1), 200, V1),
        ("/api/rules", Some("application/json"), 200, "application/json"),
        ("/api/v1/rules", None, 200, "application/json"),
        ("/api/v1/rules", Some(V1), 200, V1),
        ("/api/v1/rules", Some("application/vnd.garth.v2+json"), 406, "application/problem+json"),
        ("/api/rules", Some("application/vnd.garth.v2+json"), 406, "application/problem+json"),
        ("/api/rules/none", Some(V1), 404, "application/problem+json"),
        ("/api/log/checkpoint", Some("text/plain"), 200, "text/plain; charset=utf-8"),
    ];
    for (path, accept, status, kind) in rows {
        let accept: Vec<(&str, &str)> = accept.map(|kind| ("accept", kind)).into_iter().collect();
        let (found, headers, body) = ask(&api, "GET", path, &accept, None).await;
        assert_eq!((found, headers.get("content-type").unwrap().to_str().unwrap()), (status, kind));
        if status == 406 {
            assert_eq!(body["code"], "not-acceptable");
            assert!(body["detail"].as_str().unwrap().contains(V1), "{body}");
        } else {
            assert_eq!(headers.get("vary").unwrap(), "accept");
        }
    }
    let rule = json!({ "effect": "deny", "packages": ["npm:x"] });
    let unknown = [("accept", "application/vnd.garth.v2+json")];
    assert_eq!(ask(&api, "POST", "/api/rules", &unknown, Some(&rule)).await.0, 406);
    assert_eq!(ask(&api, "GET", "/api/rules/deny-x", &[], None).await.0, 404, "nothing was done");
    let (status, headers, _) = ask(&api, "POST", "/api/rules", &[], Some(&rule)).await;
    assert_eq!((status, headers.get("content-type").unwrap().to_str().unwrap()), (201, V1));
}

#[actix_web::test]
async fn what_a_client_has_is_not_sent_again_and_what_it_did_not_see_is_not_changed() {
    let (_home, api) = api().await;
    let rule = json!({ "effect": "deny", "packages": ["npm:x"] });
    ask(&api, "POST", "/api/v1/rules", &[], Some(&rule)).await;
    let (_, headers, _) = ask(&api, "GET", "/api/v1/rules/deny-x", &[], None).await;
    let tag = headers.get("etag").unwrap().to_str().unwrap().to_owned();
    let held = [("if-none-match", tag.as_str())];
    let (status, headers, body) = ask(&api, "GET", "/api/v1/rules/deny-x", &held, None).await;
    assert_eq!((status, body), (304, Value::Null));
    assert_eq!(headers.get("etag").unwrap().to_str().unwrap(), tag);
    assert_eq!(ask(&api, "GET", "/api/v1/rules", &held, None).await.0, 200, "another answer");
    let other = [("if-match", "\"0123\"")];
    for (method, path) in [("DELETE", "/api/v1/rules/deny-x"), ("POST", "/api/v1/teams")] {
        let (status, _, body) = ask(&api, method, path, &other, Some(&rule)).await;
        assert_eq!((status, &body["code"]), (412, &json!("changed-since")), "{path}");
    }
    let seen = [("if-match", tag.as_str())];
    assert_eq!(ask(&api, "DELETE", "/api/v1/rules/deny-x", &seen, None).await.0, 204);
    assert_eq!(ask(&api, "DELETE", "/api/v1/rules/deny-x", &seen, None).await.0, 412, "it is gone");
}

#[actix_web::test]
async fn pages_follow_each_other_and_a_search_is_taken_as_it_stands() {
    let (_home, api) = api().await;
    for name in ["a", "b%", "c"] {
        let rule = json!({ "effect": "deny", "packages": [format!("npm:{}", &name[..1])], "reason": format!("R-{name}") });
        assert_eq!(ask(&api, "POST", "/api/v1/rules", &[], Some(&rule)).await.0, 201);
    }
    let mut path = "/api/v1/rules?limit=1&effect=deny".to_owned();
    let mut names = Vec::new();
    loop {
        let (_, headers, page) = ask(&api, "GET", &path, &[], None).await;
        names.extend(page["rules"].as_array().unwrap().iter().map(|rule| rule["name"].clone()));
        let Some(link) = headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert_eq!(names, ["deny-a", "deny-b", "deny-c", "from-file"]);
    for (query, count) in [
        ("search=%25", 1),
        ("search=b%25", 1),
        ("search=r-", 3),
        ("search=.*", 0),
        ("effect=allow", 0),
        ("limit=1000000000000", 4),
        ("limit=-5", 1),
    ] {
        let (status, _, page) =
            ask(&api, "GET", &format!("/api/v1/rules?{query}"), &[], None).await;
        assert_eq!((status, page["rules"].as_array().unwrap().len()), (200, count), "{query}");
    }
    for path in ["tokens", "log", "requests", "observed"] {
        for limit in ["1000000000000", "-1"] {
            let path = format!("/api/v1/{path}?limit={limit}");
            assert_eq!(ask(&api, "GET", &path, &[], None).await.0, 200, "{path}");
        }
    }
}

#[actix_web::test]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let (_home, api) = api().await;
    let rule = json!({ "name": "new", "effect": "allow", "packages": ["npm:x"] });
    let revision = api.rules.current().revision().clone();
    let (status, _, dry) = ask(&api, "POST", "/api/v1/rules?dry_run=true", &[], Some(&rule)).await;
    assert_eq!((status, &dry["made"][0]["name"]), (200, &json!("new")), "{dry}");
    assert_ne!(dry["report"]["revision"], revision.as_str(), "what would be in force is another");
    assert_eq!(*api.rules.current().revision(), revision);
    let broken = json!({ "name": "new", "effect": "perhaps", "packages": ["npm:x"] });
    let (status, _, problem) =
        ask(&api, "POST", "/api/v1/rules?dry_run=true", &[], Some(&broken)).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid-rule")));
    assert_eq!(ask(&api, "POST", "/api/v1/rules", &[], Some(&rule)).await.0, 201);
    let path = "/api/v1/rules/new?dry_run=true";
    let (status, _, dry) = ask(&api, "DELETE", path, &[], None).await;
    assert_eq!((status, &dry["removed"][0]["name"]), (200, &json!("new")), "{dry}");
    assert_eq!(ask(&api, "GET", "/api/v1/rules/new", &[], None).await.0, 200);
    let of_file = ask(&api, "DELETE", "/api/v1/rules/from-file?dry_run=true", &[], None).await;
    assert_eq!(of_file.2["code"], "made-by-file");

    let wish = json!({ "package": "npm:left-pad", "reason": "padding" });
    let asked = send(&api, "POST", "/api/v1/requests", None, Some(&wish.to_string())).await;
    assert_eq!(asked.0, StatusCode::CREATED);
    let answer = json!({ "requests": [1, 9] });
    let path = "/api/v1/requests/approve?dry_run=true";
    let (_, _, told) = ask(&api, "POST", path, &[], Some(&answer)).await;
    let would = &told["outcomes"][0]["would"];
    assert_eq!(would["made"][0]["name"], "request-1", "{told}");
    assert_eq!(told["outcomes"][1]["problem"]["code"], "no-such-request");
    let answer = json!({ "requests": [1], "reason": "no" });
    let path = "/api/v1/requests/reject?dry_run=true";
    let (_, _, told) = ask(&api, "POST", path, &[], Some(&answer)).await;
    assert_eq!(told["outcomes"][0]["problem"], Value::Null, "{told}");
    let (_, _, open) = ask(&api, "GET", "/api/v1/requests", &[], None).await;
    assert_eq!(open["requests"].as_array().unwrap().len(), 1, "it is open still");
    let many: Vec<u64> = (1..=11).collect();
    let path = "/api/v1/requests/approve?dry_run=true";
    let (status, _, problem) =
        ask(&api, "POST", path, &[], Some(&json!({ "requests": many }))).await;
    assert_eq!((status, &problem["code"]), (400, &json!("too-many")));
}
