//! Who may change own crates: every route that changes something, by everybody who could ask, as a table
//! that is committed.

use std::fmt::Write as _;

use serde_json::json;
use support::http::Asked;
use support::own_crates::NewCrate;
use support::server::{Setup, TestServer};

/// What a token is given; nothing is no token at all.
const ASKERS: &[(&str, Option<&[&str]>)] = &[
    ("nobody", None),
    ("read", Some(&[])),
    ("read=cargo:acme-*", Some(&["read=cargo:acme-*"])),
    ("approve", Some(&["approve"])),
    ("promote", Some(&["promote"])),
    ("administer", Some(&["administer"])),
    ("publish", Some(&["publish"])),
    ("publish=cargo:acme-*", Some(&["publish=cargo:acme-*"])),
    ("publish=npm:*", Some(&["publish=npm:*"])),
    ("publish=registry:crates", Some(&["publish=registry:crates"])),
    ("publish=registry:cargo", Some(&["publish=registry:cargo"])),
];

struct Route {
    method: &'static str,
    /// Below the registry.
    path: &'static str,
    body: fn(n: usize) -> Vec<u8>,
}

const fn route(method: &'static str, path: &'static str, body: fn(usize) -> Vec<u8>) -> Route {
    Route { method, path, body }
}

fn nothing(_: usize) -> Vec<u8> {
    Vec::new()
}

fn users(_: usize) -> Vec<u8> {
    json!({ "users": ["admin"] }).to_string().into_bytes()
}

/// A crate of a name of its own, so that each cell publishes.
fn acme(n: usize) -> Vec<u8> {
    NewCrate::new(&format!("acme-n{n}"), "1.0.0").body()
}

fn other(n: usize) -> Vec<u8> {
    NewCrate::new(&format!("other-n{n}"), "1.0.0").body()
}

fn foreign(n: usize) -> Vec<u8> {
    NewCrate::new(&format!("foreign-n{n}"), "1.0.0").body()
}

const ROUTES: &[(&str, Route)] = &[
    ("publish acme-n", route("PUT", "api/v1/crates/new", acme)),
    ("publish other-n", route("PUT", "api/v1/crates/new", other)),
    ("publish foreign-n", route("PUT", "api/v1/crates/new", foreign)),
    ("yank acme-log", route("DELETE", "api/v1/crates/acme-log/1.0.0/yank", nothing)),
    ("yank other-log", route("DELETE", "api/v1/crates/other-log/1.0.0/yank", nothing)),
    ("unyank acme-log", route("PUT", "api/v1/crates/acme-log/1.0.0/unyank", nothing)),
    ("unyank other-log", route("PUT", "api/v1/crates/other-log/1.0.0/unyank", nothing)),
    ("owners of acme-log", route("GET", "api/v1/crates/acme-log/owners", nothing)),
    ("owners of other-log", route("GET", "api/v1/crates/other-log/owners", nothing)),
    ("add to acme-log", route("PUT", "api/v1/crates/acme-log/owners", users)),
    ("add to other-log", route("PUT", "api/v1/crates/other-log/owners", users)),
    ("remove of acme-log", route("DELETE", "api/v1/crates/acme-log/owners", users)),
    ("search", route("GET", "api/v1/crates?q=log", nothing)),
];

async fn ask(garth: &TestServer, route: &Route, token: Option<&str>, n: usize) -> u16 {
    let asked = Asked::new(route.method, &format!("/cargo/{}", route.path));
    let asked = match token {
        // As cargo sends it: bare.
        Some(token) => asked.header("Authorization", token),
        None => asked,
    };
    let body = (route.body)(n);
    let asked = if body.is_empty() { asked } else { asked.body(&body) };
    garth.ask(&asked).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_own_crates_is_whom_the_committed_table_says() {
    let garth = Setup::new(
        "[registry.cargo]\nupstream = \"http://127.0.0.1:9/\"\nown = [\"acme-*\", \"other-*\"]\n[registry.crates]\nformat = \"cargo\"\n",
    )
    .start();
    for name in ["acme-log", "other-log"] {
        let answer = NewCrate::new(name, "1.0.0").to(&garth).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let mut table = String::new();
    for (number, (words, given)) in ASKERS.iter().enumerate() {
        let token = given.map(|rights| {
            let name = format!("asker-{number}");
            let mut arguments = vec!["token", "create", &name];
            for right in rights {
                arguments.extend(["--right", right]);
            }
            garth.run(&arguments).trim().to_owned()
        });
        writeln!(table, "{words}").unwrap();
        for (place, (what, route)) in ROUTES.iter().enumerate() {
            let n = number * ROUTES.len() + place;
            let status = ask(&garth, route, token.as_deref(), n).await;
            writeln!(table, "    {status} {what}").unwrap();
        }
    }
    insta::assert_snapshot!("rights", table);

    // What was a token a moment ago is none, whatever it was given.
    let token = garth.run(&["token", "create", "gone", "--right", "publish"]).trim().to_owned();
    garth.run(&["token", "revoke", "gone"]);
    for (place, (what, route)) in ROUTES.iter().enumerate() {
        let status = ask(&garth, route, Some(&token), 1000 + place).await;
        assert_eq!(status, 401, "{what}");
    }
}
