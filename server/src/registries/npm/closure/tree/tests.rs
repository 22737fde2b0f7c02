#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use policies::decision::{Decision, DecisionCode, Effect, Revision};
use policies::facts::Missing;
use policies::package::{Package, Version};
use serde_json::{Map, Value, json};

use super::*;
use crate::registries::closure::Among;
use crate::registries::npm::closure::manifest::Manifest;
use crate::registries::npm::closure::pick::Shelf;

/// A version a line: `a@1.0.0: b@^1 c@2`, `?b@1` optional, `^b@1` a peer, `~b@1` an optional peer.
fn manifests(text: &str) -> Vec<(String, String, Value)> {
    let line = |line: &str| {
        let (subject, needs) = line.split_once(':')?;
        let (name, version) = subject.trim().rsplit_once('@')?;
        let mut fields: HashMap<&str, Map<String, Value>> = HashMap::new();
        for need in needs.split_whitespace() {
            let kinds = [
                ('?', "optionalDependencies"),
                ('^', "peerDependencies"),
                ('~', "peerDependencies"),
            ];
            let kind = kinds.iter().find(|(sign, _)| need.starts_with(*sign));
            let bare = need.trim_start_matches(['?', '^', '~']);
            let from = usize::from(bare.starts_with('@'));
            let at = from + bare[from..].find('@')?;
            let (called, spec) = (bare[..at].to_owned(), bare[at + 1..].into());
            if need.starts_with('~') {
                let meta = fields.entry("peerDependenciesMeta").or_default();
                meta.insert(called.clone(), json!({ "optional": true }));
            }
            fields
                .entry(kind.map_or("dependencies", |(_, field)| *field))
                .or_default()
                .insert(called, spec);
        }
        Some((name.to_owned(), version.to_owned(), json!(fields)))
    };
    text.lines()
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| line(text).unwrap())
        .collect()
}

fn decision() -> Decision {
    Decision {
        effect: Effect::Allow,
        code: DecisionCode::AllowedByRule,
        rule: None,
        reason: "".into(),
        revision: Revision("r".into()),
        until: None,
        missing: Missing::NONE,
        waiver: None,
        observed: None,
    }
}

/// Answers what is asked from these versions; `latest` is the last one of each package.
struct Shop {
    manifests: HashMap<(Package, Version), Value>,
    shelves: HashMap<Package, std::sync::Arc<Shelf>>,
}

impl Shop {
    fn of(text: &str) -> Self {
        let mut versions: HashMap<Package, Vec<Version>> = HashMap::new();
        let mut all = HashMap::new();
        for (name, version, manifest) in manifests(text) {
            let package: Package = format!("npm:{name}").parse().unwrap();
            let version = Version::new(&version).unwrap();
            versions.entry(package.clone()).or_default().push(version.clone());
            all.insert((package, version), manifest);
        }
        let shelves = versions.into_iter().map(|(package, versions)| {
            let latest = versions.last().unwrap().to_string();
            let listed = versions.into_iter().map(|version| (version, false, decision()));
            let tags = HashMap::from([("latest".to_owned(), latest)]);
            (package, std::sync::Arc::new(Shelf::new(listed, tags)))
        });
        Self { manifests: all, shelves: shelves.collect() }
    }

    fn answer(&self, stock: &mut Stock, (name, spec): Ask) {
        let Ok(wanted) = Wanted::parse(&name, &spec) else { panic!("{name}@{spec}") };
        let package = wanted.package;
        let picked = self.shelves.get(&package).and_then(|shelf| {
            let place = shelf.pick(&wanted.choice, Among::Everything)?;
            let version = &shelf.versions[place].version;
            let manifest = self.manifests.get(&(package.clone(), version.clone()))?;
            let manifest = Manifest::parse(manifest.to_string().as_bytes());
            Some((std::sync::Arc::clone(shelf), place, manifest))
        });
        stock.put((name, spec), package, picked);
    }
}

/// `name@version` of all that is installed, `?` before what is optional, `!` before what is unmet.
fn installed(root: &str, text: &str) -> String {
    let shop = Shop::of(text);
    let mut stock = Stock::default();
    let (name, spec) = root.rsplit_once('@').unwrap();
    let tree = loop {
        match lay(&stock, name, spec, NeedKind::Required) {
            Step::Done(tree) => break tree,
            Step::Needs(asks) => asks.into_iter().for_each(|ask| shop.answer(&mut stock, ask)),
            Step::TooLarge => return "too large".to_owned(),
        }
    };
    let rough = Tree::of_everything(&stock, name, spec, true);
    assert!(tree.versions.keys().all(|id| rough.versions.contains_key(id) || text.contains('~')));
    let mut shown: Vec<String> = tree
        .versions
        .iter()
        .map(|(id, uses)| {
            let subject = stock.versions[*id].subject.to_string();
            format!(
                "{}{}",
                if uses.is_optional { "?" } else { "" },
                subject.trim_start_matches("npm:")
            )
        })
        .collect();
    shown.sort_by_key(|text| text.trim_start_matches('?').to_owned());
    shown.dedup();
    let unmet = tree.edges.iter().filter(|edge| !matches!(edge.end, End::Version(_)));
    shown.extend(unmet.map(|edge| format!("!{}@{}", edge.name, edge.spec)));
    shown.join(" ")
}

/// Rows with the same names are installed by the real npm in the end-to-end tests.
#[test]
fn what_is_there_serves_the_next_one() {
    for (row, text, expected) in [
        (
            "each takes its own",
            "r@1.0.0: a@1 b@1
             a@1.0.0: x@1.0.0
             b@1.0.0: x@2.0.0
             x@1.0.0:
             x@2.0.0:",
            "a@1.0.0 b@1.0.0 r@1.0.0 x@1.0.0 x@2.0.0",
        ),
        (
            "the first one's version will do for the second",
            "r@1.0.0: a@1 b@1
             a@1.0.0: x@1.0.0
             b@1.0.0: x@^1
             x@1.0.0:
             x@1.5.0:",
            "a@1.0.0 b@1.0.0 r@1.0.0 x@1.0.0",
        ),
        (
            "the second one's will not do for the first",
            "r@1.0.0: a@1 b@1
             a@1.0.0: x@^1
             b@1.0.0: x@1.0.0
             x@1.0.0:
             x@1.5.0:",
            "a@1.0.0 b@1.0.0 r@1.0.0 x@1.0.0 x@1.5.0",
        ),
        (
            "a circle",
            "r@1.0.0: a@1
             a@1.0.0: b@1
             b@1.0.0: a@1",
            "a@1.0.0 b@1.0.0 r@1.0.0",
        ),
        (
            "a circle through another version",
            "r@1.0.0: a@1
             a@1.0.0: b@1
             b@1.0.0: a@2
             a@2.0.0: b@1",
            "a@1.0.0 a@2.0.0 b@1.0.0 r@1.0.0",
        ),
        (
            "optional ones",
            "r@1.0.0: ?a@1 b@1
             a@1.0.0: c@1
             b@1.0.0:
             c@1.0.0:",
            "?a@1.0.0 b@1.0.0 ?c@1.0.0 r@1.0.0",
        ),
        (
            "one that is not there",
            "r@1.0.0: ?gone@1 b@1
             b@1.0.0: x@9
             x@1.0.0:",
            "b@1.0.0 r@1.0.0 !gone@1 !x@9",
        ),
        (
            "an alias",
            "r@1.0.0: x@1 old@npm:x@1.0.0
             x@1.0.0:
             x@1.5.0:",
            "r@1.0.0 x@1.0.0 x@1.5.0",
        ),
    ] {
        assert_eq!(installed("r@1", text), expected, "{row}");
    }
}

#[test]
fn peers_come_along_and_have_to_agree() {
    for (row, text, expected) in [
        (
            "a peer is installed",
            "r@1.0.0: ui@1
             ui@1.0.0: ^react@>=17
             react@17.0.0:
             react@18.0.0:",
            "r@1.0.0 react@18.0.0 ui@1.0.0",
        ),
        (
            "an optional peer is not",
            "r@1.0.0: ui@1
             ui@1.0.0: ~react@>=17
             react@18.0.0:",
            "r@1.0.0 ui@1.0.0",
        ),
        (
            "the dependent's own wish counts",
            "r@1.0.0: ui@1 react@17
             ui@1.0.0: ^react@>=16
             react@17.0.0:
             react@18.0.0:",
            "r@1.0.0 react@17.0.0 ui@1.0.0",
        ),
        (
            "the narrower of two wishes",
            "r@1.0.0: ui@1 react@>=16
             ui@1.0.0: ^react@17
             react@17.0.0:
             react@18.0.0:",
            "r@1.0.0 react@17.0.0 ui@1.0.0",
        ),
        (
            "a peer that has to be deeper",
            "r@1.0.0: a@1 react@18
             a@1.0.0: ui@1
             ui@1.0.0: ^react@17
             react@17.0.0:
             react@18.0.0:",
            "a@1.0.0 r@1.0.0 react@17.0.0 react@18.0.0 ui@1.0.0",
        ),
        (
            "peers of peers in a circle",
            "r@1.0.0: a@1
             a@1.0.0: ^b@1
             b@1.0.0: ^c@1
             c@1.0.0: ^a@1",
            "a@1.0.0 b@1.0.0 c@1.0.0 r@1.0.0",
        ),
    ] {
        assert_eq!(installed("r@1", text), expected, "{row}");
    }
}

/// Thousands of peers that all need each other take no longer than their number.
#[test]
fn a_tree_that_was_made_to_be_endless_ends() {
    let mut text = String::from("r@1.0.0:");
    for n in 0..300 {
        let _ = write!(text, " p{n}@1");
    }
    for n in 0..300 {
        let _ = write!(text, "\np{n}@1.0.0:");
        for other in 0..20 {
            let _ = write!(text, " ^p{}@1", (n + other + 1) % 300);
        }
    }
    assert_eq!(installed("r@1", &text).split(' ').count(), 301);
    // Each level has two versions of the one below: as a tree without sharing it doubles.
    let mut text = String::from("r@1.0.0: x0@1 y0@1");
    for n in 0..60 {
        for (name, version) in [("x", 1), ("x", 2), ("y", 1), ("y", 2)] {
            let (next, other) = (n + 1, 3 - version);
            let _ = write!(text, "\n{name}{n}@{version}.0.0: x{next}@{version} y{next}@{other}");
        }
    }
    text += "\nx60@1.0.0:\nx60@2.0.0:\ny60@1.0.0:\ny60@2.0.0:";
    assert!(!installed("r@1", &text).is_empty());
}
