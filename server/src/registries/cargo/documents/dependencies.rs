//! What a crate depends on, by its Cargo.toml and by its line in an index: both read into one form, so
//! that they can be held against each other.
//!
//! Pure. Who compares a crate from an upstream with its index and who checks one that is published here
//! read both sides with this. Whether a dependency may be published is no question of it.

use semver::VersionReq;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::fields::{flag_at, none_of_cargo, table_at, text_at, texts};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// What the crate calls it.
    pub name: String,
    /// Its own name, where the crate calls it otherwise.
    pub package: Option<String>,
    pub kind: Kind,
    /// As its side spells it.
    pub target: Option<String>,
    pub requirement: String,
    /// Sorted.
    pub features: Vec<String>,
    pub optional: bool,
    pub default_features: bool,
    /// The address of the index that it comes from, as its side writes it: of what comes from the
    /// registry that is published to the JSON says none, and of what comes from cargo's own the
    /// Cargo.toml.
    pub index: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Normal,
    Build,
    Dev,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Build => "build",
            Self::Dev => "dev",
        }
    }

    /// As cargo reads it in a line: what it does not know is normal.
    fn in_line(kind: Option<&str>) -> Self {
        match kind {
            Some("build") => Self::Build,
            Some("dev") => Self::Dev,
            _ => Self::Normal,
        }
    }
}

impl Dependency {
    /// The crate's own name.
    pub fn of(&self) -> &str {
        self.package.as_deref().unwrap_or(&self.name)
    }

    /// But for where it comes from, and how its platform is spelled.
    pub fn compared(&self) -> Self {
        let target = self.target.as_deref().map(platform);
        Self { target, index: None, ..self.clone() }
    }
}

/// All that a Cargo.toml says, those of development among them. An error says what in it cargo does not
/// write, or why `check` takes none by that name and with that table.
pub fn packed(
    manifest: &Table,
    check: impl Fn(&str, &Table) -> Result<(), String>,
) -> Result<Vec<Dependency>, String> {
    let mut all = Vec::new();
    add_packed(manifest, None, &check, &mut all)?;
    for (target, table) in table_at(manifest, "target")? {
        let table = table.as_table().ok_or_else(|| none_of_cargo("target"))?;
        add_packed(table, Some(target), &check, &mut all)?;
    }
    Ok(all)
}

fn add_packed(
    table: &Table,
    target: Option<&str>,
    check: &impl Fn(&str, &Table) -> Result<(), String>,
    all: &mut Vec<Dependency>,
) -> Result<(), String> {
    for (field, kind) in [
        ("dependencies", Kind::Normal),
        ("build-dependencies", Kind::Build),
        ("build_dependencies", Kind::Build),
        ("dev-dependencies", Kind::Dev),
        ("dev_dependencies", Kind::Dev),
    ] {
        for (name, value) in table_at(table, field)? {
            let plain = Table::new();
            let (table, wanted) = match value {
                Value::String(wanted) => (&plain, Some(wanted.clone())),
                Value::Table(table) => (table, text_at(table, "version")?),
                _ => return Err(none_of_cargo("dependencies")),
            };
            check(name, table)?;
            let features =
                table.get("features").map(|value| texts(value, "features")).transpose()?;
            let default =
                flag_at(table, "default-features")?.or(flag_at(table, "default_features")?);
            all.push(Dependency {
                name: name.to_owned(),
                package: text_at(table, "package")?.filter(|package| package != name),
                kind,
                target: target.map(str::to_owned),
                requirement: requirement(wanted.as_deref().unwrap_or("*")),
                features: sorted(features.unwrap_or_default()),
                optional: flag_at(table, "optional")?.unwrap_or_default(),
                default_features: default.unwrap_or(true),
                index: text_at(table, "registry-index")?,
            });
        }
    }
    Ok(())
}

/// The same in a line of an index, which says nothing of what may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineDependency {
    name: String,
    req: String,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    optional: bool,
    #[serde(default = "yes")]
    default_features: bool,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registry: Option<String>,
    /// The crate's own name, where the dependency has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<String>,
}

const fn yes() -> bool {
    true
}

impl From<&Dependency> for LineDependency {
    fn from(dependency: &Dependency) -> Self {
        Self {
            name: dependency.name.clone(),
            req: dependency.requirement.clone(),
            features: dependency.features.clone(),
            optional: dependency.optional,
            default_features: dependency.default_features,
            target: dependency.target.clone(),
            kind: Some(dependency.kind.as_str().to_owned()),
            registry: dependency.index.clone(),
            package: dependency.package.clone(),
        }
    }
}

impl From<LineDependency> for Dependency {
    fn from(line: LineDependency) -> Self {
        Self {
            package: line.package.filter(|package| *package != line.name),
            name: line.name,
            kind: Kind::in_line(line.kind.as_deref()),
            target: line.target,
            requirement: requirement(&line.req),
            features: sorted(line.features),
            optional: line.optional,
            default_features: line.default_features,
            index: line.registry,
        }
    }
}

/// What is resolved for whoever uses the crate, in words: whoever lists it in another order says the
/// same.
pub fn in_words(dependencies: impl IntoIterator<Item = Dependency>) -> Vec<String> {
    let used = dependencies.into_iter().filter(|one| one.kind != Kind::Dev);
    let mut used: Vec<Dependency> = used.map(|one| one.compared()).collect();
    let order = |one: &Dependency| {
        let (package, kind) = (one.of().to_owned(), one.kind.as_str());
        (package, one.requirement.clone(), kind, one.optional, one.target.clone())
    };
    used.sort_by_cached_key(order);
    let words = used.iter().map(|one| {
        let (kind, package, wanted) = (one.kind.as_str(), one.of(), &one.requirement);
        let optional = if one.optional { " optional" } else { "" };
        let target = one.target.as_ref().filter(|target| !target.is_empty());
        let target = target.map_or_else(String::new, |target| format!(" on {target}"));
        format!("{kind} {package} {wanted}{optional}{target}")
    });
    words.collect()
}

/// In one spelling, whatever spaces and defaults it was written with.
pub fn requirement(text: &str) -> String {
    VersionReq::parse(text).map_or_else(|_| text.to_owned(), |parsed| parsed.to_string())
}

/// A platform in one spelling. cargo writes a `cfg(..)` into an index in its own, and leaves it in the
/// Cargo.toml as it was written: with or without blanks, and with a comma behind the last of a list.
/// What stands in quotes is as it stands. It is read in one go, because a crate may nest it as deep as
/// its manifest is long.
pub fn platform(text: &str) -> String {
    if !text.starts_with("cfg(") {
        return text.to_owned();
    }
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let (mut plain, mut is_quoted, mut is_behind_blank) =
        (String::with_capacity(text.len()), false, false);
    for char in text.chars() {
        if char == ' ' && !is_quoted {
            is_behind_blank = true;
            continue;
        }
        // Two words are none of cargo's, and are not made into one that is.
        if is_behind_blank && is_word(char) && plain.ends_with(is_word) {
            plain.push(' ');
        }
        is_behind_blank = false;
        if char == ')' && !is_quoted {
            plain.truncate(plain.trim_end_matches(',').len());
        }
        is_quoted ^= char == '"';
        plain.push(char);
    }
    plain
}

pub fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[cfg(test)]
mod tests;
