//! A version, as cargo describes it beside the crate and as the crate's own Cargo.toml does: both read
//! into one form, so that they can be held against each other.
//!
//! Pure. cargo resolves by the index and builds by the Cargo.toml, so the two have to say the same.
//! What the index says is made of this form.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use toml::{Table, Value};

use super::super::documents::dependencies::{self, requirement, sorted};
pub use super::super::documents::dependencies::{Dependency, Kind};
use super::super::documents::fields::{table_at, text_at, texts};

/// What a version says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    pub version: String,
    pub dependencies: Vec<Dependency>,
    pub features: BTreeMap<String, Vec<String>>,
    pub links: Option<String>,
    pub rust_version: Option<String>,
    pub said: Said,
}

/// What is said for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub description: Option<String>,
    pub homepage: Option<String>,
    pub documentation: Option<String>,
    pub repository: Option<String>,
    pub license: Option<String>,
    pub license_file: Option<String>,
    pub keywords: Vec<String>,
    pub categories: Vec<String>,
}

/// The JSON of a publish, as far as it is held against the crate. A field that is missing is null.
#[derive(Deserialize)]
struct Sent {
    name: String,
    vers: String,
    #[serde(default)]
    deps: Option<Vec<SentDependency>>,
    #[serde(default)]
    features: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    links: Option<String>,
    #[serde(default)]
    rust_version: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    homepage: Option<String>,
    #[serde(default)]
    documentation: Option<String>,
    #[serde(default)]
    repository: Option<String>,
    #[serde(default)]
    license: Option<String>,
    #[serde(default)]
    license_file: Option<String>,
    #[serde(default)]
    keywords: Option<Vec<String>>,
    #[serde(default)]
    categories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct SentDependency {
    name: String,
    version_req: String,
    #[serde(default)]
    features: Option<Vec<String>>,
    #[serde(default)]
    optional: Option<bool>,
    #[serde(default)]
    default_features: Option<bool>,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    registry: Option<String>,
    #[serde(default)]
    explicit_name_in_toml: Option<String>,
    #[serde(default)]
    artifact: Option<serde::de::IgnoredAny>,
}

const ARTIFACT: &str = "it has a dependency on an artifact, which cargo has not made stable";

impl Described {
    pub fn sent(json: &[u8]) -> Result<Self, String> {
        let sent: Sent = serde_json::from_slice(json)
            .map_err(|fault| format!("its JSON is none of a publish: {fault}"))?;
        let mut dependencies = Vec::new();
        for sent in sent.deps.unwrap_or_default() {
            if sent.artifact.is_some() {
                return Err(ARTIFACT.to_owned());
            }
            let renamed = sent.explicit_name_in_toml.filter(|name| *name != sent.name);
            let (name, package) = match renamed {
                Some(name) => (name, Some(sent.name)),
                None => (sent.name, None),
            };
            dependencies.push(Dependency {
                name,
                package,
                kind: sent.kind.unwrap_or(Kind::Normal),
                target: sent.target,
                requirement: requirement(&sent.version_req),
                features: sorted(sent.features.unwrap_or_default()),
                optional: sent.optional.unwrap_or_default(),
                default_features: sent.default_features.unwrap_or(true),
                index: sent.registry,
            });
        }
        Ok(Self {
            name: sent.name,
            version: sent.vers,
            dependencies,
            features: sent.features.unwrap_or_default(),
            links: sent.links,
            rust_version: sent.rust_version,
            said: Said {
                description: sent.description,
                homepage: sent.homepage,
                documentation: sent.documentation,
                repository: sent.repository,
                license: sent.license,
                license_file: sent.license_file,
                keywords: sent.keywords.unwrap_or_default(),
                categories: sent.categories.unwrap_or_default(),
            },
        })
    }

    /// What a Cargo.toml says, as cargo writes it into a crate: with nothing left to a workspace.
    pub fn packed(manifest: &Table) -> Result<Self, String> {
        let package = manifest.get("package").or_else(|| manifest.get("project"));
        let package =
            package.and_then(Value::as_table).ok_or("it is no Cargo.toml of a package")?;
        // Whoever installs the crate by itself would go by these.
        if let Some(table) =
            ["patch", "replace"].iter().find(|table| manifest.contains_key(**table))
        {
            return Err(format!(
                "it has a table {table:?}, which cargo leaves out of what it packs"
            ));
        }
        let dependencies = dependencies::packed(manifest, check_origin)?;
        let mut features = BTreeMap::new();
        for (name, enabled) in table_at(manifest, "features")? {
            features.insert(name.clone(), texts(enabled, "features")?);
        }
        let text = |field: &str| text_at(package, field);
        let list = |field: &str| {
            package.get(field).map_or_else(|| Ok(Vec::new()), |value| texts(value, field))
        };
        Ok(Self {
            name: text("name")?.unwrap_or_default(),
            version: text("version")?.unwrap_or_default(),
            dependencies,
            features,
            links: text("links")?,
            rust_version: text("rust-version")?,
            said: Said {
                description: text("description")?,
                homepage: text("homepage")?,
                documentation: text("documentation")?,
                repository: text("repository")?,
                license: text("license")?,
                license_file: text("license-file")?,
                keywords: list("keywords")?,
                categories: list("categories")?,
            },
        })
    }

    /// The features as cargo 1.78 to 1.80 sends them: it looks for what they turn on among the names that
    /// the dependencies call themselves, so what the crate calls otherwise is missing.
    fn features_of_old(&self) -> BTreeMap<String, Vec<String>> {
        let own: HashSet<&str> = self.dependencies.iter().map(Dependency::of).collect();
        let renamed = self.dependencies.iter().filter(|one| one.package.is_some());
        let renamed: HashSet<&str> = renamed.map(|one| &*one.name).collect();
        let missing: HashSet<&str> = renamed.difference(&own).copied().collect();
        let is_sent = |value: &&String| {
            let called = match value.split_once('/') {
                Some((called, _)) => Some(called.strip_suffix('?').unwrap_or(called)),
                None => value.strip_prefix("dep:"),
            };
            called.is_none_or(|called| !missing.contains(called))
        };
        let sent = |(feature, values): (&String, &Vec<String>)| {
            (feature.clone(), values.iter().filter(is_sent).cloned().collect())
        };
        self.features.iter().map(sent).collect()
    }

    /// In an order that both sides have, however they spell a platform.
    pub fn dependencies_in_order(&self) -> Vec<&Dependency> {
        let mut all: Vec<&Dependency> = self.dependencies.iter().collect();
        all.sort_by_key(|dependency| dependency.compared());
        all
    }

    /// What of the JSON is not what the Cargo.toml says. Where dependencies come from is another
    /// question.
    pub fn difference(&self, packed: &Self) -> Option<String> {
        let (sent, own) = (&self.said, &packed.said);
        let file =
            |said: &Said| said.license_file.as_deref().map(|path| file_name(path).to_owned());
        let fields = [
            ("name", self.name == packed.name),
            ("version", self.version == packed.version),
            ("links", self.links == packed.links),
            // cargo before 1.71 does not send it.
            (
                "rust-version",
                self.rust_version.is_none() || self.rust_version == packed.rust_version,
            ),
            ("description", sent.description == own.description),
            ("homepage", sent.homepage == own.homepage),
            ("documentation", sent.documentation == own.documentation),
            ("repository", sent.repository == own.repository),
            ("license", sent.license == own.license),
            ("license-file", file(sent) == file(own)),
            ("keywords", sent.keywords == own.keywords),
            ("categories", sent.categories == own.categories),
            (
                "features",
                self.features == packed.features || self.features == packed.features_of_old(),
            ),
        ];
        if let Some((field, _)) = fields.iter().find(|(_, is_same)| !is_same) {
            return Some((*field).to_owned());
        }
        let compared = |described: &Self| -> Vec<Dependency> {
            described.dependencies_in_order().into_iter().map(Dependency::compared).collect()
        };
        let (sent, own) = (compared(self), compared(packed));
        let only = |some: &[Dependency], others: &[Dependency]| {
            some.iter().find(|one| !others.contains(one)).map(|one| one.name.clone())
        };
        if sent == own {
            return None;
        }
        let differs = only(&sent, &own).or_else(|| only(&own, &sent));
        Some(
            differs.map_or_else(
                || "dependencies".to_owned(),
                |name| format!("the dependency {name:?}"),
            ),
        )
    }
}

/// Of a dependency: whether everybody finds it where it comes from.
fn check_origin(name: &str, table: &Table) -> Result<(), String> {
    if table.contains_key("artifact") {
        return Err(ARTIFACT.to_owned());
    }
    if table.contains_key("path") || table.contains_key("git") {
        return Err(format!(
            "its dependency {name:?} comes from a path or from git, where nobody else finds it"
        ));
    }
    Ok(())
}

/// The name of a licence's file: cargo before 1.81 sends its path as it is written, and packs it as one
/// within the crate.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn sent() -> serde_json::Value {
        json!({
            "name": "app", "vers": "1.0.0", "readme": "# App", "authors": ["ann"],
            "deps": [
                { "name": "seed", "version_req": "^1", "features": ["b", "a"], "optional": true,
                  "default_features": false, "target": null, "kind": "normal", "registry": "r",
                  "explicit_name_in_toml": "plant" },
                { "name": "seed", "version_req": ">=1, <2", "features": [], "optional": false,
                  "default_features": true, "target": "cfg(all(unix, windows))", "kind": "build" },
            ],
            "features": { "x": ["dep:plant"] }, "links": "z", "rust_version": "1.70",
            "license": "MIT", "keywords": ["a"], "description": null,
        })
    }

    const MANIFEST: &str = r#"
        [package]
        name = "app"
        version = "1.0.0"
        links = "z"
        rust-version = "1.70"
        license = "MIT"
        keywords = ["a"]
        [dependencies.plant]
        package = "seed"
        version = "1"
        features = ["a", "b"]
        optional = true
        default-features = false
        registry-index = "elsewhere"
        [target."cfg( all(unix,windows,) )".build-dependencies]
        seed = ">=1,<2"
        [features]
        x = ["dep:plant"]
    "#;

    fn difference(sent: &serde_json::Value, manifest: &str) -> Option<String> {
        let packed = Described::packed(&manifest.parse().unwrap()).unwrap();
        Described::sent(sent.to_string().as_bytes()).unwrap().difference(&packed)
    }

    #[test]
    fn both_sides_say_the_same_however_they_spell_it() {
        assert_eq!(difference(&sent(), MANIFEST), None);
        let mut other = sent();
        other["deps"][1]["target"] = "cfg(unix)".into();
        assert_eq!(difference(&other, MANIFEST).as_deref(), Some("the dependency \"seed\""));
        let with = MANIFEST.replace("package = \"seed\"", "package = \"weed\"");
        assert_eq!(difference(&sent(), &with).as_deref(), Some("the dependency \"plant\""));
    }

    /// What is right about a crate, as a cargo of some years ago sends it.
    #[test]
    fn what_old_versions_of_cargo_send_is_what_their_crates_say() {
        let with = |fields: serde_json::Value| {
            let mut old = sent();
            for (field, value) in fields.as_object().unwrap() {
                old[field] = value.clone();
            }
            old
        };
        let of_file = |file: &str| {
            MANIFEST.replace("links = \"z\"", &format!("links = \"z\"\nlicense-file = {file:?}"))
        };
        // The crate calls another one by a name of its own.
        let renamed = MANIFEST.replace(
            "x = [\"dep:plant\"]",
            "x = [\"y\", \"dep:plant\", \"plant/a\", \"plant?/b\", \"seed/c\"]\ny = []",
        );
        let whole = json!(["y", "dep:plant", "plant/a", "plant?/b", "seed/c"]);
        let rows = [
            (
                "a path to a licence",
                with(json!({ "license_file": "../LICENSE" })),
                of_file("LICENSE"),
                None,
            ),
            (
                "a path of Windows",
                with(json!({ "license_file": "..\\LICENSE" })),
                of_file("LICENSE"),
                None,
            ),
            (
                "a path from here",
                with(json!({ "license_file": "./docs/LICENSE" })),
                of_file("docs/LICENSE"),
                None,
            ),
            (
                "another licence",
                with(json!({ "license_file": "COPYING" })),
                of_file("LICENSE"),
                Some("license-file"),
            ),
            ("a licence unsaid", sent(), of_file("LICENSE"), Some("license-file")),
            ("no compiler", with(json!({ "rust_version": null })), MANIFEST.to_owned(), None),
            (
                "features",
                with(json!({ "features": { "x": whole, "y": [] } })),
                renamed.clone(),
                None,
            ),
            (
                "features of 1.80",
                with(json!({ "features": { "x": ["y", "seed/c"], "y": [] } })),
                renamed.clone(),
                None,
            ),
            (
                "features with less",
                with(json!({ "features": { "x": ["seed/c"], "y": [] } })),
                renamed.clone(),
                Some("features"),
            ),
            (
                "features without some",
                with(json!({ "features": { "x": ["y", "dep:plant", "seed/c"], "y": [] } })),
                renamed.clone(),
                Some("features"),
            ),
            (
                "features with one more",
                with(json!({ "features": { "x": ["y", "seed/c", "z"], "y": [] } })),
                renamed.clone(),
                Some("features"),
            ),
            (
                "a feature less",
                with(json!({ "features": { "x": ["y", "seed/c"] } })),
                renamed,
                Some("features"),
            ),
        ];
        for (what, sent, manifest, expected) in rows {
            assert_eq!(difference(&sent, &manifest).as_deref(), expected, "{what}");
        }
    }

    #[test]
    fn what_is_missing_is_null() {
        let least = json!({ "name": "app", "vers": "1.0.0" });
        let packed = "[package]\nname = \"app\"\nversion = \"1.0.0\"\n";
        assert_eq!(difference(&least, packed), None);
    }

    #[test]
    fn what_cargo_never_writes_is_refused() {
        for manifest in [
            "",
            "package = 1",
            "[package]\nname = 1",
            "dependencies = 1\n[package]",
            "[package]\n[dependencies]\na = 1",
            "[package]\n[dependencies]\na = { optional = 1 }",
            "[package]\n[dependencies]\na = { path = \"..\" }",
            "[package]\n[dependencies]\na = { git = \"https://git.example\" }",
            "[package]\n[dependencies]\na = { version = \"1\", artifact = \"bin\" }",
            "[package]\n[target]\na = 1",
            "[package]\n[features]\na = [1]",
            "[package]\n[patch.x]\na = { path = \"..\" }",
            "[package]\n[replace]\n\"a:1.0.0\" = { path = \"..\" }",
        ] {
            assert!(Described::packed(&manifest.parse().unwrap()).is_err(), "{manifest}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_panics(text in "\\PC{0,200}") {
            let _ = Described::sent(text.as_bytes());
            if let Ok(manifest) = text.parse() {
                let _ = Described::packed(&manifest);
            }
        }
    }
}
