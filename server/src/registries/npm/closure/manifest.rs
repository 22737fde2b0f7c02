//! What of a version's manifest decides what is installed beside it.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use crate::observability::escape::bounded;

/// More dependencies than any package has; the largest known one has some thousands.
const NEEDS: usize = 10_000;
/// Of a text that is shown.
const SHOWN: usize = 200;
const LISTED: usize = 50;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// By name, each once.
    pub needs: Vec<Need>,
    /// Names of what is inside its archive, in whichever versions.
    pub bundles: Vec<String>,
    pub os: Vec<String>,
    pub cpu: Vec<String>,
    pub libc: Vec<String>,
    pub node: Option<String>,
    /// Its archive brings a lockfile, which npm goes by instead of the needs.
    pub shrinkwrapped: bool,
    /// Why not all of it is here.
    pub fault: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub name: Box<str>,
    pub spec: Box<str>,
    pub kind: NeedKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeedKind {
    Required,
    /// The install goes on without it.
    Optional,
    /// It has to be beside its dependent.
    Peer,
    /// It is not installed for this one's sake; where it is there, it has to fit.
    PeerOptional,
}

impl NeedKind {
    pub const fn is_peer(self) -> bool {
        matches!(self, Self::Peer | Self::PeerOptional)
    }
}

impl Manifest {
    /// What is of another shape than npm's is passed over, as npm does.
    pub fn parse(text: &[u8]) -> Self {
        let fields: Map<String, Value> = match serde_json::from_slice(text) {
            Ok(fields) => fields,
            Err(fault) => {
                let fault = Some(format!("its manifest can not be read: {fault}"));
                return Self { fault, ..Self::default() };
            }
        };
        let mut needs = BTreeMap::new();
        let optional_peers = optional_peers(&fields);
        // The later kind counts, where a name stands under several.
        for (field, kind) in [
            ("peerDependencies", NeedKind::Peer),
            ("dependencies", NeedKind::Required),
            ("optionalDependencies", NeedKind::Optional),
        ] {
            let Some(Value::Object(named)) = fields.get(field) else { continue };
            for (name, spec) in named {
                let Value::String(spec) = spec else { continue };
                let is_optional = kind == NeedKind::Peer && optional_peers.contains(name.as_str());
                let kind = if is_optional { NeedKind::PeerOptional } else { kind };
                needs.insert(name.as_str(), (spec.as_str(), kind));
            }
        }
        let bundles = bundles(&fields, needs.keys());
        let bundled: HashSet<&str> = bundles.iter().map(String::as_str).collect();
        let needs = needs.into_iter().filter(|(name, _)| !bundled.contains(name));
        let mut needs: Vec<Need> = needs
            .map(|(name, (spec, kind))| Need { name: name.into(), spec: spec.into(), kind })
            .collect();
        let fault = (needs.len() > NEEDS)
            .then(|| format!("it has {} dependencies, more than {NEEDS}", needs.len()));
        needs.truncate(NEEDS);
        let engines = fields.get("engines").and_then(Value::as_object);
        let node = engines.and_then(|engines| engines.get("node")).and_then(Value::as_str);
        Self {
            bundles: bundles
                .iter()
                .take(LISTED)
                .map(|name| bounded(name, SHOWN).into_owned())
                .collect(),
            needs,
            os: texts(fields.get("os")),
            cpu: texts(fields.get("cpu")),
            libc: texts(fields.get("libc")),
            node: node.map(|node| bounded(node, SHOWN).into_owned()),
            shrinkwrapped: fields.get("_hasShrinkwrap") == Some(&Value::Bool(true)),
            fault,
        }
    }
}

fn optional_peers(fields: &Map<String, Value>) -> HashSet<&str> {
    let Some(Value::Object(meta)) = fields.get("peerDependenciesMeta") else {
        return HashSet::new();
    };
    let is_optional = |meta: &Value| meta.get("optional") == Some(&Value::Bool(true));
    meta.iter().filter(|(_, meta)| is_optional(meta)).map(|(name, _)| name.as_str()).collect()
}

/// `true` is everything that it needs.
fn bundles<'n>(
    fields: &Map<String, Value>,
    needs: impl Iterator<Item = &'n &'n str>,
) -> Vec<String> {
    let field = fields.get("bundleDependencies").or_else(|| fields.get("bundledDependencies"));
    match field {
        Some(Value::Bool(true)) => needs.map(ToString::to_string).collect(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        }
        Some(Value::Object(names)) => names.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let texts: &[Value] = match value {
        Some(Value::Array(texts)) => texts,
        Some(text @ Value::String(_)) => std::slice::from_ref(text),
        _ => &[],
    };
    let shown = |text: &Value| text.as_str().map(|text| bounded(text, SHOWN).into_owned());
    texts.iter().take(LISTED).filter_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn needs(manifest: &Value) -> Vec<String> {
        let Manifest { needs, .. } = Manifest::parse(manifest.to_string().as_bytes());
        needs.iter().map(|need| format!("{} {} {:?}", need.name, need.spec, need.kind)).collect()
    }

    #[test]
    fn each_name_is_needed_once_by_the_kind_that_counts() {
        let manifest = json!({
            "dependencies": { "a": "^1", "b": "^1", "odd": 5 },
            "optionalDependencies": { "b": "^2" },
            "peerDependencies": { "a": "^9", "p": "*", "q": "*" },
            "peerDependenciesMeta": { "q": { "optional": true }, "p": { "optional": "yes" } },
            "devDependencies": { "d": "1" },
        });
        let expected = ["a ^1 Required", "b ^2 Optional", "p * Peer", "q * PeerOptional"];
        assert_eq!(needs(&manifest), expected);
    }

    #[test]
    fn what_is_bundled_is_shown_and_not_needed() {
        let dependencies = json!({ "a": "1", "b": "1" });
        for (bundles, left, shown) in [
            (json!(["a"]), vec!["b 1 Required"], vec!["a"]),
            (json!(true), vec![], vec!["a", "b"]),
            (json!({ "a": "1" }), vec!["b 1 Required"], vec!["a"]),
            (json!("a"), vec!["a 1 Required", "b 1 Required"], vec![]),
        ] {
            let manifest = json!({ "dependencies": dependencies, "bundleDependencies": bundles });
            assert_eq!(needs(&manifest), left, "{bundles}");
            assert_eq!(
                Manifest::parse(manifest.to_string().as_bytes()).bundles,
                shown,
                "{bundles}"
            );
        }
    }

    #[test]
    fn what_is_of_another_shape_is_passed_over_and_what_is_endless_is_cut_and_said() {
        for odd in [json!([]), json!("x"), json!(7), json!(null)] {
            let manifest = json!({ "dependencies": odd, "peerDependenciesMeta": odd, "os": odd });
            let found = Manifest::parse(manifest.to_string().as_bytes());
            assert!(found.needs.is_empty() && found.fault.is_none(), "{odd}");
        }
        assert!(Manifest::parse(b"[]").fault.is_some());
        let many: Map<String, Value> =
            (0..100_000).map(|n| (format!("p{n}"), "1".into())).collect();
        let found = Manifest::parse(json!({ "dependencies": many }).to_string().as_bytes());
        assert_eq!(found.needs.len(), NEEDS);
        assert!(found.fault.is_some_and(|fault| fault.contains("100000")));
    }
}
