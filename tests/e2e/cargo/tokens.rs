//! A garth that serves nothing without a token, and cargo's ways to have one.

use support::cargo::Cargo;
use support::http::Asked;
use support::server::TestServer;

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
