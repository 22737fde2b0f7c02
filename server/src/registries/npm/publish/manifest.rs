//! Whether what is published says the same as the manifest in the tarball.
//!
//! Pure. Installs resolve by what the registry shows and run what the tarball holds, so the two
//! must not differ. Clients normalise a manifest before they send it; both sides are brought to
//! one form here, by the same rules, and compared field by field.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::archive::Contents;

type Manifest = Map<String, Value>;

/// The first field that differs.
pub fn difference(published: &Manifest, archive: &Contents) -> Option<&'static str> {
    let (ours, theirs) = (canonical(published, archive), canonical(&archive.manifest, archive));
    ours.into_iter().zip(theirs).find(|(a, b)| a != b).map(|((field, _), _)| field)
}

/// Whether an install runs something of this package.
pub fn has_install_script(archive: &Contents) -> bool {
    scripts(&archive.manifest, archive).values().any(|script| !script.is_empty())
}

/// The fields that installs go by, in one form.
fn canonical(manifest: &Manifest, archive: &Contents) -> Vec<(&'static str, Value)> {
    let optional = texts(manifest, "optionalDependencies");
    let bundled = bundled(manifest);
    let mut required = texts(manifest, "dependencies");
    // npm adds what is bundled and not named.
    for name in &bundled {
        required.entry(name.clone()).or_insert_with(|| "*".to_owned());
    }
    // An optional dependency is one whatever else it is.
    required.retain(|name, _| !optional.contains_key(name));
    let plain = |field: &'static str| (field, manifest.get(field).cloned().unwrap_or(Value::Null));
    vec![
        ("name", text(manifest, "name").trim().into()),
        ("version", clean_version(text(manifest, "version")).into()),
        ("dependencies", json!(ranges(required))),
        ("optionalDependencies", json!(ranges(optional))),
        ("peerDependencies", json!(ranges(texts(manifest, "peerDependencies")))),
        ("peerDependenciesMeta", optional_peers(manifest)),
        ("acceptDependencies", json!(texts(manifest, "acceptDependencies"))),
        ("bundleDependencies", json!(bundled)),
        ("bin", json!(bins(manifest, archive))),
        ("scripts", json!(scripts(manifest, archive))),
        ("engines", json!(texts(manifest, "engines"))),
        ("os", list(manifest, "os")),
        ("cpu", list(manifest, "cpu")),
        ("libc", list(manifest, "libc")),
        plain("license"),
        plain("licenses"),
    ]
}

fn text<'a>(manifest: &'a Manifest, field: &str) -> &'a str {
    manifest.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// An object's texts; what is none is taken out, as npm does.
fn texts(manifest: &Manifest, field: &str) -> BTreeMap<String, String> {
    let fields = manifest.get(field).and_then(Value::as_object);
    let fields = fields.into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// ` =v1.2.3+build` is cleaned to `1.2.3`.
fn clean_version(version: &str) -> &str {
    let version = version.trim().trim_start_matches(['=', 'v', 'V']).trim_start();
    version.split('+').next().unwrap_or(version)
}

/// Dependencies on git are written in many ways; npm sends one of them.
fn ranges(dependencies: BTreeMap<String, String>) -> BTreeMap<String, String> {
    dependencies.into_iter().map(|(name, range)| (name, canonical_range(range))).collect()
}

const HOSTS: &[(&str, &str)] =
    &[("github", "github.com"), ("gitlab", "gitlab.com"), ("bitbucket", "bitbucket.org")];

fn canonical_range(range: String) -> String {
    let (address, commit) = match range.trim().split_once('#') {
        Some((address, commit)) => (address, Some(commit)),
        None => (range.trim(), None),
    };
    let Some((host, repository)) = hosted(address) else { return range };
    let repository = repository.strip_suffix(".git").unwrap_or(repository);
    let is_repository = repository.split('/').count() == 2
        && repository.split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '@']));
    if !is_repository {
        return range;
    }
    let commit = commit.map(|commit| format!("#{commit}")).unwrap_or_default();
    format!("{host}:{repository}{commit}")
}

/// The host and the path of a repository on one of those that npm knows.
fn hosted(address: &str) -> Option<(&'static str, &str)> {
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

fn optional_peers(manifest: &Manifest) -> Value {
    let fields = manifest.get("peerDependenciesMeta").and_then(Value::as_object);
    let optional = fields.into_iter().flatten().filter(|(_, meta)| meta["optional"] == true);
    json!(optional.map(|(name, _)| name).collect::<Vec<_>>())
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
fn inside(path: &str) -> String {
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
fn scripts(manifest: &Manifest, archive: &Contents) -> BTreeMap<&'static str, String> {
    let written = manifest.get("scripts");
    let mut scripts = BTreeMap::new();
    for name in ["preinstall", "install", "postinstall"] {
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
fn without_bin_path(script: &str) -> &str {
    let rest = script.strip_prefix("./").or_else(|| script.strip_prefix(".\\")).unwrap_or(script);
    let separator = ['/', '\\'];
    rest.strip_prefix("node_modules")
        .and_then(|rest| rest.strip_prefix(separator))
        // npm's own expression takes any character for the dot.
        .and_then(|rest| rest.get(1..).filter(|rest| rest.starts_with("bin")))
        .and_then(|rest| rest["bin".len()..].strip_prefix(separator))
        .unwrap_or(script)
}

/// One or several words.
fn list(manifest: &Manifest, field: &str) -> Value {
    match manifest.get(field) {
        Some(Value::String(word)) => json!([word]),
        Some(Value::Array(words)) => json!(words),
        _ => json!([]),
    }
}

#[cfg(test)]
mod tests;
