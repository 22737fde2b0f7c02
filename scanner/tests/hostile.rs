//! Lockfiles made to hurt: an error each, no panic, in time that grows with their size.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use scanner::{Outcome, Scan, scan};

const NAMES: &[&str] = &["Cargo.lock", "package-lock.json", "npm-shrinkwrap.json"];

/// Generous, for a slow and busy machine; what is not linear misses it by far.
fn soon(name: &str, text: &str) -> Scan {
    let start = Instant::now();
    let scan = scan(name, text.as_bytes());
    let took = start.elapsed();
    assert!(took < Duration::from_secs(30), "{name} took {took:?}");
    scan
}

#[test]
fn a_hundred_thousand_levels_are_an_error() {
    let deep = 100_000;
    let json = |open: &str, close: &str| format!("{}{}", open.repeat(deep), close.repeat(deep));
    for (what, text) in [
        ("arrays", json("[", "]")),
        ("objects", json(r#"{"a":"#, "}")),
        (
            "dependencies of version 1",
            format!(
                r#"{{"lockfileVersion":1,"dependencies":{}}}"#,
                json(r#"{"a":{"version":"1.0.0","dependencies":"#, "}}")
            ),
        ),
        (
            "inside an entry",
            format!(
                r#"{{"lockfileVersion":3,"packages":{{"node_modules/a":{}}}}}"#,
                json(r#"{"dependencies":"#, "}")
            ),
        ),
        ("never closed", "[".repeat(deep)),
    ] {
        assert_eq!(soon("package-lock.json", &text).outcome, Outcome::Failed, "{what}");
    }
    for (what, text) in [
        ("arrays", format!("package = {}", json("[", "]"))),
        ("tables", format!("package = {}", json("{a=", "}"))),
        ("keys", format!("{}a = 1", "a.".repeat(deep))),
        ("headers", format!("[{}a]", "a.".repeat(deep))),
    ] {
        assert_eq!(soon("Cargo.lock", &text).outcome, Outcome::Failed, "{what}");
    }
}

#[test]
fn a_path_of_a_hundred_thousand_folders_is_a_problem() {
    for key in ["node_modules/a/".repeat(100_000) + "node_modules/a", "a/".repeat(100_000) + "a"] {
        let text = format!(
            r#"{{"lockfileVersion":3,"packages":{{"":{{"name":"app"}},"{key}":{{"version":"1.0.0"}}}}}}"#
        );
        let scan = soon("package-lock.json", &text);
        assert_eq!(scan.outcome, Outcome::Partial);
        assert!(scan.problems[0].place.len() < 1000, "a place is shortened");
    }
}

#[test]
fn many_packages_of_one_name_take_linear_time() {
    let mut text = String::from("version = 4\n");
    for patch in 0..40_000 {
        writeln!(
            text,
            "[[package]]\nname = \"a\"\nversion = \"0.0.{patch}\"\ndependencies = [\"a 0.0.{patch}\", \"a\", \"b\"]"
        )
        .unwrap();
    }
    let scan = soon("Cargo.lock", &text);
    assert_eq!(scan.packages.len(), 40_000);
    assert_eq!(scan.problems.len(), 1001, "problems are bounded");
}

#[test]
fn many_dependencies_far_below_take_linear_time() {
    let folder = "node_modules/a/".repeat(60) + "node_modules/a";
    let dependencies: Vec<String> = (0..200_000).map(|at| format!(r#""b{at}":"1""#)).collect();
    let text = format!(
        r#"{{"lockfileVersion":3,"packages":{{"":{{}},"{folder}":{{"version":"1.0.0","dependencies":{{{}}}}}}}}}"#,
        dependencies.join(",")
    );
    assert_eq!(soon("package-lock.json", &text).outcome, Outcome::Partial);
}

const GOOD_CARGO: &str = r#"
version = 4
[[package]]
name = "app"
version = "0.1.0"
dependencies = ["fork", "x 1.0.0"]
[[package]]
name = "fork"
version = "2.0.0"
source = "git+https://git.example.com/fork.git?rev=1#abcdef"
[[package]]
name = "x"
version = "1.0.0"
source = "sparse+https://cargo.example.com/"
"#;

const GOOD_NPM: &str = r#"{"name":"app","lockfileVersion":3,"packages":{
"":{"name":"app","version":"1.0.0","dependencies":{"a":"1"},"workspaces":["w"]},
"node_modules/a":{"version":"1.0.0","resolved":"https://npm.example.com/a/-/a-1.0.0.tgz","integrity":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=","dependencies":{"@s/b":"1"}},
"node_modules/a/node_modules/@s/b":{"name":"c","version":"1.0.0","dev":true},
"node_modules/w":{"link":true,"resolved":"w"},"w":{"version":"0.0.1"}}}"#;

const GOOD_NPM_1: &str = r#"{"name":"app","lockfileVersion":1,"dependencies":{
"a":{"version":"1.0.0","requires":{"b":"1"},"dependencies":{"b":{"version":"npm:c@1.0.0"}}},
"g":{"version":"git+ssh://git@git.example.com/g.git#abc"},"l":{"version":"file:../l"}}}"#;

/// What holds for any input at all.
fn check(name: &str, bytes: &[u8]) {
    let scan = scan(name, bytes);
    match scan.outcome {
        Outcome::Complete => assert!(scan.problems.is_empty() && !scan.packages.is_empty()),
        Outcome::Partial => assert!(!scan.problems.is_empty() && !scan.packages.is_empty()),
        Outcome::Failed => assert!(!scan.problems.is_empty() && scan.packages.is_empty()),
    }
    for found in &scan.packages {
        assert!(!found.name.is_empty(), "a package without a name");
        assert!(found.version.as_ref().is_none_or(|version| !version.as_str().is_empty()));
    }
    for edge in &scan.edges {
        assert!(edge.from < scan.packages.len() && edge.to < scan.packages.len());
    }
    let inventory = scanner::inventory::merge(vec![scan]);
    let mut text = String::new();
    scanner::report::text::write(&mut text, &inventory, &std::collections::BTreeMap::new())
        .unwrap();
    scanner::report::cyclonedx::document(&inventory, None).unwrap();
}

#[test]
fn what_is_mutated_below_is_complete_as_it_stands() {
    for (name, text) in [
        ("Cargo.lock", GOOD_CARGO),
        ("package-lock.json", GOOD_NPM),
        ("package-lock.json", GOOD_NPM_1),
    ] {
        let scan = scan(name, text.as_bytes());
        assert_eq!(scan.outcome, Outcome::Complete, "{:?}", scan.problems);
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for name in NAMES {
            check(name, &bytes);
        }
    }

    #[test]
    fn mutated_lockfiles_give_an_answer(
        which in 0_usize..3,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..8, "[\\x00-\\x7f\u{202e}é]{0,4}"), 1..6),
    ) {
        let (name, good) =
            [("Cargo.lock", GOOD_CARGO), ("package-lock.json", GOOD_NPM), ("package-lock.json", GOOD_NPM_1)][which];
        let mut text: Vec<char> = good.chars().collect();
        for (at, removed, inserted) in edits {
            let start = at.index(text.len());
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        let text: String = text.into_iter().collect();
        check(name, text.as_bytes());
    }
}
