//! Teams: what each is shown by rules that speak to it, and that no other is shown it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use support::client::Client;
use support::edge::Answer;
use support::http::Asked;
use support::npm::Npm;
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::{npm, registry, upstream};

const FOR_TEAMS: &str = r#"
    [[rule]]
    name = "all"
    effect = "allow"
    packages = ["npm:left-pad"]
    [[rule]]
    name = "web-waits"
    effect = "deny"
    packages = ["npm:left-pad"]
    versions = "1.3.0"
    teams = ["web/*"]
    reason = "INC-7"
    [[rule]]
    name = "db-has-it"
    effect = "allow"
    packages = ["npm:@s/n"]
    teams = ["ops/db"]
"#;

/// A garth with rules for teams, and tokens of two of them: `web/shop` may not have left-pad@1.3.0,
/// and `ops/db` alone may have @s/n.
async fn garth() -> (ScriptedUpstream, TestServer, String, String) {
    let up = upstream().await;
    let setup = registry(&up, "");
    setup.write_policy("teams", FOR_TEAMS);
    let garth = setup.start();
    for team in ["web/shop", "ops/db"] {
        garth.run(&["team", "create", team]);
    }
    let shop = token(&garth, &["shop", "--team", "web/shop"]);
    let db = token(&garth, &["db", "--team", "ops/db"]);
    (up, garth, shop, db)
}

/// `garth token create …`, which prints the secret alone.
pub fn token(garth: &TestServer, arguments: &[&str]) -> String {
    let secret = garth.run(&[&["token", "create"], arguments].concat());
    assert!(secret.starts_with("garth_") && secret.lines().count() == 1, "{secret}");
    secret.trim().to_owned()
}

/// An npm that is logged in by this token.
pub fn npm_with(garth: &TestServer, token: &str) -> Npm {
    let npm = npm(garth);
    let line = format!("{}/npm/:_authToken={token}\n", garth.url.strip_prefix("http:").unwrap());
    std::fs::write(npm.home().join(".npmrc"), line).unwrap();
    npm
}

fn with(asked: &Asked, token: &str) -> Asked {
    asked.clone().header("Authorization", &format!("Bearer {token}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_teams_are_shown_two_newest_versions() {
    let (_up, garth, shop, db) = garth().await;
    for (who, newest) in [
        (npm_with(&garth, &shop), "1.2.0"),
        (npm_with(&garth, &db), "1.3.0"),
        // To whom nobody knows, a deny for some applies.
        (npm(&garth), "1.2.0"),
    ] {
        who.must(&["install", "left-pad"]);
        assert_eq!(who.installed("left-pad").as_deref(), Some(newest));
    }
    npm_with(&garth, &db).must(&["install", "@s/n"]);
    for who in [npm_with(&garth, &shop), npm(&garth)] {
        let refused = who.must_fail(&["install", "@s/n"]);
        assert!(refused.text().contains("db-has-it"), "{}", refused.text());
    }
    let (shop, db) = (npm_with(&garth, &shop), npm_with(&garth, &db));
    let found = |who: &Npm| who.must(&["search", "--json", "n"]).stdout.contains("\"@s/n\"");
    assert!(found(&db) && !found(&shop));

    let why = garth.garth(&["why", "npm:left-pad@1.3.0", "--team", "web/shop"]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(text.contains("denied to web/shop: INC-7"), "{text}");
    garth.run(&["why", "npm:left-pad@1.3.0", "--team", "ops/db"]);
    let made = garth.run(&["allow", "npm:@s/n", "--team", "web/*", "--team", "web/shop"]);
    assert!(made.contains("for web/*, web/shop"), "{made}");
    shop.must(&["install", "@s/n"]);
    npm(&garth).must_fail(&["install", "@s/n"]);
}

/// What of a package is sent, each in every spelling that is one of ours.
const PATHS: [&str; 8] = [
    "/npm/left-pad",
    "/npm/left%2Dpad",
    "/npm/left-pad/latest",
    "/npm/left-pad/1.3.0",
    "/npm/left-pad/%31.3.0",
    "/npm/-/package/left-pad/dist-tags",
    "/npm/left-pad/-/left-pad-1.3.0.tgz",
    "/npm/left-pad/-/left%2Dpad-1.3.0.tgz",
];

/// However a client may ask for what it may have seen elsewhere.
fn variations(path: &str, etags: &BTreeSet<String>) -> Vec<Asked> {
    let mut all = Vec::new();
    for method in ["GET", "HEAD"] {
        for coding in ["identity", "gzip", "br", "zstd"] {
            let plain = Asked::new(method, path).header("Accept-Encoding", coding);
            all.push(plain.clone());
            all.push(plain.clone().header("Accept", "application/vnd.npm.install-v1+json"));
            for etag in etags {
                all.push(plain.clone().header("If-None-Match", etag));
                all.push(plain.clone().header("If-Range", etag).header("Range", "bytes=0-3"));
            }
        }
    }
    all
}

fn etag_of(answer: &Answer) -> Option<String> {
    answer.header("etag").map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_team_is_shown_never_reaches_another() {
    let (_up, garth, shop, db) = garth().await;
    let mut etags = BTreeSet::new();
    for path in PATHS {
        for asked in variations(path, &BTreeSet::new()) {
            let answer = garth.ask(&with(&asked, &db)).await;
            assert_eq!(answer.status, 200, "{asked:?}: {}", answer.text());
            etags.extend(etag_of(&answer));
            let mut vary = answer.headers.iter().filter(|(name, _)| name == "vary");
            assert!(vary.any(|(_, value)| value == "Authorization"), "{asked:?} {answer:?}");
            let caching = answer.header("cache-control").unwrap();
            assert!(caching.contains("private") || caching == "no-store", "{asked:?} {caching}");
        }
    }
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("ann:{shop}")));
    for path in PATHS {
        for asked in variations(path, &etags) {
            for stranger in [
                Some(format!("Bearer {shop}")),
                Some(basic.clone()),
                Some(shop.clone()),
                None,
                Some("Bearer of-another-registry".to_owned()),
            ] {
                let asked = match &stranger {
                    Some(value) => asked.clone().header("Authorization", value),
                    None => asked.clone(),
                };
                let answer = garth.ask(&asked).await;
                let is_refused = path.contains("1.3.0");
                assert!(
                    answer.status == if is_refused { 403 } else { 200 },
                    "{asked:?}: {answer:?}"
                );
                assert!(etag_of(&answer).is_none_or(|etag| !etags.contains(&etag)), "{asked:?}");
                if answer.status == 200 && !answer.body.is_empty() {
                    let body = super::views::unpacked(&answer);
                    let body = String::from_utf8_lossy(&body);
                    assert!(!body.contains("1.3.0"), "{asked:?}: {body}");
                }
            }
        }
    }
    // And the team that has it has it still, from what is kept.
    for path in PATHS {
        assert_eq!(garth.ask(&with(&Asked::get(path), &db)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_teams_share_one_view_where_no_rule_names_them() {
    const TEAMS: usize = 500;
    let up = upstream().await;
    let setup = registry(&up, "");
    setup.write_policy("teams", FOR_TEAMS);
    setup.write_policy(
        "free",
        "[[rule]]\nname = \"free\"\neffect = \"allow\"\npackages = [\"npm:free\"]\n",
    );
    up.npm("free").plain_version("1.0.0").publish();
    let garth = setup.start();
    let api = Client::of(&garth);
    let mut tokens = Vec::new();
    for n in 0..TEAMS {
        let team = format!("{}/t{n}", if n % 2 == 0 { "web" } else { "ops" });
        let made = api.api("POST", "/teams", Some(&json!({ "name": team }))).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.text());
        let asked = json!({ "name": format!("t{n}"), "team": team });
        let made = api.api("POST", "/tokens", Some(&asked)).await.unwrap();
        tokens.push(made.json()["secret"].as_str().unwrap().to_owned());
    }
    let mut etags = BTreeSet::new();
    for token in &tokens {
        let answer = garth.ask(&with(&Asked::get("/npm/free"), token)).await;
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "anybody may keep it");
        etags.extend(etag_of(&answer));
    }
    etags.extend(etag_of(&garth.get("/npm/free").await));
    assert_eq!((etags.len(), garth.metric("garth_views").await), (1, 1));
    // Where a rule speaks to a unit, there is one for it, and one for all others who are known.
    for token in &tokens {
        etags.extend(etag_of(&garth.ask(&with(&Asked::get("/npm/left-pad"), token)).await));
    }
    assert_eq!((etags.len(), garth.metric("garth_views").await), (3, 3));
}
