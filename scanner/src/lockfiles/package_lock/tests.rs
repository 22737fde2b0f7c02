#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use crate::{Outcome, Scan, Scope, Source, scan};

fn lock(text: &str) -> Scan {
    scan("package-lock.json", text.as_bytes())
}

/// A version 3 lockfile: the project's entry and the rest of `packages`.
fn tree(project: &str, packages: &str) -> Scan {
    let separator = if packages.is_empty() { "" } else { "," };
    lock(&format!(
        r#"{{"name":"app","lockfileVersion":3,"packages":{{"":{project}{separator}{packages}}}}}"#
    ))
}

fn source(source: &Source) -> String {
    match source {
        Source::Registry(None) => "registry".to_owned(),
        Source::Registry(Some(registry)) => format!("registry {registry}"),
        Source::Git { repository, commit } => {
            format!("git {repository} {}", commit.as_deref().unwrap_or("-"))
        }
        Source::Archive(address) => format!("archive {address}"),
        Source::Local(path) => format!("local {path:?}"),
    }
}

/// One line for each package, with what it needs.
fn shown(scan: &Scan) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, found) in scan.packages.iter().enumerate() {
        let version = found.version.as_ref().map(|it| format!("@{it}")).unwrap_or_default();
        let mut line = format!("{}{version} {}", found.name, source(&found.source));
        for edge in scan.edges.iter().filter(|edge| edge.from == index) {
            let alias = edge.alias.as_ref().map(|it| format!("{it}=")).unwrap_or_default();
            let to = &scan.packages[edge.to];
            let version = to.version.as_ref().map(|it| format!("@{it}")).unwrap_or_default();
            write!(line, " > {alias}{}{version}", to.name).unwrap();
        }
        lines.push(line);
    }
    lines
}

#[test]
fn a_dependency_is_looked_for_where_node_would() {
    let scan = tree(
        r#"{"name":"app","version":"1.0.0","dependencies":{"a":"1","b":"1"},"devDependencies":{"@s/c":"1"}}"#,
        r#""node_modules/@s/c":{"version":"3.0.0","dev":true,"dependencies":{"b":"1"}},
           "node_modules/a":{"version":"1.0.0","dependencies":{"b":"2"}},
           "node_modules/a/node_modules/b":{"version":"2.0.0","dependencies":{"@s/c":"3"}},
           "node_modules/b":{"version":"1.0.0"}"#,
    );
    assert_eq!(scan.outcome, Outcome::Complete);
    assert_eq!(
        shown(&scan),
        [
            "app@1.0.0 local \"\" > a@1.0.0 > b@1.0.0 > @s/c@3.0.0",
            "@s/c@3.0.0 registry > b@1.0.0",
            "a@1.0.0 registry > b@2.0.0",
            "b@2.0.0 registry > @s/c@3.0.0",
            "b@1.0.0 registry",
        ]
    );
}

#[test]
fn aliases_are_on_the_edge_and_the_real_name_is_on_the_package() {
    let scan = tree(
        r#"{"dependencies":{"lodash":"npm:evil@1"}}"#,
        r#""node_modules/lodash":{"name":"evil","version":"1.0.0"}"#,
    );
    assert_eq!(shown(&scan), ["app local \"\" > lodash=evil@1.0.0", "evil@1.0.0 registry"]);
    assert_eq!(scan.packages[1].package().unwrap().to_string(), "npm:evil");
}

#[test]
fn workspaces_and_links_are_local() {
    let scan = tree(
        r#"{"workspaces":["packages/*"],"dependencies":{"ui":"*","gone":"file:../gone"}}"#,
        r#""node_modules/ui":{"link":true,"resolved":"packages/ui"},
           "node_modules/gone":{"link":true,"resolved":"../gone"},
           "node_modules/x":{"version":"1.0.0"},
           "packages/ui":{"name":"ui","version":"0.0.0","devDependencies":{"x":"2"}},
           "packages/ui/node_modules/x":{"version":"2.0.0"},
           "../gone":{"version":"0.1.0","dependencies":{"x":"1"}}"#,
    );
    assert_eq!(scan.outcome, Outcome::Complete);
    assert_eq!(
        shown(&scan),
        [
            "app local \"\" > gone@0.1.0 > ui@0.0.0",
            "gone@0.1.0 local \"../gone\" > x@1.0.0",
            "x@1.0.0 registry",
            "ui@0.0.0 local \"packages/ui\" > x@2.0.0",
            "x@2.0.0 registry",
        ]
    );
}

#[test]
fn sources_are_told_apart() {
    for (entry, specifier, expected) in [
        (r#""version":"1.0.0""#, "^1", "registry"),
        (
            r#""version":"1.0.0","resolved":"https://npm.example.com/npm/x/-/x-1.0.0.tgz""#,
            "^1",
            "registry https://npm.example.com/npm/",
        ),
        (
            r#""version":"1.0.0","resolved":"https://joe:pw@npm.example.com/x/-/x-1.0.0.tgz?token=s""#,
            "^1",
            "registry https://npm.example.com/",
        ),
        (
            r#""version":"1.0.0","resolved":"https://npm.example.com/download/x/1.0.0/abc""#,
            "^1",
            "registry https://npm.example.com/",
        ),
        (
            r#""version":"1.0.0","resolved":"https://files.example.com/x.tgz""#,
            "https://files.example.com/x.tgz",
            "archive https://files.example.com/x.tgz",
        ),
        (
            r#""version":"1.0.0","resolved":"git+ssh://git@git.example.com/x.git#abc""#,
            "git.example.com/x",
            "git ssh://git.example.com/x.git abc",
        ),
        (r#""version":"1.0.0","resolved":"file:x.tgz""#, "file:x.tgz", "local \"x.tgz\""),
        (r#""version":"1.0.0","resolved":"file:/home/joe/x.tgz""#, "file:", "local \"x.tgz\""),
    ] {
        let scan = tree(
            &format!(r#"{{"dependencies":{{"x":"{specifier}"}}}}"#),
            &format!(r#""node_modules/x":{{{entry}}}"#),
        );
        assert_eq!(scan.problems, [], "{entry}");
        assert_eq!(source(&scan.packages[1].source), expected, "{entry}");
        assert_eq!(scan.packages[1].package().is_some(), expected.starts_with("registry"));
    }
}

#[test]
fn a_scoped_package_has_the_registry_before_its_scope() {
    for spelling in ["@s/x", "@s%2fx", "@s%2Fx"] {
        let address = format!("https://npm.example.com/r/{spelling}/-/x-1.0.0.tgz");
        let packages =
            format!(r#""node_modules/@s/x":{{"version":"1.0.0","resolved":"{address}"}}"#);
        let scan = tree("{}", &packages);
        assert_eq!(source(&scan.packages[1].source), "registry https://npm.example.com/r/");
    }
}

#[test]
fn scope_bundling_and_digests_are_kept() {
    let scan = tree(
        "{}",
        r#""node_modules/a":{"version":"1.0.0","dev":true,"optional":true,"integrity":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
           "node_modules/b":{"version":"1.0.0","devOptional":true},
           "node_modules/c":{"version":"1.0.0","inBundle":true,"integrity":"md9-xx"},
           "node_modules/d":{"version":"1.0.0","peer":true}"#,
    );
    let scopes: Vec<_> = scan.packages[1..].iter().map(|found| found.scope.unwrap()).collect();
    assert_eq!(scopes, [Scope::Development, Scope::Optional, Scope::Required, Scope::Required]);
    assert_eq!(
        scan.packages[1].digests[0].to_string(),
        "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"
    );
    assert!(scan.packages[3].bundled && scan.packages[3].digests.is_empty());
}

#[test]
fn version_1_is_read_to_its_last_level() {
    let scan = lock(
        r#"{"name":"app","version":"1.0.0","lockfileVersion":1,"requires":true,"dependencies":{
            "a":{"version":"1.0.0","requires":{"b":"^2","c":"1"},"dependencies":{
                "b":{"version":"2.0.0","requires":{"d":"1"},"dependencies":{
                    "d":{"version":"4.0.0","bundled":true}}}}},
            "b":{"version":"1.0.0","dev":true},
            "c":{"version":"npm:real@3.0.0","resolved":"https://npm.example.com/real/-/real-3.0.0.tgz"},
            "g":{"version":"git+ssh://git@git.example.com/g.git#abc","from":"g"},
            "l":{"version":"file:../l","requires":{"a":"1"}},
            "t":{"version":"https://files.example.com/t.tgz"},
            "h":{"version":"github:acme/h#def"}}}"#,
    );
    assert_eq!(scan.problems, []);
    assert_eq!(
        shown(&scan),
        [
            "app@1.0.0 local \"\"",
            "a@1.0.0 registry > b@2.0.0 > c=real@3.0.0",
            "b@1.0.0 registry",
            "real@3.0.0 registry https://npm.example.com/",
            "g git ssh://git.example.com/g.git abc",
            "h git github:acme/h def",
            "l local \"../l\" > a@1.0.0",
            "t archive https://files.example.com/t.tgz",
            "b@2.0.0 registry > d@4.0.0",
            "d@4.0.0 registry",
        ]
    );
    assert!(scan.packages[9].bundled);
    assert_eq!(scan.packages[2].scope, Some(Scope::Development));
}

#[test]
fn version_2_is_read_from_its_packages_alone() {
    let scan = lock(
        r#"{"lockfileVersion":2,"packages":{"":{"name":"app"},"node_modules/a":{"version":"1.0.0"}},
            "dependencies":{"a":{"version":"1.0.0"}}}"#,
    );
    assert_eq!(shown(&scan), ["app local \"\"", "a@1.0.0 registry"]);
}

#[test]
fn a_bad_entry_costs_one_entry() {
    for (what, entry) in [
        ("no version", r#""node_modules/x":{}"#),
        ("empty version", r#""node_modules/x":{"version":""}"#),
        ("a folder as version", r#""node_modules/x":{"version":"../x"}"#),
        ("a range as version", r#""node_modules/x":{"version":"^1.0.0"}"#),
        ("another type", r#""node_modules/x":7"#),
        ("no name", r#""node_modules/":{"version":"1.0.0"}"#),
        ("not a name", r#""node_modules/..":{"version":"1.0.0"}"#),
        (
            "a missing dependency",
            r#""node_modules/x":{"version":"1.0.0","dependencies":{"y":"1"}}"#,
        ),
    ] {
        let scan = tree("{}", &format!(r#"{entry},"node_modules/good":{{"version":"1.0.0"}}"#));
        assert_eq!(scan.outcome, Outcome::Partial, "{what}");
        assert_eq!(scan.problems.len(), 1, "{what}: {:?}", scan.problems);
        assert!(scan.packages.iter().any(|found| found.name == "good"), "{what}");
    }
}

#[test]
fn what_npm_leaves_out_is_no_problem() {
    let scan = tree(
        "{}",
        r#""node_modules/x":{"version":"1.0.0","dependencies":{"o":"1"},"optionalDependencies":{"o":"1"},
            "peerDependencies":{"p":"1"},"devDependencies":{"d":"1"}}"#,
    );
    assert_eq!(scan.outcome, Outcome::Complete);
}

#[test]
fn what_cannot_be_read_has_failed() {
    for (what, text) in [
        ("empty", ""),
        ("only a byte order mark", "\u{feff}"),
        ("not JSON", "{"),
        ("null", "null"),
        ("an array", "[]"),
        ("another document", "{}"),
        ("too new", r#"{"lockfileVersion":4,"packages":{"":{}}}"#),
        ("no packages", r#"{"lockfileVersion":3}"#),
        ("no entry", r#"{"lockfileVersion":3,"packages":{}}"#),
        ("dependencies of another type", r#"{"lockfileVersion":1,"dependencies":[]}"#),
    ] {
        let scan = lock(text);
        assert_eq!(scan.outcome, Outcome::Failed, "{what}");
        assert!(!scan.problems.is_empty(), "{what}");
    }
}

#[test]
fn a_byte_order_mark_is_no_fault() {
    let scan = lock("\u{feff}{\"lockfileVersion\":3,\"packages\":{\"\":{\"name\":\"app\"}}}");
    assert_eq!(scan.outcome, Outcome::Complete);
}
