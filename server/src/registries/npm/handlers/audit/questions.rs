//! What `npm audit` asks, without what is nobody else's business. Pure.
//!
//! A project's dependencies go to the upstream as npm's public packages with their versions, and as
//! nothing else: own names, the project's own name, links, addresses and everything that is no
//! version of a registry stays here. In the older forms, which are trees, what is left out keeps
//! its place under a name that no package can have, because what lies below it is asked about;
//! the answer shows the true names again ([`Veil::lift`]).

use std::collections::{BTreeMap, HashMap};

use policies::package::{Digest, Ecosystem, Package};
use policies::versions::{Range, is_prerelease};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Whether a package is asked about at the upstream at all.
pub type IsPublic<'a> = &'a dyn Fn(&Package) -> bool;

/// The newer form: versions by package.
pub type Bulk = BTreeMap<String, Vec<String>>;

/// What of it may be asked.
pub fn public_bulk(asked: Bulk, is_public: IsPublic<'_>) -> Bulk {
    asked
        .into_iter()
        .filter(|(name, _)| public_name(name, is_public))
        .filter_map(|(name, mut versions)| {
            versions.retain(|version| is_version(version));
            (!versions.is_empty()).then_some((name, versions))
        })
        .collect()
}

fn public_name(name: &str, is_public: IsPublic<'_>) -> bool {
    Package::new(Ecosystem::Npm, name).is_ok_and(|package| is_public(&package))
}

fn is_version(text: &str) -> bool {
    is_prerelease(Ecosystem::Npm, text).is_some()
}

/// The older forms: a lockfile's tree. What is not named here goes nowhere.
#[derive(Debug, Default, Deserialize)]
pub struct Tree {
    #[serde(default)]
    requires: Value,
    #[serde(default)]
    dependencies: BTreeMap<String, Node>,
}

#[derive(Debug, Default, Deserialize)]
struct Node {
    #[serde(default)]
    version: Value,
    #[serde(default)]
    integrity: Value,
    #[serde(default)]
    dev: Value,
    #[serde(default)]
    optional: Value,
    #[serde(default)]
    requires: Value,
    #[serde(default)]
    dependencies: BTreeMap<String, Self>,
}

/// The names that were left out, and what stands in their places.
#[derive(Debug, Default)]
pub struct Veil {
    by_name: HashMap<String, String>,
    names: Vec<String>,
}

/// npm has taken no package with a capital letter for many years.
const STAND_IN: &str = "OWN-PACKAGE-";

/// What of a tree may be asked, and the way back; `None` where nothing is left to ask.
pub fn public_tree(tree: &Tree, is_public: IsPublic<'_>) -> Option<(Value, Veil)> {
    let mut veil = Veil::default();
    // Before any name is shown: what is a link at one place is not named at another.
    veil_links(&tree.dependencies, &mut veil);
    let mut public = 0;
    let dependencies = public_nodes(&tree.dependencies, is_public, &mut veil, &mut public);
    let requires = public_requires(&tree.requires, is_public, &mut veil);
    let asked = json!({
        "name": "project",
        "version": "1.0.0",
        "install": [],
        "remove": [],
        "metadata": {},
        "requires": requires,
        "dependencies": dependencies,
    });
    (public > 0).then_some((asked, veil))
}

fn veil_links(nodes: &BTreeMap<String, Node>, veil: &mut Veil) {
    for (name, node) in nodes {
        if !node.version.as_str().is_some_and(is_version) {
            veil.stand_in(name);
        }
        veil_links(&node.dependencies, veil);
    }
}

fn public_nodes(
    nodes: &BTreeMap<String, Node>,
    is_public: IsPublic<'_>,
    veil: &mut Veil,
    public: &mut usize,
) -> Map<String, Value> {
    let mut kept = Map::new();
    for (name, node) in nodes {
        let version = node.version.as_str().filter(|version| is_version(version));
        let mut shown = Map::new();
        let name = match version {
            Some(version) if public_name(name, is_public) => {
                *public += 1;
                shown.insert("version".to_owned(), version.into());
                if let Some(integrity) = node.integrity.as_str()
                    && let [digest, ..] = Digest::from_sri(integrity).as_slice()
                {
                    shown.insert("integrity".to_owned(), digest.to_sri().into());
                }
                name.clone()
            }
            _ => {
                shown.insert("version".to_owned(), "0.0.0".into());
                veil.stand_in(name)
            }
        };
        for (field, value) in [("dev", &node.dev), ("optional", &node.optional)] {
            if *value == Value::Bool(true) {
                shown.insert(field.to_owned(), true.into());
            }
        }
        let requires = public_requires(&node.requires, is_public, veil);
        if requires.as_object().is_some_and(|requires| !requires.is_empty()) {
            shown.insert("requires".to_owned(), requires);
        }
        let below = public_nodes(&node.dependencies, is_public, veil, public);
        if !below.is_empty() {
            shown.insert("dependencies".to_owned(), below.into());
        }
        kept.insert(name, shown.into());
    }
    kept
}

/// Names with ranges. Some clients write `true` where a lockfile has nothing to say.
fn public_requires(requires: &Value, is_public: IsPublic<'_>, veil: &mut Veil) -> Value {
    let Some(requires) = requires.as_object() else { return json!({}) };
    let shown = requires.iter().map(|(name, range)| {
        let range = range.as_str().filter(|range| is_range(range)).unwrap_or("*");
        let is_shown = public_name(name, is_public) && !veil.by_name.contains_key(name);
        let name = if is_shown { name.clone() } else { veil.stand_in(name) };
        (name, range.into())
    });
    Value::Object(shown.collect())
}

/// A range of versions, and neither a tag nor an address, which could say more than that.
fn is_range(text: &str) -> bool {
    Range::parse(Ecosystem::Npm, text).is_ok()
}

impl Veil {
    fn stand_in(&mut self, name: &str) -> String {
        if let Some(known) = self.by_name.get(name) {
            return known.clone();
        }
        self.names.push(name.to_owned());
        let stand_in = format!("{STAND_IN}{}", self.names.len());
        self.by_name.insert(name.to_owned(), stand_in.clone());
        stand_in
    }

    /// Puts the true names into an answer: into paths (`a>b>c`) and wherever a name stands alone.
    pub fn lift(&self, answer: &mut Value) {
        match answer {
            Value::String(text) if text.contains(STAND_IN) => {
                let names: Vec<&str> = text.split('>').map(|name| self.true_name(name)).collect();
                *text = names.join(">");
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.lift(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.lift(value)),
            _ => {}
        }
    }

    fn true_name<'a>(&'a self, name: &'a str) -> &'a str {
        let number = name.strip_prefix(STAND_IN).and_then(|number| number.parse::<usize>().ok());
        let known = number.and_then(|number| self.names.get(number.checked_sub(1)?));
        known.map_or(name, String::as_str)
    }
}

/// What the older forms answer where nothing is known.
pub fn empty_tree_answer(dependencies: usize) -> Value {
    json!({
        "actions": [],
        "advisories": {},
        "muted": [],
        "metadata": {
            "vulnerabilities": { "info": 0, "low": 0, "moderate": 0, "high": 0, "critical": 0 },
            "dependencies": dependencies,
            "devDependencies": 0,
            "optionalDependencies": 0,
            "totalDependencies": dependencies,
        },
    })
}

impl Tree {
    /// How many packages it names, each place counted.
    pub fn size(&self) -> usize {
        fn count(nodes: &BTreeMap<String, Node>) -> usize {
            nodes.values().map(|node| 1 + count(&node.dependencies)).sum()
        }
        count(&self.dependencies)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn is_public(package: &Package) -> bool {
        !package.name().starts_with("@acme/") && !package.name().starts_with("acme-")
    }

    #[test]
    fn a_bulk_question_keeps_public_packages_with_their_versions() {
        let asked: Bulk = serde_json::from_value(json!({
            "left-pad": ["1.3.0", "1.2.0"],
            "@acme/secret": ["1.0.0"],
            "acme-secret": ["1.0.0"],
            "@acme-evil/x": ["1.0.0"],
            "git-one": ["git+ssh://git@git.acme.example/secret.git"],
            "alias": ["npm:@acme/secret@1.0.0", "2.0.0"],
            "../acme-secret": ["1.0.0"],
            "nothing": [],
        }))
        .unwrap();
        let kept = serde_json::to_value(public_bulk(asked, &is_public)).unwrap();
        assert_eq!(
            kept,
            json!({
                "@acme-evil/x": ["1.0.0"],
                "alias": ["2.0.0"],
                "left-pad": ["1.3.0", "1.2.0"],
            })
        );
    }

    fn a_tree() -> Tree {
        serde_json::from_value(json!({
            "name": "acme-shop",
            "version": "7.7.7-acme",
            "install": ["acme-tool@1"],
            "metadata": { "platform": "acme-os" },
            "requires": { "acme-ui": "^1.0.0", "left-pad": "npm:@acme/left-pad@1", "tagged": "acme-tag" },
            "dependencies": {
                "acme-ui": {
                    "version": "1.0.0",
                    "resolved": "https://npm.acme.example/acme-ui.tgz",
                    "integrity": "sha1-c2VjcmV0IG9mIGFjbWU=",
                    "requires": { "left-pad": "^1.0.0", "@acme/icons": "2" },
                    "dependencies": { "left-pad": { "version": "1.1.0", "dev": true } },
                },
                "left-pad": {
                    "version": "1.3.0",
                    "integrity": "sha1-W4oyCkVSF+lgb+VUkGC0xGTCt2k=?acme",
                    "from": "acme-somewhere",
                    "requires": true,
                },
                "tool": { "version": "file:../acme-tool", "requires": { "left-pad": "^1.0.0" } },
                ".": { "version": "0.0.0", "dependencies": { "deep": { "version": "2.0.0" } } },
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_tree_keeps_its_shape_and_none_of_our_names() {
        let (asked, veil) = public_tree(&a_tree(), &is_public).unwrap();
        let text = asked.to_string();
        assert!(!text.contains("acme"), "{text}");
        assert!(!text.contains("c2VjcmV0"), "nor what own bytes are hashed to: {text}");
        let ui = &veil.by_name["acme-ui"];
        assert_eq!(asked["dependencies"][ui]["dependencies"]["left-pad"]["version"], "1.1.0");
        assert_eq!(asked["dependencies"]["left-pad"]["version"], "1.3.0");
        assert_eq!(asked["requires"]["left-pad"], "*");
        assert_eq!(asked["requires"]["tagged"], "*");
        let dot = &veil.by_name["."];
        assert_eq!(asked["dependencies"][dot]["dependencies"]["deep"]["version"], "2.0.0");
        assert_eq!(a_tree().size(), 6);

        let mut answer = json!({
            "advisories": { "1": { "findings": [{ "paths": [format!("{ui}>left-pad"), "left-pad"] }] } },
            "actions": [{ "module": ui, "resolves": [{ "path": format!("x>{ui}>left-pad") }] }],
            "title": "OWN-PACKAGE-99 and OWN-PACKAGE-x stay",
        });
        veil.lift(&mut answer);
        assert_eq!(answer["advisories"]["1"]["findings"][0]["paths"][0], "acme-ui>left-pad");
        assert_eq!(answer["actions"][0]["module"], "acme-ui");
        assert_eq!(answer["actions"][0]["resolves"][0]["path"], "x>acme-ui>left-pad");
        assert_eq!(answer["title"], "OWN-PACKAGE-99 and OWN-PACKAGE-x stay");
    }

    #[test]
    fn a_tree_of_own_packages_alone_is_not_asked_about() {
        for tree in [json!({}), json!({ "dependencies": { "acme-ui": { "version": "1.0.0" } } })] {
            let tree: Tree = serde_json::from_value(tree).unwrap();
            assert!(public_tree(&tree, &is_public).is_none());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_field_of_a_tree_carries_an_own_name(places in proptest::collection::vec(0usize..8, 1..6)) {
            let mut node = json!({ "version": "1.0.0" });
            for place in places {
                let secret = "acme-secret";
                node = match place {
                    0 => json!({ "version": secret, "dependencies": { "a": node } }),
                    1 => json!({ "version": "1.0.0", "requires": { "x": secret }, "dependencies": { "b": node } }),
                    2 => json!({ "version": "1.0.0", "requires": { secret: "1" }, "dependencies": { "c": node } }),
                    3 => json!({ "version": "1.0.0", "integrity": secret, "dependencies": { "d": node } }),
                    4 => json!({ "version": { "x": secret }, "dependencies": { "e": node } }),
                    5 => json!({ "version": "1.0.0", "dev": secret, "optional": [secret], "dependencies": { "f": node } }),
                    6 => json!({ "version": "1.0.0", secret: secret, "dependencies": { secret: node } }),
                    _ => json!({ "version": "1.0.0", "requires": secret, "dependencies": { "g": node } }),
                };
            }
            let tree: Tree = serde_json::from_value(json!({ "name": "acme-secret", "dependencies": { "top": node } })).unwrap();
            let asked = public_tree(&tree, &is_public).map(|(asked, _)| asked.to_string()).unwrap_or_default();
            proptest::prop_assert!(!asked.contains("acme"), "{}", asked);
        }
    }
}
