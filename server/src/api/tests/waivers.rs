//! Waivers: rules that lift another one, the first end first.

use super::*;

#[actix_web::test]
async fn waivers_are_listed_by_their_ends_and_are_rules() {
    let (_home, api) = api().await;
    let waiver = |name: &str, package: &str, expires: &str, owner: &str| {
        json!({
            "name": name, "packages": [package], "waives": "from-file", "reason": "INC-8",
            "expires": expires, "owner": owner,
        })
    };
    for (name, package, expires, owner) in [
        ("late", "npm:evil", "2027-01-01", "ann"),
        ("b-soon", "npm:evil", "2026-06-03", "bob"),
        ("a-soon", "npm:evil", "2026-06-03", "bob"),
        ("other", "npm:other", "2026-07-01", "bob"),
    ] {
        let body = waiver(name, package, expires, owner);
        check(&api, "POST", "/api/v1/rules", Some(&body), (201, "")).await;
    }
    let rule = json!({ "name": "no-waiver", "effect": "allow", "packages": ["npm:evil"] });
    check(&api, "POST", "/api/v1/rules", Some(&rule), (201, "")).await;
    let names = async |query: &str| {
        let path = format!("/api/v1/waivers{query}");
        let page = check(&api, "GET", &path, None, (200, "")).await;
        let waivers = page["waivers"].as_array().unwrap().iter();
        let names: Vec<String> =
            waivers.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        (names, page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(names("").await.0, ["a-soon", "b-soon", "other", "late"]);
    assert_eq!(names("?package=npm:evil").await.0, ["a-soon", "b-soon", "late"]);
    assert_eq!(names("?owner=ann").await.0, ["late"]);
    assert_eq!(names("?expiring=7d").await.0, ["a-soon", "b-soon"]);
    assert_eq!(names("?rule=from-file&limit=0").await.0, ["a-soon"]);
    assert_eq!(names("?rule=none").await.0, Vec::<String>::new());
    let (mut seen, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let (page, next) = names(&query).await;
        seen.extend(page);
        let Some(next) = next else { break };
        query = format!("?limit=1&after={}", next.replace('/', "%2F"));
    }
    assert_eq!(seen, ["a-soon", "b-soon", "other", "late"]);
    check(&api, "GET", "/api/v1/waivers?after=x", None, (400, "invalid-query")).await;
    check(&api, "GET", "/api/v1/waivers?expiring=x", None, (400, "invalid-duration")).await;
    check(&api, "DELETE", "/api/v1/rules/other", None, (204, "")).await;
    assert_eq!(names("").await.0, ["a-soon", "b-soon", "late"]);
}
