//! What a person reads who is refused something by cargo, and what is resolved all the same.

use std::fmt::Write as _;

use support::cargo::{Cargo, Printed};
use support::crates::Crate;
use support::upstream::ScriptedUpstream;

use super::{person, setup, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn cargo_builds_with_what_is_allowed_and_its_lockfile_is_as_without_garth() {
    let up = upstream().await;
    Crate::new("app")
        .version("1.0.0", |version| {
            let source = "pub fn app() { Seed_Box::seed_box(); }";
            version.needs("Seed_Box", "1").file("src/lib.rs", source)
        })
        .publish(&up);
    Crate::new("Seed_Box")
        .version("1.0.0", |version| version.file("src/lib.rs", "pub fn seed_box() {}"))
        .publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:app", "cargo:seed-box"]);
    let lockfile = |person: &Cargo| {
        person.depend("app = \"1\"");
        person.write("src/lib.rs", "pub fn run() { app::app(); }");
        person.must(&["check"]);
        person.read("Cargo.lock").unwrap()
    };
    let direct = lockfile(&Cargo::replaced_by(up.url().as_str()));
    let through = person(&garth);
    assert_eq!(lockfile(&through), direct);
    // Again, by the lockfile and out of what garth holds.
    through.forget();
    up.go_offline();
    through.must(&["fetch", "--locked"]);
}

/// All that cargo says.
struct Said<'a> {
    person: &'a Cargo,
    text: String,
}

impl Said<'_> {
    fn add(&mut self, situation: &str, command: &[&str], printed: &Printed) {
        let ended = if printed.success { "" } else { ", in vain" };
        writeln!(self.text, "# {situation}: cargo {}{ended}\n", command.join(" ")).unwrap();
        writeln!(self.text, "{}\n", self.person.redacted(printed)).unwrap();
    }

    fn refused(&mut self, situation: &str, dependencies: &str, command: &[&str]) {
        self.person.forget();
        self.person.depend(dependencies);
        let printed = self.person.must_fail(command);
        self.add(situation, command, &printed);
    }

    fn served(&mut self, situation: &str, dependencies: &str, command: &[&str]) {
        self.person.forget();
        self.person.depend(dependencies);
        let printed = self.person.must(command);
        self.add(situation, command, &printed);
    }
}

async fn crowd() -> ScriptedUpstream {
    let up = upstream().await;
    for name in ["new", "pinned", "locked", "ranged", "held", "elsewhere", "extra"] {
        Crate::plain(name, &["1.1.0", "1.2.0", "1.3.0"]).publish(&up);
    }
    Crate::new("tree")
        .version("1.0.0", |version| {
            version.needs_on("cfg(windows)", "elsewhere", "1").may_use("extra", "1")
        })
        .publish(&up);
    Crate::plain("later", &["1.0.0", "2.0.0"]).publish(&up);
    Crate::new("late")
        .version("1.0.0", |version| version.needs_on("cfg(windows)", "later", "2"))
        .publish(&up);
    Crate::new("tool")
        .version("1.0.0", |version| version.needs("new", "1").file("src/main.rs", "fn main() {}"))
        .publish(&up);
    up
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_says_why() {
    let up = crowd().await;
    let garth = setup(&up).start();
    let allowed = ["pinned", "locked", "ranged", "held", "tree", "tool", "late"];
    let allowed: Vec<String> = allowed.iter().map(|name| format!("cargo:{name}")).collect();
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    garth.run(&[&["allow"], &allowed[..]].concat());
    let person = person(&garth);
    let mut said = Said { person: &person, text: String::new() };

    said.refused("a crate that nobody allowed", "new = \"1\"", &["fetch"]);
    said.refused("the same", "new = \"1\"", &["vendor", "--respect-source-config"]);
    said.refused("the same", "", &["install", "new"]);
    said.refused("a tool that needs what nobody allowed", "", &["install", "tool"]);

    garth.run(&["deny", "cargo:extra", "--reason", "it steals keys", "--name", "no-keys"]);
    said.refused("a crate that a rule denies", "extra = \"1\"", &["fetch"]);
    garth.run(&["rules", "remove", "no-keys"]);

    garth.run(&[
        "deny",
        "cargo:pinned@1.3.0",
        "--reason",
        "it steals keys",
        "--name",
        "no-thieves",
    ]);
    said.refused("a denied version by an exact pin", "pinned = \"=1.3.0\"", &["fetch"]);

    person.depend("locked = \"1\"");
    person.must(&["fetch"]);
    assert_eq!(person.locked("locked").as_deref(), Some("1.3.0"));
    person.forget();
    garth.run(&["deny", "cargo:locked@1.3.0", "--reason", "CVE-2099-1", "--name", "no-cve"]);
    let printed = person.must_fail(&["fetch", "--locked"]);
    said.add("a denied version by a lockfile", &["fetch", "--locked"], &printed);
    let printed = person.must(&["update"]);
    assert_eq!(person.locked("locked").as_deref(), Some("1.2.0"));
    said.add("the same, made good", &["update"], &printed);

    let precise = ["update", "locked", "--precise", "1.3.0"];
    let printed = person.must_fail(&precise);
    said.add("the same, insisted on", &precise, &printed);

    garth.run(&["deny", "cargo:ranged@1.3.0", "--reason", "it is slow", "--name", "no-slow"]);
    said.served("a range with an older allowed version", "ranged = \"1.1\"", &["fetch"]);
    assert_eq!(person.locked("ranged").as_deref(), Some("1.2.0"));

    garth.run(&["hold", "cargo:held", "--reason", "ann looks at it", "--name", "wait-for-ann"]);
    said.refused("on hold", "held = \"1\"", &["fetch"]);

    // What a lockfile pins is on hold by now, beside older versions that are not.
    person.depend("ranged = \"=1.2.0\"");
    person.must(&["fetch"]);
    garth.run(&["hold", "cargo:ranged@1.2.0", "--reason", "bob looks at it", "--name", "for-bob"]);
    person.forget();
    let printed = person.must_fail(&["fetch", "--locked"]);
    said.add("a version by a lockfile that is on hold", &["fetch", "--locked"], &printed);

    // The rule leaves an older version that the range does not take: that one is not there.
    garth.run(&["deny", "cargo:later@2", "--reason", "it is new", "--name", "not-yet"]);
    garth.run(&["allow", "cargo:later"]);
    said.refused("a version for another platform, beside older ones", "late = \"1\"", &["check"]);

    // Neither of the two is allowed, and neither is needed here.
    person.write("src/lib.rs", "");
    said.served("denied crates for another platform and feature", "tree = \"1\"", &["check"]);
    assert_eq!(person.locked("elsewhere").as_deref(), Some("1.3.0"));
    assert_eq!(person.locked("extra"), None);
    // `cargo fetch` is for all platforms, if it is not told another thing.
    let printed = person.must_fail(&["fetch"]);
    said.add("the same, fetched for all platforms", &["fetch"], &printed);
    let here = ["fetch", "--locked", "--target", "x86_64-unknown-linux-gnu"];
    let printed = person.must(&here);
    said.add("the same, fetched for this one alone", &here, &printed);
    said.refused(
        "the same, where they are needed",
        "tree = { version = \"1\", features = [\"extra\"] }",
        &["check"],
    );

    said.refused("unknown", "nothing = \"1\"", &["fetch"]);
    garth.run(&["allow", "cargo:ab"]);
    person.depend("ab = \"1\"");
    person.must(&["generate-lockfile"]);
    up.go_offline();
    person.forget();
    let printed = person.must_fail(&["fetch", "--locked"]);
    said.add("the upstream is down, and only the index is held", &["fetch", "--locked"], &printed);
    said.refused("the upstream is down", "seed = \"1\"", &["fetch"]);
    insta::assert_snapshot!("cargo_says_why", said.text);
}

/// As it is by default: whoever is refused something has asked for it by that.
#[tokio::test(flavor = "multi_thread")]
async fn cargo_says_that_what_it_was_refused_is_asked_for_already() {
    let up = upstream().await;
    let setup = setup(&up).with_env("GARTH_REQUESTS_AUTOMATIC", "true");
    let garth = setup.start();
    let person = person(&garth);
    person.depend("seed = \"1\"");
    person.must_fail(&["fetch"]);
    let begun = std::time::Instant::now();
    loop {
        let refused = person.must_fail(&["fetch"]).text();
        if refused.contains("It is asked for already, by request 1. To join it: garth request") {
            break;
        }
        assert!(begun.elapsed().as_secs() < 30, "{refused}");
    }
}
