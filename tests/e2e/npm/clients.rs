//! What a person reads who is refused something, in each package manager.
//!
//! One snapshot a client, so that all that it says can be read at once: does it name the reason,
//! the rule, and what to do?

use std::fmt::Write as _;

use support::package_managers::{Kind, PackageManager, Printed};
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::setup;

/// A person whose package manager is set to this garth.
pub fn person(kind: Kind, garth: &TestServer) -> PackageManager {
    PackageManager::new(kind, &format!("{}/npm/", garth.url))
}

async fn upstream() -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    for name in ["new", "pinned", "locked", "ranged", "held", "cold"] {
        let package = up.npm(name).plain_version("1.1.0").plain_version("1.2.0");
        package.plain_version("1.3.0").publish();
    }
    up.npm("tree").version("1.3.0", |version| version.dependency("new", "^1.1.0")).publish();
    up
}

/// All that a client says.
struct Said<'a> {
    person: &'a PackageManager,
    text: String,
}

impl Said<'_> {
    fn add(&mut self, situation: &str, command: &[&str], printed: &Printed) {
        let (name, command) = (self.person.kind().name(), command.join(" "));
        let ended = if printed.success { "" } else { ", in vain" };
        writeln!(self.text, "# {situation}: {name} {command}{ended}\n").unwrap();
        writeln!(self.text, "{}\n", self.person.redacted(printed)).unwrap();
    }

    fn refused(&mut self, situation: &str, wanted: &str) {
        let command = [self.person.kind().add(), wanted];
        let printed = self.person.must_fail(&command);
        let name = wanted.split('@').next().unwrap_or_default();
        assert_eq!(self.person.installed(name), None, "{situation}");
        self.add(situation, &command, &printed);
        self.person.start_over();
    }
}

async fn check(kind: Kind) {
    let up = upstream().await;
    // So that what a client prints does not hang on whether it was refused before.
    let garth = setup(&up).with_env("GARTH_REQUESTS_AUTOMATIC", "false").start();
    garth.run(&["allow", "npm:pinned", "npm:locked", "npm:ranged", "npm:held", "npm:cold"]);
    let person = person(kind, &garth);
    let mut said = Said { person: &person, text: String::new() };

    said.refused("a package that nobody allowed", "new@1.3.0");
    said.refused("a package that needs others, and nobody allowed it", "tree@1.3.0");

    garth.run(&["deny", "npm:pinned@1.3.0", "--reason", "it steals keys", "--name", "no-thieves"]);
    said.refused("a denied version by an exact pin", "pinned@1.3.0");

    let install = [kind.add(), "locked@1.3.0"];
    person.must(&install);
    person.forget();
    person.must(kind.install_locked());
    person.forget();
    garth.run(&["deny", "npm:locked@1.3.0", "--reason", "CVE-2099-1", "--name", "no-cve"]);
    let printed = person.must_fail(kind.install_locked());
    assert_eq!(person.installed("locked"), None);
    said.add("a denied version by a lockfile", kind.install_locked(), &printed);
    person.start_over();

    garth.run(&["deny", "npm:ranged@1.3.0", "--reason", "it is slow", "--name", "no-slow"]);
    let range = [kind.add(), "ranged@^1.1.0"];
    let printed = person.must(&range);
    assert_eq!(person.installed("ranged").as_deref(), Some("1.2.0"));
    said.add("a range with an older allowed version", &range, &printed);
    person.start_over();

    garth.run(&["hold", "npm:held", "--reason", "ann looks at it", "--name", "wait-for-ann"]);
    said.refused("on hold", "held@1.3.0");
    said.refused("unknown", "nothing-here@1.0.0");
    up.go_offline();
    said.refused("the upstream is down", "cold@1.3.0");
    insta::assert_snapshot!(kind.name(), said.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_says_why() {
    check(Kind::Npm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pnpm_says_why() {
    check(Kind::Pnpm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yarn_classic_says_why() {
    check(Kind::Yarn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yarn_berry_says_why() {
    check(Kind::Berry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bun_says_why() {
    check(Kind::Bun).await;
}
