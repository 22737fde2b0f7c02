#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use cargo_lock::SourceId;

use crate::{Outcome, Scan, Source, scan};

/// `DEFAULT` stands for the default registry's notation.
fn lock(text: &str) -> Scan {
    scan("app/Cargo.lock", text.replace("DEFAULT", &SourceId::default().to_string()).as_bytes())
}

/// `name version source <- dependents' index:alias` in words that a row can state.
fn shown(scan: &Scan) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, found) in scan.packages.iter().enumerate() {
        let source = match &found.source {
            Source::Registry(None) => "registry".to_owned(),
            Source::Registry(Some(url)) => format!("registry {url}"),
            Source::Git { repository, commit } => {
                format!("git {repository} {}", commit.as_deref().unwrap_or("-"))
            }
            Source::Archive(url) => format!("archive {url}"),
            Source::Local(path) => format!("local {path:?}"),
        };
        let mut line = format!("{} {} {source}", found.name, found.version.as_ref().unwrap());
        for edge in scan.edges.iter().filter(|edge| edge.from == index) {
            let to = &scan.packages[edge.to];
            write!(line, " > {}@{}", to.name, to.version.as_ref().unwrap()).unwrap();
        }
        lines.push(line);
    }
    lines
}

const SUM: &str = "4f7ec2f8ee6c1a3fb1a2c1cd7bc4b0bd0c04ee6f2ec4e2cb9c0b1f6f6b1f0c01";

#[test]
fn sources_are_told_apart() {
    let scan = lock(&format!(
        r#"
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["fork", "old", "serde 1.0.0 (DEFAULT)", "serde 1.0.0", "sparse"]

[[package]]
name = "fork"
version = "2.0.0"
source = "git+https://joe:secret@git.example.com/fork.git?branch=next%2Fone#abcdef"

[[package]]
name = "old"
version = "1.0.0"
source = "registry+https://cargo.example.com/index"

[[package]]
name = "serde"
version = "1.0.0"

[[package]]
name = "serde"
version = "1.0.0"
source = "DEFAULT"
checksum = "{SUM}"

[[package]]
name = "sparse"
version = "1.0.0"
source = "sparse+https://cargo.example.com/cargo/"
"#
    ));
    assert_eq!(scan.problems, []);
    assert_eq!(
        shown(&scan),
        [
            "app 0.1.0 local \"\" > fork@2.0.0 > old@1.0.0 > serde@1.0.0 > serde@1.0.0 > sparse@1.0.0",
            "fork 2.0.0 git https://git.example.com/fork.git abcdef",
            "old 1.0.0 registry https://cargo.example.com/index",
            "serde 1.0.0 local \"\"",
            "serde 1.0.0 registry",
            "sparse 1.0.0 registry sparse+https://cargo.example.com/cargo/",
        ]
    );
    assert_eq!(scan.packages[4].digests[0].to_string(), format!("sha256:{SUM}"));
    assert!(scan.packages[3].package().is_none(), "a local namesake is not the registry's package");
    assert!(scan.packages[4].package().is_some());
    let targets: Vec<_> = scan.edges.iter().map(|edge| edge.to).collect();
    assert_eq!(targets, [1, 2, 4, 3, 5]);
}

#[test]
fn several_versions_of_one_name_are_kept_apart() {
    let scan = lock(
        r#"
version = 3
[[package]]
name = "app"
version = "0.1.0"
dependencies = ["rand 0.8.0", "rand 0.9.0"]
[[package]]
name = "rand"
version = "0.8.0"
source = "DEFAULT"
[[package]]
name = "rand"
version = "0.9.0"
source = "DEFAULT"
"#,
    );
    assert_eq!(scan.outcome, Outcome::Complete);
    assert_eq!(shown(&scan)[0], "app 0.1.0 local \"\" > rand@0.8.0 > rand@0.9.0");
}

#[test]
fn checksums_of_version_1_come_from_the_metadata() {
    let scan = lock(&format!(
        r#"
[root]
name = "app"
version = "0.1.0"
dependencies = ["libc 0.2.0 (DEFAULT)"]
[[package]]
name = "libc"
version = "0.2.0"
source = "DEFAULT"
[metadata]
"checksum libc 0.2.0 (DEFAULT)" = "{SUM}"
"checksum app 0.1.0" = "<none>"
"#
    ));
    assert_eq!(scan.outcome, Outcome::Complete);
    assert_eq!(shown(&scan), ["libc 0.2.0 registry", "app 0.1.0 local \"\" > libc@0.2.0"]);
    assert_eq!(scan.packages[0].digests[0].hex(), SUM);
}

#[test]
fn a_bad_entry_costs_one_entry() {
    let good = "[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n";
    for (what, entry, problem) in [
        ("no version", "name = \"x\"", "x: missing field `version`"),
        ("not a version", "name = \"x\"\nversion = \"../1\"", "x: version \"../1\": "),
        ("not a name", "name = \"../x\"\nversion = \"1.0.0\"", "../x: "),
        ("empty name", "name = \"\"\nversion = \"1.0.0\"", ": "),
        ("wrong type", "name = 1\nversion = \"1.0.0\"", "package 2: "),
        ("source", "name = \"x\"\nversion = \"1.0.0\"\nsource = \"?\"", "x: its source "),
        ("checksum", "name = \"x\"\nversion = \"1.0.0\"\nchecksum = \"ab\"", "x: checksum"),
        (
            "dependency",
            "name = \"x\"\nversion = \"1.0.0\"\ndependencies = [\"y\"]",
            "x: dependency",
        ),
    ] {
        let scan = lock(&format!("{good}[[package]]\n{entry}\n"));
        assert_eq!(scan.outcome, Outcome::Partial, "{what}");
        assert_eq!(scan.packages[0].name, "app", "{what}");
        let shown = format!("{}: {}", scan.problems[0].place, scan.problems[0].what);
        assert!(shown.starts_with(problem), "{what}: {shown}");
    }
}

#[test]
fn what_cannot_be_read_has_failed() {
    for (what, text) in [
        ("empty", ""),
        ("spaces", " \n"),
        ("not TOML", "[[package"),
        ("nothing in it", "version = 4\n"),
        ("another file", "title = \"x\"\n[owner]\nname = \"y\"\n"),
        ("packages of another type", "package = 1\n"),
    ] {
        let scan = lock(text);
        assert_eq!(scan.outcome, Outcome::Failed, "{what}");
        assert!(!scan.problems.is_empty(), "{what}");
    }
}

#[test]
fn a_newer_lockfile_is_read_as_far_as_it_goes_and_said_so() {
    let scan = lock("version = 5\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n");
    assert_eq!(scan.outcome, Outcome::Partial);
    assert_eq!(scan.problems[0].what, "lockfile version 5 is newer than 4");
}

#[test]
fn a_host_path_is_not_kept() {
    let scan = lock(
        "[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"path+file:///home/joe/x\"\n",
    );
    assert_eq!(shown(&scan), ["x 1.0.0 local \"\""]);
}

#[test]
fn this_workspace_is_read_completely() {
    let scan = scan("Cargo.lock", include_bytes!("../../../../Cargo.lock"));
    assert_eq!(scan.outcome, Outcome::Complete);
    let local: Vec<_> = scan.packages.iter().filter(|found| found.package().is_none()).collect();
    assert!(local.iter().any(|found| found.name == "scanner"));
    assert!(scan.packages.len() > 100 && scan.edges.len() > scan.packages.len());
}
