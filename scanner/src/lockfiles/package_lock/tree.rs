//! Versions 2 and 3: one entry for each folder of the installed tree.
//!
//! ```text
//! ""                              the project
//! packages/a                      a workspace: local
//! node_modules/a                  a link to it
//! node_modules/x                  from a registry, git or an address
//! node_modules/x/node_modules/y   another y, for x alone
//! ```
//!
//! A dependency is looked for where node would: in the dependent's own `node_modules`, then in that of
//! each folder above it.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Installed, MAX_DEPTH, local, local_path, project, scope, source};
use crate::lockfiles::{Parsed, bare_address};
use crate::{Found, Source};

type Specifiers = BTreeMap<String, String>;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(clippy::struct_excessive_bools, reason = "npm's format")]
struct Entry {
    /// Only where it is not the folder's name: an alias.
    name: Option<String>,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    link: bool,
    dev: bool,
    optional: bool,
    dev_optional: bool,
    in_bundle: bool,
    dependencies: Specifiers,
    optional_dependencies: Specifiers,
    peer_dependencies: Specifiers,
    dev_dependencies: Specifiers,
}

/// A folder of the tree.
struct Folder {
    /// Where a dependency is looked for next.
    parent: Option<usize>,
    holds: Holds,
}

enum Holds {
    /// Not listed itself, or its entry could not be read.
    Nothing,
    Package(usize),
    /// The key of the folder that the link points to.
    Link(String),
}

#[derive(Default)]
struct Folders<'a> {
    all: Vec<Folder>,
    /// Folders outside `node_modules`, by their path.
    by_path: HashMap<&'a str, usize>,
    /// Folders inside `node_modules`, by the folder that holds it and their name.
    by_name: HashMap<(usize, &'a str), usize>,
}

pub fn read(
    parsed: &mut Parsed,
    project_name: Option<&str>,
    packages: &BTreeMap<String, &RawValue>,
) {
    let mut folders = Folders::default();
    folders.path("");
    let mut read = Vec::new();
    for (key, raw) in packages {
        let entry: Entry = match serde_json::from_str(raw.get()) {
            Ok(entry) => entry,
            Err(error) => {
                parsed.problem(key, error.to_string());
                continue;
            }
        };
        let Some((folder, folder_name)) = folders.place(key) else {
            parsed.problem(key, format!("is more than {MAX_DEPTH} folders deep"));
            continue;
        };
        if entry.link {
            let target = entry.resolved.as_deref().unwrap_or_default();
            folders.all[folder].holds = Holds::Link(target.to_owned());
            continue;
        }
        let name = entry.name.as_deref().or(folder_name);
        let found = match folder_name {
            None if key.is_empty() => Ok(project(name.or(project_name), entry.version.as_deref())),
            None => Ok(workspace(key, name, &entry)),
            Some(folder_name) => installed(name.unwrap_or(folder_name), &entry),
        };
        match found {
            Ok(found) => {
                let package = parsed.package(found);
                folders.all[folder].holds = Holds::Package(package);
                read.push((folder, package, entry, key.as_str()));
            }
            Err(what) => parsed.problem(key, what),
        }
    }
    for (folder, package, entry, key) in &read {
        connect(parsed, &folders, *folder, *package, entry, key);
    }
}

fn workspace(key: &str, name: Option<&str>, entry: &Entry) -> Found {
    let path = local_path(key);
    let last = path.rsplit('/').next().unwrap_or(&path).to_owned();
    let name = name.filter(|name| !name.is_empty()).unwrap_or(&last);
    local(name, entry.version.as_deref(), Source::Local(path.clone()))
}

fn installed(name: &str, entry: &Entry) -> Result<Found, String> {
    Installed {
        name,
        version: entry.version.as_deref(),
        source: source(entry.resolved.as_deref(), name),
        scope: scope(entry.dev, entry.optional, entry.dev_optional),
        bundled: entry.in_bundle,
        integrity: entry.integrity.as_deref(),
    }
    .found()
}

fn connect(
    parsed: &mut Parsed,
    folders: &Folders,
    folder: usize,
    package: usize,
    entry: &Entry,
    key: &str,
) {
    let importer = matches!(parsed.packages[package].source, Source::Local(_));
    let required = entry.dependencies.iter().map(|specifier| (specifier, true));
    let development = entry.dev_dependencies.iter().map(|specifier| (specifier, true));
    let development = development.filter(|_| importer);
    // npm leaves out what is optional and does not fit, and peers that nobody provides.
    let lenient = entry.optional_dependencies.iter().chain(&entry.peer_dependencies);
    let lenient = lenient.map(|specifier| (specifier, false));
    for ((name, specifier), required) in required.chain(development).chain(lenient) {
        match folders.resolve(folder, name) {
            Some(to) => {
                parsed.edge(package, to, name);
                mark_archive(&mut parsed.packages[to], specifier);
            }
            None if required && !entry.optional_dependencies.contains_key(name) => {
                parsed.problem(key, format!("dependency {name:?} is not listed"));
            }
            None => {}
        }
    }
}

/// Only the dependent shows whether an archive's address is a registry's or was asked for by itself.
fn mark_archive(found: &mut Found, specifier: &str) {
    let address = specifier.starts_with("http://") || specifier.starts_with("https://");
    if address && matches!(found.source, Source::Registry(_)) {
        found.source = Source::Archive(bare_address(specifier));
    }
}

impl<'a> Folders<'a> {
    fn add(&mut self, parent: Option<usize>) -> usize {
        self.all.push(Folder { parent, holds: Holds::Nothing });
        self.all.len() - 1
    }

    /// The folder of `key`, and its name where it is inside `node_modules`. `None` when too deep.
    fn place(&mut self, key: &'a str) -> Option<(usize, Option<&'a str>)> {
        // A leading `node_modules/` belongs to the project's own folder.
        let mut parts = key.split("/node_modules/");
        let first = parts.next().unwrap_or_default();
        if first.split('/').count() > MAX_DEPTH {
            return None;
        }
        let (mut folder, mut name) = match first.strip_prefix("node_modules/") {
            Some(name) => (self.child(0, name), Some(name)),
            None => (self.path(first), None),
        };
        for (depth, part) in parts.enumerate() {
            if depth >= MAX_DEPTH {
                return None;
            }
            folder = self.child(folder, part);
            name = Some(part);
        }
        Some((folder, name))
    }

    fn child(&mut self, parent: usize, name: &'a str) -> usize {
        if let Some(folder) = self.by_name.get(&(parent, name)) {
            return *folder;
        }
        let folder = self.add(Some(parent));
        self.by_name.insert((parent, name), folder);
        folder
    }

    /// A folder outside `node_modules`. Those that it lies in are made with it: one may be a workspace
    /// with its own `node_modules`.
    fn path(&mut self, path: &'a str) -> usize {
        let mut missing = Vec::new();
        let mut rest = path;
        let mut parent = loop {
            if let Some(folder) = self.by_path.get(rest) {
                break Some(*folder);
            }
            missing.push(rest);
            match rest.rfind('/') {
                Some(at) => rest = &rest[..at],
                None => break self.by_path.get("").copied(),
            }
        };
        for path in missing.into_iter().rev() {
            let folder = self.add(parent);
            self.by_path.insert(path, folder);
            parent = Some(folder);
        }
        parent.unwrap_or_default()
    }

    fn resolve(&self, from: usize, name: &str) -> Option<usize> {
        let mut at = Some(from);
        // A chain of folders is at most two bounded ones: a path, and node_modules inside it.
        while let Some(folder) = at {
            if let Some(found) = self.by_name.get(&(folder, name)) {
                return self.package(*found);
            }
            at = self.all[folder].parent;
        }
        None
    }

    /// The package in a folder, through one link. A link never points to a link.
    fn package(&self, folder: usize) -> Option<usize> {
        match &self.all[folder].holds {
            Holds::Nothing => None,
            Holds::Package(package) => Some(*package),
            Holds::Link(target) => match self.all[*self.by_path.get(target.as_str())?].holds {
                Holds::Package(package) => Some(package),
                Holds::Nothing | Holds::Link(_) => None,
            },
        }
    }
}
