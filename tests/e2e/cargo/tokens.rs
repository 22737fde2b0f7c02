//! A garth that serves nothing without a token, and cargo's ways to have one.

use support::cargo::Cargo;
use support::http::Asked;
use support::server::{Setup, TestServer};

use super::own::{PUBLISH, become_crate};
use super::{setup, upstream};

fn person(garth: &TestServer) -> Cargo {
    let person = Cargo::new();
    person.configure(&format!(
        "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n\n[registries.garth]\nindex = \"sparse+{}/cargo/\"\n\n[source.crates-io]\nreplace-with = \"garth\"\n",
        garth.url
    ));
    person.depend("seed = \"1\"");
    person
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_asks_for_a_token_where_garth_wants_one_and_is_served_with_it() {
    let up = upstream().await;
    let garth = setup(&up).with_settings("anonymous = \"none\"").start();
    garth.run(&["allow", "cargo:seed"]);
    for path in [
        "/cargo/config.json",
        "/cargo/se/ed/seed",
        "/cargo/api/v1/crates/seed/1.0.0/download",
        "/cargo/crates/seed/seed-1.0.0.crate",
    ] {
        let answer = garth.get(path).await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.text());
        let challenge = answer.header("www-authenticate").unwrap();
        assert_eq!(challenge, format!("Cargo login_url=\"{}/cargo/me\"", garth.url));
    }
    assert_eq!(up.total_requests(), 0);
    let login = garth.get("/cargo/me").await;
    assert!(login.text().contains("garth token create"), "{}", login.text());

    let person = person(&garth);
    let refused = person.must_fail(&["fetch"]);
    insta::assert_snapshot!("without_a_token", person.redacted(&refused));

    let token = garth.run(&["token", "create", "ann"]);
    let login = ["login", "--registry", "garth", token.trim()];
    person.must(&login);
    person.must(&["fetch"]);
    assert_eq!(person.locked("seed").as_deref(), Some("1.1.0"));
    // As cargo sends it: bare.
    let config = Asked::get("/cargo/config.json").header("Authorization", token.trim());
    assert_eq!(garth.ask(&config).await.json()["auth-required"], true);

    garth.run(&["token", "revoke", "ann"]);
    person.forget();
    let gone = person.must_fail(&["fetch"]);
    insta::assert_snapshot!("with_a_token_that_is_gone", person.redacted(&gone));
}

/// cargo sends a token to an index only where that says that it has to.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_a_team_holds_for_whoever_builds_by_its_token() {
    let up = upstream().await;
    let setup = setup(&up).with_settings("anonymous = \"none\"");
    let rule = |name: &str, more: &str| {
        format!("[[rule]]\nname = \"{name}\"\npackages = [\"cargo:seed\"]\n{more}\n")
    };
    let newest = "effect = \"deny\"\nversions = \"1.1.0\"\nteams = [\"web/*\"]\nreason = \"INC-7\"";
    let rules = [rule("all", "effect = \"allow\""), rule("web-waits", newest)].concat();
    setup.write_policy("teams", &rules);
    let garth = setup.start();
    for (team, expected) in [("web/shop", "1.0.0"), ("ops/db", "1.1.0")] {
        garth.run(&["team", "create", team]);
        let token = garth.run(&["token", "create", &team.replace('/', "-"), "--team", team]);
        let person = person(&garth);
        person.must(&["login", "--registry", "garth", token.trim()]);
        person.must(&["fetch"]);
        assert_eq!(person.locked("seed").as_deref(), Some(expected), "{team}");
    }
}

/// Whatever is done with an own crate, it is by a token, and so is building with it.
#[tokio::test(flavor = "multi_thread")]
async fn own_crates_are_published_found_and_built_by_tokens_alone() {
    let garth = Setup::new("anonymous = \"none\"\n[registry.cargo]\n").start();
    let log_in = |arguments: &[&str]| {
        let token = garth.run(&[&["token", "create"], arguments].concat());
        let person = person(&garth);
        person.must(&["login", "--registry", "garth", token.trim()]);
        person
    };
    let ann = log_in(&["ann", "--right", "publish=cargo:acme-*"]);
    become_crate(&ann, "acme-log", "1.0.0", "");
    ann.must(PUBLISH);
    let bob = log_in(&["bob"]);
    let at_garth = |command: &'static [&'static str]| [command, &["--registry", "garth"]].concat();
    let found = bob.must(&at_garth(&["search", "acme"])).text();
    assert!(found.contains("acme-log = \"1.0.0\""), "{found}");
    let told = bob.must(&at_garth(&["info", "acme-log"])).text();
    assert!(told.contains("About acme-log 1.0.0"), "{told}");
    let owners = bob.must(&at_garth(&["owner", "--list", "acme-log"])).text();
    assert!(owners.contains("ann"), "{owners}");
    bob.depend("acme-log = { version = \"1\", registry = \"garth\" }");
    bob.must(&["build"]);
    let refused = bob.must_fail(&at_garth(&["yank", "acme-log@1.0.0"])).text();
    assert!(refused.contains("403"), "{refused}");
    ann.must(&at_garth(&["yank", "acme-log@1.0.0"]));

    let nobody = person(&garth);
    nobody.depend("acme-log = { version = \"1\", registry = \"garth\" }");
    let refused = nobody.must_fail(&["build"]).text();
    assert!(refused.contains("cargo login --registry garth"), "{refused}");
    let refused = nobody.must_fail(&at_garth(&["search", "acme"])).text();
    assert!(refused.contains("cargo login") || refused.contains("no token found"), "{refused}");
}
