//! People, teams and roles: their pages, and changes only of what was seen.

use super::form::ask;
use super::*;

async fn make(api: &Api, path: &str, body: &Value) {
    let (status, _, answer) = ask(api, "POST", path, &[], Some(body)).await;
    assert_eq!(status, 201, "{path}: {answer}");
}

#[actix_web::test]
async fn pages_of_teams_roles_and_people_follow_each_other() {
    let (_home, api) = api().await;
    for name in ["c", "a", "b"] {
        make(&api, "/api/v1/teams", &json!({ "name": format!("web/{name}") })).await;
        make(&api, "/api/v1/users", &json!({ "name": name })).await;
        make(&api, "/api/v1/roles", &json!({ "name": name, "rights": ["read"] })).await;
    }
    for (list, first) in [("teams", None), ("users", None), ("roles", Some("reader"))] {
        let (_, _, all) = ask(&api, "GET", &format!("/api/v1/{list}"), &[], None).await;
        assert_eq!(all["next"], Value::Null);
        let all = all[list].as_array().unwrap();
        assert!(all.len() >= 3, "{list}");
        if let Some(first) = first {
            assert_eq!(all[0]["name"], first, "the built-in ones are first");
        }
        let (mut seen, mut path) = (Vec::new(), format!("/api/v1/{list}?limit=1"));
        loop {
            let (status, headers, page) = ask(&api, "GET", &path, &[], None).await;
            assert_eq!((status, page[list].as_array().unwrap().len()), (200, 1), "{page}");
            seen.push(page[list][0].clone());
            let Some(link) = headers.get("link") else { break };
            path = link.to_str().unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
        }
        assert_eq!(&seen, all, "{list}");
    }
    let (_, _, rest) = ask(&api, "GET", "/api/v1/roles?after=b", &[], None).await;
    assert_eq!(rest["roles"].as_array().unwrap().len(), 1, "{rest}");
    let (_, _, rest) = ask(&api, "GET", "/api/v1/roles?after=aa", &[], None).await;
    assert_eq!(rest["roles"].as_array().unwrap().len(), 2, "one that is not there: {rest}");
}

#[actix_web::test]
async fn people_teams_and_roles_are_changed_only_as_they_were_seen() {
    let (_home, api) = api().await;
    make(&api, "/api/v1/teams", &json!({ "name": "web/shop" })).await;
    make(&api, "/api/v1/users", &json!({ "name": "ann" })).await;
    make(&api, "/api/v1/roles", &json!({ "name": "baker", "rights": ["read"] })).await;
    let roles = json!({ "roles": ["baker"] });
    let approver = json!({ "roles": ["approver"] });
    let baker = json!({ "rights": ["read", "approve"] });
    let teams = json!({ "teams": ["web/shop"] });
    let rows = [
        ("PUT", "/api/v1/roles/baker", Some(&baker), 200),
        ("PUT", "/api/v1/teams/web/shop/roles", Some(&roles), 200),
        ("PUT", "/api/v1/units/web/roles", Some(&approver), 200),
        ("PATCH", "/api/v1/users/ann", Some(&teams), 200),
        ("DELETE", "/api/v1/users/ann", None, 204),
        ("DELETE", "/api/v1/teams/web/shop", None, 204),
        ("DELETE", "/api/v1/roles/baker", None, 204),
    ];
    for (method, path, body, done) in rows {
        let (status, headers, before) = ask(&api, "GET", path, &[], None).await;
        assert_eq!(status, 200, "{path}: {before}");
        let tag = headers.get("etag").unwrap().to_str().unwrap().to_owned();
        let other = [("if-match", "\"0123\"")];
        let (status, _, problem) = ask(&api, method, path, &other, body).await;
        assert_eq!((status, &problem["code"]), (412, &json!("changed-since")), "{method} {path}");
        assert_eq!(ask(&api, "GET", path, &[], None).await.2, before, "{path}: nothing was done");
        let seen = [("if-match", tag.as_str())];
        let (status, _, answer) = ask(&api, method, path, &seen, body).await;
        assert_eq!(status, done, "{method} {path}: {answer}");
        let (status, ..) = ask(&api, method, path, &seen, body).await;
        assert_eq!(status, 412, "{method} {path}: it is another one now");
    }
    for path in ["/api/v1/teams/web/none", "/api/v1/teams/web/none/roles", "/api/v1/units/x/roles"]
    {
        let (status, _, problem) = ask(&api, "GET", path, &[], None).await;
        assert_eq!((status, &problem["code"]), (404, &json!("no-such-team")), "{path}");
    }
}
