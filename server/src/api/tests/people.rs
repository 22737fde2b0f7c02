//! People by the API: made, logged in, ended; and what a login that fails gives away.

use super::*;

const PASSWORD: &str = "correct horse battery";

async fn ann(api: &Api) {
    let asked = json!({ "name": "ann", "roles": ["publisher"], "password": PASSWORD });
    check(api, "POST", "/api/v1/users", Some(&asked), (201, "")).await;
}

async fn log_in(api: &Api, name: &str, password: &str) -> (u16, Value) {
    let body = json!({ "name": name, "password": password }).to_string();
    let (status, headers, answer) = send(api, "POST", "/api/v1/login", None, Some(&body)).await;
    assert_eq!(headers.get("cache-control").unwrap(), "no-store");
    (status.as_u16(), answer)
}

#[actix_web::test]
async fn somebody_logs_in_is_known_and_logs_out() {
    let (_home, api) = api().await;
    ann(&api).await;
    let (status, made) = log_in(&api, "ann", PASSWORD).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["expires"], "2026-06-01T12:00:00Z");
    let token = format!("Bearer {}", made["secret"].as_str().unwrap());
    let (_, _, me) = send(&api, "GET", "/api/v1/me", Some(&token), None).await;
    assert_eq!((&me["name"], &me["within"]), (&json!("ann"), &json!(["read", "publish"])));
    let listed = check(&api, "GET", "/api/v1/tokens", None, (200, "")).await;
    assert_eq!(listed["tokens"], json!([]), "logins are told where they are asked for");
    let listed = check(&api, "GET", "/api/v1/tokens?logins=true", None, (200, "")).await;
    assert_eq!(listed["tokens"][0]["origin"], "login");
    for (method, path, body) in [
        ("POST", "/api/v1/tokens", json!({ "name": "boss", "rights": ["administer"] })),
        ("POST", "/api/v1/users", json!({ "name": "bob" })),
        ("PATCH", "/api/v1/users/ann", json!({ "roles": ["administrator"] })),
        ("PUT", "/api/v1/users/bob/password", json!({ "password": "another good one" })),
        ("PUT", "/api/v1/teams/web/shop/roles", json!({ "roles": ["administrator"] })),
        ("PUT", "/api/v1/units/web/roles", json!({ "roles": ["administrator"] })),
        ("DELETE", "/api/v1/users/ann", json!({})),
    ] {
        let body = body.to_string();
        let (status, _, answer) = send(&api, method, path, Some(&token), Some(&body)).await;
        assert_eq!(status.as_u16(), 403, "{method} {path}: {answer}");
    }
    let (status, ..) = send(&api, "DELETE", "/api/v1/login", Some(&token), None).await;
    assert_eq!(status.as_u16(), 204);
    let (status, _, gone) = send(&api, "GET", "/api/v1/me", Some(&token), None).await;
    assert_eq!((status.as_u16(), &gone["code"]), (401, &json!("token-not-valid")));
    check(&api, "DELETE", "/api/v1/login", None, (409, "no-login")).await;
}

#[actix_web::test]
async fn whatever_is_wrong_with_a_login_is_told_alike_and_takes_as_long() {
    let (_home, api) = api().await;
    ann(&api).await;
    let bob = json!({ "name": "bob", "password": PASSWORD });
    check(&api, "POST", "/api/v1/users", Some(&bob), (201, "")).await;
    check(&api, "POST", "/api/v1/users", Some(&json!({ "name": "sso" })), (201, "")).await;
    let off = json!({ "disabled": true });
    check(&api, "PATCH", "/api/v1/users/bob", Some(&off), (200, "")).await;
    let near = format!("garth_person_{}", "A".repeat(49));
    let rows = [
        ("another password", "ann", "wrong horse battery"),
        ("nobody", "zoe", PASSWORD),
        ("somebody who is disabled", "bob", PASSWORD),
        ("somebody without a password", "sso", PASSWORD),
        ("what looks like a token", "ann", near.as_str()),
        ("nothing", "ann", ""),
        ("no name", "", PASSWORD),
    ];
    let mut bodies = Vec::new();
    let mut times = rows.map(|(what, ..)| (what, f64::MAX));
    // The fastest of some, taken in turn: whatever else this machine does meets each row alike.
    for _ in 0..15 {
        for ((what, name, password), (_, best)) in rows.into_iter().zip(&mut times) {
            let begun = tokio::time::Instant::now();
            let (status, answer) = log_in(&api, name, password).await;
            *best = best.min(begun.elapsed().as_secs_f64());
            assert_eq!((status, &answer["code"]), (401, &json!("wrong-login")), "{what}");
            bodies.push(answer);
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let first = times[0].1;
    for (what, time) in &times {
        assert!((0.4..2.5).contains(&(time / first)), "{what}: {times:?}");
    }
    let body = json!({ "name": "ann", "password": "x".repeat(5000) }).to_string();
    let (status, ..) = send(&api, "POST", "/api/v1/login", None, Some(&body)).await;
    assert_eq!(status.as_u16(), 413);
}

#[actix_web::test]
async fn a_password_is_set_by_whoever_has_it_or_may_do_as_much() {
    let (_home, api) = api().await;
    ann(&api).await;
    let (_, made) = log_in(&api, "ann", PASSWORD).await;
    let token = format!("Bearer {}", made["secret"].as_str().unwrap());
    let path = "/api/v1/users/ann/password";
    let (newer, weak) = ("another good password", "short");
    for (current, password, expected) in [
        (None, newer, 403),
        (Some("wrong horse battery"), newer, 403),
        (Some(PASSWORD), weak, 400),
        (Some(PASSWORD), newer, 204),
        (Some(newer), newer, 401),
    ] {
        let body = json!({ "password": password, "current": current }).to_string();
        let (status, _, answer) = send(&api, "PUT", path, Some(&token), Some(&body)).await;
        assert_eq!(status.as_u16(), expected, "{current:?}: {answer}");
    }
    assert_eq!(log_in(&api, "ann", PASSWORD).await.0, 401);
    let body = json!({ "password": PASSWORD });
    check(&api, "PUT", path, Some(&body), (204, "")).await;
    assert_eq!(log_in(&api, "ann", newer).await.0, 401);
    // Neither in an answer nor in what is listed.
    let told = check(&api, "GET", "/api/v1/users", None, (200, "")).await.to_string();
    assert!(!told.contains("argon2") && !told.contains(PASSWORD), "{told}");
    for (body, code) in [
        (json!({ "name": "x", "password": "short" }), "weak-password"),
        (json!({ "name": "x", "roles": ["boss"] }), "no-such-role"),
        (json!({ "name": "x", "teams": ["web/shop"] }), "no-such-team"),
        (json!({ "name": "ann" }), "taken"),
    ] {
        let status = match code {
            "weak-password" => 400,
            "taken" => 409,
            _ => 404,
        };
        check(&api, "POST", "/api/v1/users", Some(&body), (status, code)).await;
    }
    check(&api, "GET", "/api/v1/users/zoe", None, (404, "no-such-user")).await;
}
