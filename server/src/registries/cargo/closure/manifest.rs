//! What a line of an index says that its version needs, and under which features. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use policies::package::{Ecosystem, Package};
use semver::{Comparator, Op, VersionReq};
use serde::Deserialize;

use super::super::upstream::addresses::is_cargos_own;

/// One version's needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub dependencies: Vec<Dependency>,
    /// What each feature turns on.
    features: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// The compiler that it asks for.
    pub rust_version: Option<String>,
}

/// One dependency, for whatever platform.
#[derive(Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What it is called in the manifest and by its features.
    alias: Box<str>,
    pub package: Result<Package, String>,
    pub requirement: VersionReq,
    is_optional: bool,
    has_default_features: bool,
    features: Vec<Box<str>>,
    pub origin: Origin,
}

/// Where a dependency comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The registry of the version that needs it.
    Here,
    /// The index that is cargo's own, in place of which the registry of an own crate may stand.
    Public,
    /// Another registry.
    Elsewhere,
}

/// What is asked of a dependency once it is on.
pub struct Active<'m> {
    /// Its place among all dependencies.
    pub number: usize,
    pub dependency: &'m Dependency,
    pub features: BTreeSet<Box<str>>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    deps: Vec<LineDependency<'a>>,
    #[serde(default)]
    features: BTreeMap<Box<str>, Vec<Box<str>>>,
    #[serde(default)]
    features2: Option<BTreeMap<Box<str>, Vec<Box<str>>>>,
    #[serde(default)]
    rust_version: Option<String>,
}

#[derive(Deserialize)]
struct LineDependency<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    req: Cow<'a, str>,
    #[serde(default)]
    features: Vec<Box<str>>,
    #[serde(default)]
    optional: bool,
    #[serde(default = "yes")]
    default_features: bool,
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    registry: Option<Cow<'a, str>>,
    /// Its name, where `name` is only what it is called here.
    #[serde(borrow, default)]
    package: Option<Cow<'a, str>>,
}

const fn yes() -> bool {
    true
}

impl Manifest {
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Line<'_> = serde_json::from_slice(line).map_err(|fault| fault.to_string())?;
        let is_needed = |one: &&LineDependency<'_>| one.kind.as_deref() != Some("dev");
        let dependencies = line.deps.iter().filter(is_needed).map(dependency);
        let dependencies = dependencies.collect::<Result<_, String>>()?;
        let mut features = line.features;
        for (feature, values) in line.features2.unwrap_or_default() {
            features.entry(feature).or_default().extend(values);
        }
        Ok(Self { dependencies, features, rust_version: line.rust_version })
    }

    /// What is on where these features are: each dependency with the features that it is asked for.
    pub fn active(&self, features: &BTreeSet<Box<str>>) -> Vec<Active<'_>> {
        let mut turned = Turned::default();
        for feature in features {
            turned.turn_on(self, feature);
        }
        let Turned { dependencies, extra, .. } = turned;
        let is_on = |(_, one): &(usize, &Dependency)| {
            !one.is_optional || dependencies.contains(&*one.alias)
        };
        let active =
            self.dependencies.iter().enumerate().filter(is_on).map(|(number, dependency)| {
                let alias = &*dependency.alias;
                let extra = extra.iter().filter(|(name, _)| *name == alias);
                let mut features: BTreeSet<Box<str>> =
                    dependency.features.iter().cloned().collect();
                features.extend(extra.map(|(_, feature)| Box::from(*feature)));
                features.extend(dependency.has_default_features.then(|| Box::from("default")));
                Active { number, dependency, features }
            });
        active.collect()
    }
}

/// What features have turned on.
#[derive(Default)]
struct Turned<'m> {
    features: BTreeSet<&'m str>,
    dependencies: BTreeSet<&'m str>,
    /// Features of dependencies.
    extra: Vec<(&'m str, &'m str)>,
}

impl<'m> Turned<'m> {
    /// As many turns as there are features, at the most.
    fn turn_on(&mut self, manifest: &'m Manifest, feature: &'m str) {
        let mut waiting = vec![feature];
        while let Some(feature) = waiting.pop() {
            if !self.features.insert(feature) {
                continue;
            }
            let Some(values) = manifest.features.get(feature) else {
                // An optional dependency is a feature of its own name.
                self.dependencies.insert(feature);
                continue;
            };
            for value in values {
                match (value.strip_prefix("dep:"), value.split_once('/')) {
                    (Some(alias), _) => {
                        self.dependencies.insert(alias);
                    }
                    (None, None) => waiting.push(value),
                    (None, Some((alias, feature))) => {
                        // With a mark a build has it only where something else turns it on; cargo
                        // locks it, and fetches what is locked.
                        let (alias, is_weak) = match alias.strip_suffix('?') {
                            Some(alias) => (alias, true),
                            None => (alias, false),
                        };
                        self.dependencies.insert(alias);
                        self.extra.push((alias, feature));
                        if !is_weak && manifest.features.contains_key(alias) {
                            waiting.push(alias);
                        }
                    }
                }
            }
        }
    }
}

fn dependency(line: &LineDependency<'_>) -> Result<Dependency, String> {
    let name = line.package.as_deref().unwrap_or(&line.name);
    let requirement = VersionReq::parse(&line.req)
        .map_err(|fault| format!("what it wants of {name} can not be read: {fault}"))?;
    Ok(Dependency {
        alias: Box::from(line.name.as_ref()),
        package: Package::new(Ecosystem::Cargo, name).map_err(|fault| fault.to_string()),
        requirement,
        is_optional: line.optional,
        has_default_features: line.default_features,
        features: line.features.clone(),
        origin: match line.registry.as_deref() {
            None => Origin::Here,
            Some(index) if is_cargos_own(index) => Origin::Public,
            Some(_) => Origin::Elsewhere,
        },
    })
}

/// This version and no other.
pub fn exactly(version: &semver::Version) -> VersionReq {
    let comparator = Comparator {
        op: Op::Exact,
        major: version.major,
        minor: Some(version.minor),
        patch: Some(version.patch),
        pre: version.pre.clone(),
    };
    VersionReq { comparators: vec![comparator] }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LINE: &str = r#"{"name":"x","vers":"1.0.0","rust_version":"1.70","deps":[
        {"name":"always","req":"^1","features":["a"],"optional":false,"default_features":false,"kind":"normal"},
        {"name":"built","req":"1","optional":false,"target":"cfg(windows)","kind":"build"},
        {"name":"tested","req":"1","optional":false,"kind":"dev"},
        {"name":"plain","req":"1","optional":true,"kind":"normal"},
        {"name":"hidden","package":"real-name","req":"1","optional":true,"kind":"normal"},
        {"name":"strong","req":"1","optional":true,"kind":"normal"},
        {"name":"far","req":"1","optional":true,"kind":"normal","registry":"https://a.example"}
    ],"features":{"default":["std"],"std":["always/std"]},
     "features2":{"more":["dep:hidden","strong/s","plain?/p","default"],"round":["round"]}}"#;

    fn active(features: &[&str]) -> Vec<String> {
        let manifest = Manifest::parse(LINE.as_bytes()).unwrap();
        let features = features.iter().map(|&feature| feature.into()).collect();
        let shown = |active: Active<'_>| {
            let name = active.dependency.package.as_ref().unwrap().name();
            let features: Vec<&str> = active.features.iter().map(AsRef::as_ref).collect();
            format!("{name}[{}]", features.join(" "))
        };
        manifest.active(&features).into_iter().map(shown).collect()
    }

    #[test]
    fn a_dependency_is_on_by_itself_or_by_a_feature() {
        let rows: [(&[&str], &[&str]); 5] = [
            (&[], &["always[a]", "built[default]"]),
            (&["default"], &["always[a std]", "built[default]"]),
            (&["plain"], &["always[a]", "built[default]", "plain[default]"]),
            (
                &["more"],
                &[
                    "always[a std]",
                    "built[default]",
                    "plain[default p]",
                    "real-name[default]",
                    "strong[default s]",
                ],
            ),
            (&["round", "nothing"], &["always[a]", "built[default]"]),
        ];
        for (features, expected) in rows {
            assert_eq!(active(features), expected, "{features:?}");
        }
    }

    #[test]
    fn what_is_no_requirement_is_said() {
        let fault = Manifest::parse(br#"{"deps":[{"name":"a","req":"newest"}]}"#).unwrap_err();
        assert!(fault.contains("what it wants of a"), "{fault}");
    }
}
