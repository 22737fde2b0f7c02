#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn config() -> ProviderConfig {
    let texts = |text: &str| vec![text.to_owned()];
    ProviderConfig {
        name: "acme".to_owned(),
        issuer: "https://login.example.com".to_owned(),
        url: "https://login.example.com/".parse().unwrap(),
        client_id: "garth".to_owned(),
        client_secret: None,
        scopes: texts("openid"),
        person: None,
        claims: BTreeMap::from([("groups".to_owned(), texts("garth-*"))]),
        create: false,
        roles: texts("reader"),
        groups: "groups".to_owned(),
        group_teams: BTreeMap::new(),
        group_roles: BTreeMap::new(),
        allow_hosts: Vec::new(),
        certificate_authority: None,
    }
}

fn claims(more: &Value) -> Claims {
    let mut claims = json!({
        "iss": "https://login.example.com", "aud": "garth", "sub": "17", "nonce": "n",
        "iat": now().as_second(), "exp": now().as_second() + 60,
        "preferred_username": "ann", "groups": ["garth-users", "shop"],
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object().unwrap().clone()
}

#[test]
fn a_token_answers_one_login_for_us_and_of_now() {
    let asked = Asked { client_id: "garth", nonce: "n", at: now() };
    let later = now().as_second() + 100;
    for (more, taken) in [
        (json!({}), true),
        (json!({ "aud": ["garth"] }), true),
        (json!({ "aud": ["garth", "other"], "azp": "garth" }), true),
        (json!({ "azp": "garth" }), true),
        (json!({ "iat": now().as_second() - 20 }), true),
        (json!({ "aud": ["garth", "other"] }), false),
        (json!({ "aud": ["garth", "other"], "azp": "other" }), false),
        (json!({ "aud": "other" }), false),
        (json!({ "aud": null }), false),
        (json!({ "aud": "Garth" }), false),
        (json!({ "azp": "other" }), false),
        (json!({ "azp": null }), false),
        (json!({ "nonce": "m" }), false),
        (json!({ "nonce": null }), false),
        (json!({ "nonce": ["n"] }), false),
        (json!({ "iat": now().as_second() - 40 }), false),
        (json!({ "iat": later }), false),
        (json!({ "iat": null }), false),
        (json!({ "exp": now().as_second() - 40 }), false),
        (json!({ "exp": null }), false),
        (json!({ "nbf": later }), false),
        (json!({ "sub": "" }), false),
        (json!({ "sub": 17 }), false),
    ] {
        assert_eq!(check(&claims(&more), &asked, now()).is_ok(), taken, "{more}");
    }
}

#[test]
fn a_name_is_the_one_that_the_provider_vouches_for() {
    let name = |person: Option<&str>, more: Value| {
        let config = ProviderConfig { person: person.map(str::to_owned), ..config() };
        known(&claims(&more), &config).map(|known| known.name).ok()
    };
    let ann = Some("ann".to_owned());
    let mail = || Some("ann@example.com".to_owned());
    let no_name = |verified: Value| json!({ "preferred_username": null, "email": "ann@example.com", "email_verified": verified });
    assert_eq!(name(None, json!({})), ann);
    assert_eq!(name(None, json!({ "preferred_username": " ann " })), ann);
    assert_eq!(name(None, no_name(json!(true))), mail());
    for odd in [json!(false), json!(null), json!("true"), json!(1)] {
        assert_eq!(name(None, no_name(odd.clone())), None, "{odd}");
        assert_eq!(name(Some("email"), no_name(odd)), None);
    }
    assert_eq!(name(Some("email"), no_name(json!(true))), mail());
    assert_eq!(name(Some("login"), json!({})), None);
    assert_eq!(name(Some("login"), json!({ "login": "ann" })), ann);
    assert_eq!(name(None, json!({ "preferred_username": ["ann"] })), None);
    assert_eq!(name(None, json!({ "preferred_username": "" })), None);
}

#[test]
fn who_is_meant_says_it_by_one_of_several_texts() {
    let is_meant = |more: Value| known(&claims(&more), &config()).is_ok();
    assert!(is_meant(json!({})));
    assert!(is_meant(json!({ "groups": "garth-x" })));
    for groups in [
        json!([]),
        json!(["shop"]),
        json!("garth"),
        json!(null),
        json!([["garth-x"]]),
        json!({ "garth-x": 1 }),
    ] {
        assert!(!is_meant(json!({ "groups": groups })), "{groups}");
    }
    let many: Vec<String> = (0..5000).map(|n| format!("garth-{n}")).collect();
    assert!(is_meant(json!({ "groups": many })));
}

#[test]
fn groups_say_teams_and_roles_where_garth_toml_says_which() {
    let table = |rows: &[(&str, &[&str])]| {
        let texts = |texts: &[&str]| texts.iter().copied().map(str::to_owned).collect();
        rows.iter().map(|(group, of)| ((*group).to_owned(), texts(of))).collect()
    };
    let plain = known(&claims(&json!({})), &config()).unwrap();
    assert_eq!((plain.teams, plain.roles), (None, None));
    let mapped = ProviderConfig {
        group_teams: table(&[("shop", &["web/shop", "web/all"]), ("other", &["x/y"])]),
        group_roles: table(&[
            ("garth-users", &["publisher", "reader"]),
            ("other", &["administrator"]),
        ]),
        ..config()
    };
    let known_as = known(&claims(&json!({})), &mapped).unwrap();
    assert_eq!(known_as.teams.unwrap(), ["web/all", "web/shop"]);
    assert_eq!(known_as.roles.unwrap(), ["reader", "publisher"]);
    let none = known(&claims(&json!({ "groups": "garth-x" })), &mapped).unwrap();
    assert_eq!((none.teams, none.roles), (Some(vec![]), Some(vec!["reader".to_owned()])));
    // Whoever is called otherwise there is the same; another issuer's 17 is not.
    let renamed = known(&claims(&json!({ "preferred_username": "ann2" })), &config()).unwrap();
    assert_eq!(renamed.subject, plain.subject);
    let other = ProviderConfig { issuer: "https://other.example.com".to_owned(), ..config() };
    assert_ne!(known(&claims(&json!({})), &other).unwrap().subject, plain.subject);
}
