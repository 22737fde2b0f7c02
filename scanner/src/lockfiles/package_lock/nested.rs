//! Version 1: dependencies nested in dependencies.
//!
//! The walk is a loop over a list of open folders, so that depth costs memory and never the stack.
//! A name, a version, an alias and an address all hide in `version`:
//!
//! ```text
//! "1.3.0"   "npm:real@1.3.0"   "git+ssh://git@host/x.git#commit"   "https://…/x.tgz"   "file:x"
//! ```
//!
//! Which of them the project itself asked for is not recorded, so the project has no edges.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{Installed, MAX_DEPTH, scope, source};
use crate::lockfiles::{Parsed, bare_address};
use crate::{Found, Source};

#[derive(Deserialize)]
struct Entry {
    version: String,
    resolved: Option<String>,
    integrity: Option<String>,
    #[serde(default)]
    dev: bool,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    bundled: bool,
    #[serde(default)]
    requires: Requires,
}

/// In some lockfiles `requires` is `true`, which lists nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Requires {
    Named(BTreeMap<String, String>),
    Other(IgnoredAny),
}

impl Default for Requires {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
}

struct Folder {
    parent: Option<usize>,
    depth: usize,
    package: Option<usize>,
    requires: Requires,
    optional: bool,
}

/// The folders of a name, by the folder that each lies in.
type Names = HashMap<String, HashMap<usize, usize>>;

pub fn read(parsed: &mut Parsed, root: usize, dependencies: Map<String, Value>) {
    let mut folders = vec![Folder {
        parent: None,
        depth: 0,
        package: Some(root),
        requires: Requires::default(),
        optional: false,
    }];
    let mut by_name = Names::new();
    let mut open = vec![(0, dependencies)];
    while let Some((parent, dependencies)) = open.pop() {
        for (name, mut value) in dependencies {
            let depth = folders[parent].depth + 1;
            if depth > MAX_DEPTH {
                parsed.problem(&name, format!("is more than {MAX_DEPTH} folders deep"));
                continue;
            }
            let inner = match value.as_object_mut().and_then(|it| it.remove("dependencies")) {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Object(inner)) => inner,
                Some(_) => {
                    parsed.problem(&name, "its dependencies are not an object");
                    Map::new()
                }
            };
            let read = Entry::deserialize(value).map_err(|error| error.to_string());
            let (package, requires, optional) = match read
                .and_then(|entry| Ok((found(&name, &entry)?, entry)))
            {
                Ok((found, entry)) => (Some(parsed.package(found)), entry.requires, entry.optional),
                Err(what) => {
                    parsed.problem(&name, what);
                    (None, Requires::default(), false)
                }
            };
            folders.push(Folder { parent: Some(parent), depth, package, requires, optional });
            let folder = folders.len() - 1;
            by_name.entry(name).or_default().insert(parent, folder);
            if !inner.is_empty() {
                open.push((folder, inner));
            }
        }
    }
    connect(parsed, &folders, &by_name);
}

fn found(key: &str, entry: &Entry) -> Result<Found, String> {
    let is_version = entry.version.starts_with(|c: char| c.is_ascii_digit());
    let alias = entry.version.strip_prefix("npm:").and_then(|real| real.rsplit_once('@'));
    let (name, version, source) = match alias {
        Some((real, version)) => (real, Some(version), source(entry.resolved.as_deref(), real)),
        None if is_version => {
            (key, Some(entry.version.as_str()), source(entry.resolved.as_deref(), key))
        }
        None if entry.version.is_empty() => return Err("has no version".to_owned()),
        None => (key, None, by_address(&entry.version, key)),
    };
    Installed {
        name,
        version,
        source,
        scope: scope(entry.dev, entry.optional, false),
        bundled: entry.bundled,
        integrity: entry.integrity.as_deref(),
    }
    .found()
}

fn by_address(address: &str, name: &str) -> Source {
    match source(Some(address), name) {
        Source::Registry(_) => Source::Archive(bare_address(address)),
        other => other,
    }
}

fn connect(parsed: &mut Parsed, folders: &[Folder], by_name: &Names) {
    for (at, folder) in folders.iter().enumerate() {
        let (Some(package), Requires::Named(requires)) = (folder.package, &folder.requires) else {
            continue;
        };
        for name in requires.keys() {
            match resolve(folders, by_name, at, name) {
                // Where there is no package its entry could not be read, which is a problem already.
                Some(to) => {
                    if let Some(to) = folders[to].package {
                        parsed.edge(package, to, name);
                    }
                }
                // npm leaves out what is optional and does not fit.
                None if folder.optional => {}
                None => {
                    let place = parsed.packages[package].name.clone();
                    parsed.problem(&place, format!("dependency {name:?} is not listed"));
                }
            }
        }
    }
}

/// Where node would look: in the folder's own dependencies, then in those of each one above it.
fn resolve(folders: &[Folder], by_name: &Names, from: usize, name: &str) -> Option<usize> {
    let named = by_name.get(name)?;
    let mut at = Some(from);
    while let Some(folder) = at {
        if let Some(found) = named.get(&folder) {
            return Some(*found);
        }
        at = folders[folder].parent;
    }
    None
}
