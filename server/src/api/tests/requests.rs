//! Requests: made, answered, and by whom.

use super::*;

#[actix_web::test]
async fn a_request_is_made_shown_approved_and_rejected() {
    let (_home, api) = api().await;
    let ask = |package: &str| json!({ "package": package, "reason": "the reports" }).to_string();
    let anonymous = |package: &str, name: &str| {
        json!({ "package": package, "as": name, "team": "web/shop" }).to_string()
    };
    let send_anonymous = async |body: String| {
        let (status, _, answer) = send(&api, "POST", "/api/v1/requests", None, Some(&body)).await;
        (status.as_u16(), answer)
    };
    let (status, made) = send_anonymous(anonymous("npm:left-pad@1.3.0", "ann")).await;
    assert_eq!(status, 201, "{made}");
    let asker = &made["request"]["askers"][0];
    assert_eq!((&asker["name"], &asker["verified"]), (&json!("ann"), &json!(false)));
    assert_eq!(asker["team"], "web/shop");
    assert_eq!(
        (&made["request"]["number"], &made["request"]["state"]),
        (&json!(1), &json!("open"))
    );
    let (status, joined) = send_anonymous(anonymous("npm:left-pad@1.3.0", "bob")).await;
    assert_eq!((status, &joined["request"]["number"]), (200, &json!(1)));
    assert_eq!(joined["request"]["askers"], json!([]), "nobody is told who else asks: {joined}");
    assert_eq!(send_anonymous(anonymous("npm:evil", "ann")).await.0, 201);
    let (_, _, named) =
        send(&api, "POST", "/api/v1/requests", Some(GOOD), Some(&anonymous("npm:x", "ann"))).await;
    assert_eq!(named["code"], "name-with-token");
    let (status, _, _) =
        send(&api, "POST", "/api/v1/requests", Some("Bearer garth_wrong"), Some(&ask("npm:x")))
            .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "a wrong token is not nobody");

    let shown = check(&api, "GET", "/api/v1/requests/1", None, (200, "")).await;
    assert_eq!(shown["decision"]["decision"]["code"], "no-rule-allows");
    assert_eq!(shown["standing"], json!([]));
    let list = check(&api, "GET", "/api/v1/requests?package=npm:evil", None, (200, "")).await;
    assert_eq!(list["requests"].as_array().unwrap().len(), 1);
    let of_team = check(&api, "GET", "/api/v1/requests?team=web/blog", None, (200, "")).await;
    assert_eq!(of_team["requests"], json!([]));

    let approve = json!({ "requests": [1, 2, 99, 1], "expires": "2027-01-01" });
    let done = check(&api, "POST", "/api/v1/requests/approve", Some(&approve), (200, "")).await;
    let codes: Vec<&str> = done["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["problem"]["code"].as_str().unwrap_or("done"))
        .collect();
    assert_eq!(codes, ["done", "done", "no-such-request"], "{done}");
    let rule = check(&api, "GET", "/api/v1/rules/request-1", None, (200, "")).await;
    assert_eq!((&rule["versions"], &rule["owner"]), (&json!("1.3.0"), &json!("admin")));

    // The admin asks, and so does not approve.
    let body: Value = serde_json::from_str(&ask("npm:left-pad@2.0.0")).unwrap();
    check(&api, "POST", "/api/v1/requests", Some(&body), (201, "")).await;
    let own = json!({ "requests": [3] });
    let done = check(&api, "POST", "/api/v1/requests/approve", Some(&own), (200, "")).await;
    assert_eq!(done["outcomes"][0]["problem"]["code"], "own-approval");
    let text = json!({ "text": "which one?" });
    check(&api, "POST", "/api/v1/requests/3/comments", Some(&text), (200, "")).await;
    let no = json!({ "requests": [3], "reason": "too new" });
    let done = check(&api, "POST", "/api/v1/requests/reject", Some(&no), (200, "")).await;
    assert_eq!(done["outcomes"][0]["request"]["state"], "rejected");
    let shown = check(&api, "GET", "/api/v1/requests/3", None, (200, "")).await;
    assert_eq!(shown["said"][0]["text"], "which one?");
    let list = check(&api, "GET", "/api/v1/requests?state=rejected", None, (200, "")).await;
    assert_eq!(list["requests"][0]["closed"]["reason"], "too new");
    check(&api, "GET", "/api/v1/requests/99", None, (404, "no-such-request")).await;
    check(&api, "GET", "/api/v1/requests/x", None, (404, "no-such-request")).await;
    check(
        &api,
        "POST",
        "/api/v1/requests/approve",
        Some(&json!({ "requests": [] })),
        (400, "no-requests"),
    )
    .await;
}

#[actix_web::test]
async fn to_ask_is_for_all_who_may_read_and_to_answer_takes_its_right() {
    let (_home, mut api) = api().await;
    check(&api, "POST", "/api/v1/teams", Some(&json!({ "name": "web/shop" })), (201, "")).await;
    let reader = token(&api, "reader", Some("web/shop"), &[]).await;
    let approver = token(&api, "approver", None, &["approve"]).await;
    let admin = token(&api, "second", None, &["administer"]).await;
    let ask = json!({ "package": "npm:x", "team": "web/blog" }).to_string();
    let answer = json!({ "requests": [99] }).to_string();
    let no = json!({ "requests": [99], "reason": "no" }).to_string();
    let text = json!({ "text": "which one?" }).to_string();
    for (path, body, expected) in [
        ("/api/v1/requests", &ask, [201, 200, 200]),
        ("/api/v1/requests/1/comments", &text, [200, 200, 200]),
        ("/api/v1/requests/approve", &answer, [403, 200, 403]),
        ("/api/v1/requests/reject", &no, [403, 200, 403]),
    ] {
        for (by, expected) in [&reader, &approver, &admin].into_iter().zip(expected) {
            let (status, _, answer) = send(&api, "POST", path, Some(by), Some(body)).await;
            assert_eq!(status.as_u16(), expected, "{path} by {by}: {answer}");
        }
    }
    let shown = check(&api, "GET", "/api/v1/requests/1", None, (200, "")).await;
    let asker = &shown["request"]["askers"][0];
    assert_eq!(asker["team"], "web/shop", "the token's, whatever is claimed: {shown}");
    assert_eq!((&asker["name"], &asker["team_verified"]), (&json!("reader"), &json!(true)));
    assert_eq!(shown["request"]["askers"][1]["team_verified"], false);
    let (status, ..) = send(&api, "POST", "/api/v1/requests", None, Some(&ask)).await;
    assert_eq!(status, StatusCode::OK);
    api.anonymous = crate::config::Anonymous::Nothing;
    let (status, ..) = send(&api, "POST", "/api/v1/requests", None, Some(&ask)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}
