//! Small indexes, and what cargo would lock of them.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use policies::decide::Hope;
use policies::decision::{Decision, DecisionCode, Effect, Revision};
use policies::facts::Missing;
use policies::package::Ecosystem;

use super::super::manifest::Manifest;
use super::super::stock::Seen;
use super::*;

fn package(name: &str) -> Package {
    Package::new(Ecosystem::Cargo, name).unwrap()
}

fn decision() -> Decision {
    Decision {
        effect: Effect::Deny,
        code: DecisionCode::NoRuleAllows,
        rule: None,
        reason: "".into(),
        revision: Revision("r".into()),
        until: None,
        missing: Missing::NONE,
        waiver: None,
        observed: None,
    }
}

/// A version, and what it needs.
type Versions<'a> = &'a [(&'a str, &'a [&'a str])];
type Crates<'a> = &'a [(&'a str, Versions<'a>)];

/// An index: each crate with its versions, and what each of them needs, as `name req` or, where a
/// feature has to be on, `name? req`.
fn index(crates: Crates<'_>) -> Stock {
    let mut stock = Stock::default();
    for (name, versions) in crates {
        let listed = versions.iter().map(|(version, _)| {
            let is_yanked = version.ends_with('!');
            let version = policies::package::Version::new(version.trim_end_matches('!')).unwrap();
            Seen { version, is_yanked, hope: Hope::None, decision: decision() }
        });
        let manifests = versions.iter().map(|(_, needs)| {
            let needs = needs.iter().map(|need| {
                let (name, wanted) = need.split_once(' ').unwrap();
                let (name, feature) = name.split_once('/').unwrap_or((name, ""));
                let features: Vec<&str> = feature.split('/').filter(|it| !it.is_empty()).collect();
                serde_json::json!({
                    "name": name.trim_end_matches('?'), "req": wanted, "features": features,
                    "optional": name.ends_with('?'), "kind": "normal",
                })
            });
            let line = serde_json::json!({ "deps": needs.collect::<Vec<_>>() });
            Manifest::parse(line.to_string().as_bytes()).unwrap()
        });
        stock.put(Shelf::new(package(name), listed), manifests.collect());
    }
    stock
}

/// The versions, and behind a bar what can not be had.
fn resolved(stock: &Stock, wanted: &str) -> String {
    let root = Ask { package: package("root"), requirement: VersionReq::parse(wanted).unwrap() };
    let Step::Done(resolution) = resolve(stock, &root, Among::Unrefused) else {
        panic!("something is not known")
    };
    let versions = resolution.nodes.iter().map(|((package, _), node)| {
        let shelf = stock.shelf(package).unwrap().as_ref().unwrap();
        format!("{}@{}", package.name(), shelf.versions[node.place].number)
    });
    let mut text = versions.collect::<Vec<_>>().join(" ");
    for edge in &resolution.edges {
        if !matches!(edge.end, End::Version(_)) {
            let name = edge.package.as_ref().unwrap().name();
            let _ = write!(text, " | {name} {}: {:?}", edge.wanted, edge.end);
        }
    }
    text
}

#[test]
fn each_range_has_the_newest_version_that_suits_all() {
    let plain: &[&str] = &[];
    let rows: [(&str, Crates<'_>, &str, &str); 9] = [
        (
            "the newest",
            &[("root", &[("1.0.0", plain), ("1.2.0", plain), ("2.0.0", plain)])],
            "1",
            "root@1.2.0",
        ),
        (
            "none that is yanked",
            &[("root", &[("1.0.0", plain), ("1.2.0!", plain)])],
            "1",
            "root@1.0.0",
        ),
        (
            "no pre-release by itself",
            &[("root", &[("1.0.0", plain), ("1.1.0-a", plain)])],
            "*",
            "root@1.0.0",
        ),
        (
            "two ranges of one crate",
            &[
                ("root", &[("1.0.0", &["a 0.3", "b 1"])]),
                ("a", &[("0.3.1", plain), ("0.4.2", plain)]),
                ("b", &[("1.0.0", &["a 0.4"])]),
            ],
            "1",
            "a@0.3.1 a@0.4.2 b@1.0.0 root@1.0.0",
        ),
        (
            "the older where one dependent wants no newer",
            &[
                ("root", &[("1.0.0", &["a 1", "b 1"])]),
                ("a", &[("1.0.0", plain), ("1.1.0", &["c 1"])]),
                ("b", &[("1.0.0", &["a =1.0.0"])]),
                ("c", &[("1.0.0", plain)]),
            ],
            "1",
            "a@1.0.0 b@1.0.0 root@1.0.0",
        ),
        (
            "what can not be beside each other",
            &[
                ("root", &[("1.0.0", &["a =1.1.0", "b 1"])]),
                ("a", &[("1.0.0", plain), ("1.1.0", plain)]),
                ("b", &[("1.0.0", &["a =1.0.0"])]),
            ],
            "1",
            "a@1.1.0 b@1.0.0 root@1.0.0 | a =1.0.0: Conflict",
        ),
        (
            "an optional one that a dependent turns on",
            &[
                ("root", &[("1.0.0", &["a 1", "b 1"])]),
                ("a", &[("1.0.0", &["extra? 1", "more? 1"])]),
                ("b", &[("1.0.0", &["a/extra 1"])]),
                ("extra", &[("1.0.0", plain)]),
            ],
            "1",
            "a@1.0.0 b@1.0.0 extra@1.0.0 root@1.0.0",
        ),
        (
            "no such version",
            &[("root", &[("1.0.0", &["a 2"])]), ("a", &[("1.0.0", plain)])],
            "1",
            "root@1.0.0 | a ^2: Unmet",
        ),
        (
            "a circle",
            &[("root", &[("1.0.0", &["a 1"])]), ("a", &[("1.0.0", &["root 1"])])],
            "1",
            "a@1.0.0 root@1.0.0",
        ),
    ];
    for (name, crates, wanted, expected) in rows {
        assert_eq!(resolved(&index(crates), wanted), expected, "{name}");
    }
}

#[test]
fn what_is_not_known_is_asked_for_all_at_once() {
    let stock = index(&[("root", &[("1.0.0", &["a 1", "b 1"])])]);
    let root = Ask { package: package("root"), requirement: VersionReq::STAR };
    let Step::Needs(needs, _) = resolve(&stock, &root, Among::Unrefused) else {
        panic!("all is known")
    };
    let names: Vec<&str> = needs.iter().map(|want| want.package.name()).collect();
    assert_eq!(names, ["a", "b"]);
}
