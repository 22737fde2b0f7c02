//! Crates, from outside: the real cargo and raw requests, against the real binary and a scripted
//! upstream.

mod advisories;
mod clients;
mod closures;
mod commands;
mod downloads;
mod facts;
mod index;
mod own;
mod registries;
mod starters;
mod tokens;
mod workspace;

use support::cargo::Cargo;
use support::crates::Crate;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

/// An upstream that has `seed` in three versions, and others of every length of name.
async fn upstream() -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    Crate::plain("seed", &["1.0.0", "1.1.0", "2.0.0"]).publish(&up);
    for name in ["a", "ab", "abc", "Seed_Box"] {
        Crate::plain(name, &["1.0.0"]).publish(&up);
    }
    up
}

/// A garth in front of it that asks the upstream each time whether something changed.
fn setup(up: &ScriptedUpstream) -> Setup {
    registry(up, "max_age = \"0s\"")
}

/// One registry with these settings of its own.
fn registry(up: &ScriptedUpstream, more: &str) -> Setup {
    let setup = Setup::new(&format!("[registry.cargo]\nupstream = \"{}\"\n{more}\n", up.url()));
    // So that what is printed does not hang on whether it was refused before.
    setup.with_env("GARTH_REQUESTS_AUTOMATIC", "false")
}

/// A person whose cargo has this garth in place of its public registry.
fn person(garth: &TestServer) -> Cargo {
    Cargo::replaced_by(&format!("{}/cargo/", garth.url))
}

fn lines(text: &str) -> Vec<String> {
    let version = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["vers"].as_str().unwrap().to_owned()
    };
    text.lines().map(version).collect()
}
