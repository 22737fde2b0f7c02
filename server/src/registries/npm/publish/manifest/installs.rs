//! What installs go by, in one form.
//!
//! Clients normalise a manifest before they send it: this does the same, by the same rules, to
//! what was sent and to what lies in the archive.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::archive::Contents;
use super::Manifest;

/// What an install runs of its own accord.
pub const SCRIPTS: &[&str] = &["preinstall", "install", "postinstall"];

/// Each of them, empty where nothing is said.
pub fn fields(manifest: &Manifest, archive: &Contents) -> Vec<(&'static str, Value)> {
    let optional = texts(manifest, "optionalDependencies");
    let bundled = bundled(manifest);
    let mut required = texts(manifest, "dependencies");
    // npm adds what is bundled and not named.
    for name in &bundled {
        required.entry(name.clone()).or_insert_with(|| "*".to_owned());
    }
    // An optional dependency is one whatever else it is.
    required.retain(|name, _| !optional.contains_key(name));
    vec![
        ("name", text(manifest, "name").trim().into()),
        ("version", clean_version(text(manifest, "version")).into()),
        ("dependencies", json!(required)),
        ("optionalDependencies", json!(optional)),
        ("peerDependencies", json!(texts(manifest, "peerDependencies"))),
        ("peerDependenciesMeta", optional_peers(manifest)),
        ("acceptDependencies", json!(texts(manifest, "acceptDependencies"))),
        ("bundleDependencies", json!(bundled)),
        ("bin", json!(bins(manifest, archive))),
        ("scripts", json!(scripts(manifest, archive))),
        ("engines", json!(engines(manifest))),
        ("os", list(manifest, "os")),
        ("cpu", list(manifest, "cpu")),
        ("libc", list(manifest, "libc")),
    ]
}

/// The same field in the form in which two of them are compared.
pub fn compared(field: &str, mut value: Value) -> Value {
    if matches!(field, "dependencies" | "optionalDependencies" | "peerDependencies") {
        for range in value.as_object_mut().into_iter().flat_map(|ranges| ranges.values_mut()) {
            if let Value::String(range) = range {
                *range = canonical_range(std::mem::take(range));
            }
        }
    }
    value
}

pub fn text<'a>(manifest: &'a Manifest, field: &str) -> &'a str {
    manifest.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// An object's texts; what is none is taken out, as npm does.
pub fn texts(manifest: &Manifest, field: &str) -> BTreeMap<String, String> {
    let fields = manifest.get(field).and_then(Value::as_object);
    let fields = fields.into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// ` =v1.2.3+build` is cleaned to `1.2.3`.
fn clean_version(version: &str) -> &str {
    let version = version.trim().trim_start_matches(['=', 'v', 'V']).trim_start();
    version.split('+').next().unwrap_or(version)
}

/// As they are named in short, and where they are.
const HOSTS: &[(&str, &str)] = &[
    ("github", "github.com"),
    ("gitlab", "gitlab.com"),
    ("bitbucket", "bitbucket.org"),
    ("sourcehut", "git.sr.ht"),
];

/// Dependencies on git are written in many ways; npm sends one of them.
fn canonical_range(range: String) -> String {
    let (address, commit) = match range.trim().split_once('#') {
        Some((address, commit)) => (address, Some(commit)),
        None => (range.trim(), None),
    };
    let Some((host, repository)) = hosted(address) else { return range };
    let repository = repository.strip_suffix(".git").unwrap_or(repository);
    let fits = |part: &str| !part.is_empty() && !part.starts_with(['.', '@']);
    if repository.split('/').count() != 2 || !repository.split('/').all(fits) {
        return range;
    }
    let commit = commit.map(|commit| format!("#{commit}")).unwrap_or_default();
    format!("{host}:{repository}{commit}")
}

/// The host and the path of a repository on one of those that npm knows: whose it is and its name come
/// first in it.
pub fn hosted(address: &str) -> Option<(&'static str, &str)> {
    let (host, path) = place_of(address)?;
    let parts = path.strip_suffix(".git").unwrap_or(path).split('/');
    let named = parts.take(2).filter(|part| !part.is_empty()).count();
    (named == 2).then_some((host, path))
}

fn place_of(address: &str) -> Option<(&'static str, &str)> {
    for (short, domain) in HOSTS {
        if let Some(path) = address.strip_prefix(short).and_then(|rest| rest.strip_prefix(':')) {
            return Some((short, path));
        }
        for scheme in ["git+https://", "git+ssh://", "git://", "https://", "ssh://", ""] {
            let Some(rest) = address.strip_prefix(scheme) else { continue };
            let rest = rest.strip_prefix("git@").unwrap_or(rest);
            let rest = rest.strip_prefix("www.").unwrap_or(rest);
            if let Some(path) = rest.strip_prefix(domain)
                && let Some(path) = path.strip_prefix(['/', ':'])
            {
                return Some((short, path));
            }
        }
    }
    // `user/repository` is on the first of them.
    let is_short = !address.contains([':', '@', ' ']) && !address.starts_with(['.', '/', '~']);
    (is_short && address.split('/').count() == 2).then_some((HOSTS[0].0, address))
}

/// Where a repository of one of those hosts is fetched from.
pub fn address(host: &str, path: &str) -> String {
    let domain = HOSTS.iter().find(|(short, _)| *short == host).map_or(host, |(_, domain)| domain);
    let path = path.trim_end_matches('/');
    format!("git+https://{domain}/{}.git", path.strip_suffix(".git").unwrap_or(path))
}

fn optional_peers(manifest: &Manifest) -> Value {
    let fields = manifest.get("peerDependenciesMeta").and_then(Value::as_object);
    let optional = fields.into_iter().flatten().filter(|(_, meta)| meta["optional"] == true);
    let optional = optional.map(|(name, _)| (name.clone(), json!({ "optional": true })));
    Value::Object(optional.collect())
}

fn bundled(manifest: &Manifest) -> Vec<String> {
    let field = ["bundleDependencies", "bundledDependencies"]
        .iter()
        .find_map(|field| manifest.get(*field))
        .unwrap_or(&Value::Null);
    let mut names: Vec<String> = match field {
        Value::Bool(true) => texts(manifest, "dependencies").into_keys().collect(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Object(names) => names.keys().cloned().collect(),
        _ => Vec::new(),
    };
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}

/// Commands and their files. Names lose their directories and files can not leave the package, as
/// where npm links them.
fn bins(manifest: &Manifest, archive: &Contents) -> BTreeMap<String, String> {
    let mut bins = BTreeMap::new();
    let mut add = |name: &str, file: &str| {
        let (name, file) = (inside(name), inside(file));
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        if !name.is_empty() && !file.is_empty() {
            bins.insert(name, file);
        }
    };
    match manifest.get("bin") {
        Some(Value::String(file)) if !file.is_empty() => add(text(manifest, "name").trim(), file),
        Some(Value::Array(files)) => {
            for file in files.iter().filter_map(Value::as_str) {
                add(file, file);
            }
        }
        Some(Value::Object(files)) => {
            for (name, file) in files {
                if let Some(file) = file.as_str() {
                    add(name, file);
                }
            }
        }
        _ => {
            let directory = manifest.get("directories").and_then(|all| all.get("bin"));
            let directory = directory.and_then(Value::as_str).map(inside).unwrap_or_default();
            if directory.is_empty() {
                return bins;
            }
            let below = format!("{directory}/");
            for file in archive.names.iter().flatten() {
                let Some(rest) = file.strip_prefix(&below).filter(|rest| !hidden(rest)) else {
                    continue;
                };
                // npm names the directories in it too.
                for (end, _) in rest.match_indices('/') {
                    let within = &file[..below.len() + end];
                    add(within, within);
                }
                add(file, file);
            }
        }
    }
    bins
}

fn hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

/// A path as it is below the package's root, which it can not leave.
pub fn inside(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\', ':']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What an install runs. Without a script of its own, a package with a `.gyp` file is built.
pub fn scripts(manifest: &Manifest, archive: &Contents) -> BTreeMap<&'static str, String> {
    let written = manifest.get("scripts");
    let mut scripts = BTreeMap::new();
    for name in SCRIPTS.iter().copied() {
        let script = written.and_then(|scripts| scripts.get(name)).and_then(Value::as_str);
        if let Some(script) = script.filter(|script| !script.is_empty()) {
            scripts.insert(name, without_bin_path(script).to_owned());
        }
    }
    let builds = archive.has_gyp && manifest.get("gypfile") != Some(&Value::Bool(false));
    if builds && !scripts.contains_key("install") && !scripts.contains_key("preinstall") {
        scripts.insert("install", "node-gyp rebuild".to_owned());
    }
    scripts
}

/// `./node_modules/.bin/x` is `x`, which npm finds there.
pub fn without_bin_path(script: &str) -> &str {
    let rest = script.strip_prefix("./").or_else(|| script.strip_prefix(".\\")).unwrap_or(script);
    let separator = ['/', '\\'];
    rest.strip_prefix("node_modules")
        .and_then(|rest| rest.strip_prefix(separator))
        // npm's own expression takes any character for the dot.
        .and_then(|rest| rest.get(1..).filter(|rest| rest.starts_with("bin")))
        .and_then(|rest| rest["bin".len()..].strip_prefix(separator))
        .unwrap_or(script)
}

/// In old manifests they are a list of `node >=6`.
fn engines(manifest: &Manifest) -> BTreeMap<String, String> {
    let Some(Value::Array(engines)) = manifest.get("engines") else {
        return texts(manifest, "engines");
    };
    let engines = engines.iter().filter_map(Value::as_str);
    let split = |engine: &str| {
        let (name, range) = engine.trim().split_once(' ').unwrap_or((engine.trim(), ""));
        (name.to_owned(), range.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    engines.map(split).collect()
}

/// One or several words.
fn list(manifest: &Manifest, field: &str) -> Value {
    match manifest.get(field) {
        Some(Value::String(word)) => json!([word]),
        Some(Value::Array(words)) => json!(words),
        _ => json!([]),
    }
}
