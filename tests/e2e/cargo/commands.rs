//! What else cargo does with crates that are allowed: builds tools, makes copies, looks again.

use support::crates::Crate;
use support::http::Asked;

use super::{person, setup, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_is_installed_and_what_is_vendored_builds_without_anybody() {
    let up = upstream().await;
    Crate::new("tool")
        .version("1.0.0", |version| {
            let source = "fn main() { println!(\"built on seed\"); }";
            version.needs("seed", "1").file("src/main.rs", source)
        })
        .publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:tool", "cargo:seed"]);
    garth.run(&["deny", "cargo:seed@1.1.0", "--reason", "it is slow"]);
    let person = person(&garth);
    person.must(&["install", "tool"]);
    let tool = person.home().join(".cargo/bin/tool");
    let said = std::process::Command::new(tool).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "built on seed");

    person.depend("tool = \"1\"\nseed = \"1\"");
    person.must(&["vendor", "--respect-source-config"]);
    let manifest = person.read("vendor/seed/Cargo.toml").unwrap();
    assert!(manifest.contains("version = \"1.0.0\""), "the newest that is allowed: {manifest}");
    person.forget();
    person.configure(
        "[source.crates-io]\nreplace-with = \"copies\"\n[source.copies]\ndirectory = \"project/vendor\"\n",
    );
    let (setup, _) = garth.stop();
    person.must(&["check", "--offline", "--locked"]);
    drop(setup);
}

/// cargo asks whether its index files are still what they were, and is told that they are until a rule
/// or the upstream changes one.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_update_is_answered_without_bodies() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:seed", "cargo:seed-box"]);
    let person = person(&garth);
    person.depend("seed = \"1\"\nSeed_Box = \"1\"");
    person.must(&["update"]);
    let files = ["/cargo/se/ed/seed", "/cargo/se/ed/seed_box"];
    for (change, expected) in [(None, ["304", "304"]), (Some("1.1.0"), ["200", "304"])] {
        if let Some(version) = change {
            garth.run(&["deny", &format!("cargo:seed@{version}"), "--reason", "it is slow"]);
        }
        person.must(&["update"]);
        for (path, expected) in files.into_iter().zip(expected) {
            let line = garth.access_line(path).await;
            assert!(line.contains(&format!(" status={expected} ")), "{change:?}: {line}");
        }
    }
    assert_eq!(person.locked("seed").as_deref(), Some("1.0.0"));
    let known = garth.ask(&Asked::get(files[0])).await;
    let etag = known.header("etag").unwrap().to_owned();
    let again = garth.ask(&Asked::get(files[0]).header("If-None-Match", &etag)).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}
