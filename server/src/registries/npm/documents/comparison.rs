//! Whether a tarball from an upstream says of itself what the packument says of it.
//!
//! Pure. Both sides are brought to one form by the rules that hold for what is published here
//! ([`canonical`]), and compared in what decides an install: what is resolved, what is linked, what
//! runs. Unlike there nobody can be asked to publish it again, so what registries and old clients
//! are known to have made of a manifest is no contradiction.

use std::io::Read;
use std::time::Duration;

use policies::package::Version;
use serde_json::{Map, Value};

use super::super::publish::archive::{self, Limits};
use super::super::publish::manifest::canonical;
use super::Packument;
use crate::metadata::records::Difference;
use crate::observability::escape::bounded;
use crate::pull::PullError;
use crate::pull::format::{CHARACTERS_TOLD, Said, Verdict};

/// What is compared, the gravest first.
const FIELDS: &[&str] = &[
    "name",
    "version",
    "scripts",
    "dependencies",
    "optionalDependencies",
    "bundleDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "acceptDependencies",
    "bin",
    "engines",
    "os",
    "cpu",
    "libc",
];
/// What else decides how those are read.
const BESIDE: &[&str] = &["bundledDependencies", "directories", "gypfile"];
const INSTALL_SCRIPTS: &[&str] = &["preinstall", "install", "postinstall"];
const DEPENDENCIES: &[&str] = &["dependencies", "optionalDependencies"];

/// Nobody waits for it, and others wait for its place.
const TIME: Duration = Duration::from_secs(30);

/// So many are told of one artifact, so that it fits into an observation.
const DIFFERENCES_TOLD: usize = 4;

/// The manifest in the packument, as far as it is compared.
pub fn said(packument: &Packument, version: &Version) -> Result<Option<Said>, PullError> {
    let Some(entry) = packument.entry(version) else { return Ok(None) };
    Ok(serde_json::from_slice(&entry.manifest(packument)?).ok().map(said_by))
}

fn said_by(manifest: Map<String, Value>) -> Said {
    let is_compared = |field: &str| FIELDS.contains(&field) || BESIDE.contains(&field);
    let mut manifest: Map<String, Value> =
        manifest.into_iter().filter(|(field, _)| is_compared(field)).collect();
    if let Some(Value::Object(scripts)) = manifest.get_mut("scripts") {
        scripts.retain(|name, _| INSTALL_SCRIPTS.contains(&name.as_str()));
    }
    Said::of(manifest)
}

/// Blocks: the archive is opened.
pub fn compare(said: &Said, packed: &mut dyn Read, length: u64) -> Verdict {
    let said = match said.fields() {
        Ok(said) => said,
        Err(fault) => return Verdict::unreadable(&fault.to_string()),
    };
    let limits = Limits { time: TIME, ..Limits::default() };
    match archive::open(packed, length, &limits) {
        Err(fault) => Verdict::unreadable(&fault.to_string()),
        Ok(contents) => Verdict::of(differences(said, contents)),
    }
}

fn differences(mut said: Map<String, Value>, mut contents: archive::Contents) -> Vec<Difference> {
    for manifest in [&mut said, &mut contents.manifest] {
        objectify_dependencies(manifest);
        forget_any_engine(manifest);
    }
    forget_listed_engines(&mut contents.manifest, &said);
    // Some clients took all as bundled, and others none.
    let bundled = |manifest: &Map<String, Value>| {
        ["bundleDependencies", "bundledDependencies"].map(|field| manifest.get(field).cloned())
    };
    let takes_all = bundled(&contents.manifest).contains(&Some(Value::Bool(true)));
    if takes_all && bundled(&said) == [None, None] {
        contents.manifest.remove("bundleDependencies");
        contents.manifest.remove("bundledDependencies");
    }
    let artifact = canonical(&contents.manifest, &contents);
    // What is built of a file that the packument is silent about runs all the same.
    contents.has_gyp &= said.get("gypfile") == Some(&Value::Bool(true));
    let mut upstream = canonical(&said, &contents);
    forget_build(&mut upstream, &artifact);
    let value = |fields: &[(&'static str, Value)], field: &str| {
        let found = fields.iter().find(|(name, _)| *name == field);
        found.map_or(Value::Null, |(_, value)| value.clone())
    };
    let all = FIELDS.iter().map(|field| (field, value(&artifact, field), value(&upstream, field)));
    all.filter(|(_, artifact, upstream)| artifact != upstream)
        .map(|(field, artifact, upstream)| Difference {
            field: (*field).to_owned(),
            artifact: told(&artifact, &upstream),
            upstream: told(&upstream, &artifact),
        })
        .take(DIFFERENCES_TOLD)
        .collect()
}

/// npm takes `"a@1, b"` and `["a@1", "b"]` for dependencies.
fn objectify_dependencies(manifest: &mut Map<String, Value>) {
    for field in DEPENDENCIES {
        let Some(value) = manifest.get_mut(*field) else { continue };
        let words: Vec<&str> = match &*value {
            Value::String(text) => {
                text.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect()
            }
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
            _ => continue,
        };
        let dependency = |word: &str| {
            let word = word.trim();
            let ends = |c: char| c.is_whitespace() || matches!(c, '@' | '>' | '<' | '=');
            let (name, range) = word.split_at(word.find(ends).unwrap_or(word.len()));
            (name.to_owned(), Value::from(range.strip_prefix('@').unwrap_or(range).trim()))
        };
        let dependencies: Map<String, Value> = words.into_iter().map(dependency).collect();
        *value = Value::Object(dependencies);
    }
}

/// Early clients wrote `"engines": { "node": "*" }` into what named none.
fn forget_any_engine(manifest: &mut Map<String, Value>) {
    if let Some(Value::Object(engines)) = manifest.get_mut("engines") {
        engines.retain(|_, range| range != "*");
    }
}

/// Engines in a list were lost where a registry took texts by name alone.
fn forget_listed_engines(artifact: &mut Map<String, Value>, said: &Map<String, Value>) {
    let is_list = artifact.get("engines").is_some_and(Value::is_array);
    if is_list && !said.contains_key("engines") {
        artifact.remove("engines");
    }
}

/// A client that found a `.gyp` file when it published says that an install builds it. Where the
/// file was not packed nothing is built, whatever is said.
fn forget_build(upstream: &mut [(&'static str, Value)], artifact: &[(&'static str, Value)]) {
    let builds = |scripts: &Value| scripts.get("install").cloned();
    let runs = artifact.iter().find(|(field, _)| *field == "scripts");
    let said = upstream.iter_mut().find(|(field, _)| *field == "scripts");
    if let (Some((_, runs)), Some((_, said))) = (runs, said)
        && builds(runs).is_none()
        && builds(said) == Some("node-gyp rebuild".into())
        && let Value::Object(said) = said
    {
        said.remove("install");
    }
}

/// Of an object what the other has not or has otherwise.
fn told(value: &Value, other: &Value) -> String {
    let value = match value {
        Value::Object(fields) => {
            let differs = |(name, value): &(&String, &Value)| other.get(*name) != Some(*value);
            let fields = fields.iter().filter(differs);
            Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        value => value.clone(),
    };
    let is_empty = match &value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(words) => words.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if is_empty {
        return "nothing".to_owned();
    }
    bounded(&value.to_string(), CHARACTERS_TOLD).into_owned()
}

#[cfg(test)]
mod tests;
