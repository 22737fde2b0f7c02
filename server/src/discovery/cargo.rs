//! cargo's registry: what its default source is replaced with, else the index that cargo itself uses.
//!
//! As cargo reads it: the nearer file wins, setting by setting; a source comes before a registry of the
//! same name; the index of a registry may be given by a variable, and nothing of a source may.

use std::path::{Path, PathBuf};

use super::command::find;
use super::{Discovery, Machine, given_url};
use crate::config::{Format, read_text};

/// What cargo calls its default source in its configuration.
const DEFAULT_SOURCE: &str = "crates-io";
const FILE_BYTES: u64 = 1 << 20;
/// cargo allows a replacement to be replaced; a circle must end.
const REPLACEMENTS: usize = 8;

pub(super) fn discover(machine: &Machine, discovery: &mut Discovery) {
    let files = read_files(machine);
    let mut source = DEFAULT_SOURCE.to_owned();
    let mut replaced_by = None;
    for _ in 0..REPLACEMENTS {
        let Some((path, next)) = setting(&files, &source, "replace-with") else { break };
        replaced_by = Some(machine.shown(path));
        next.clone_into(&mut source);
    }
    let Some(file) = replaced_by else { return default(machine, discovery) };
    let from = format!("source replacement in {file}");
    let Some(index) = registry_of(machine, &files, &source) else {
        return discovery.missing(Format::Cargo, format!("{from} leads to no registry"));
    };
    match sparse(&index) {
        // What it replaces is known all the same: by an earlier start, else as cargo knows it.
        Some(given) if machine.is_garth(&given.url) => match machine.recalled(Format::Cargo) {
            Some(upstream) => {
                let from = format!("an earlier start; cargo is set to this garth, by {from}");
                discovery.found(Format::Cargo, upstream.clone(), from);
            }
            None => default(machine, discovery),
        },
        Some(given) => {
            if given.had_credentials {
                discovery.notes.push(format!(
                    "cargo's registry, by {from}, has credentials in its URL. They were not taken over: \
                     set username and password of the registry."
                ));
            }
            discovery.found(Format::Cargo, given.url, from);
        }
        None => discovery.missing(Format::Cargo, format!("{from} leads to no sparse registry")),
    }
}

fn default(machine: &Machine, discovery: &mut Discovery) {
    if find(machine, "cargo").is_none() && !cargo_home(machine).is_some_and(|home| home.is_dir()) {
        return discovery.missing(Format::Cargo, "cargo is not installed");
    }
    if let Some(given) = sparse(tame_index::CRATES_IO_HTTP_INDEX) {
        discovery.found(Format::Cargo, given.url, "cargo's own default");
    }
}

fn sparse(index: &str) -> Option<super::GivenUrl> {
    given_url(index.strip_prefix("sparse+")?)
}

fn registry_of(
    machine: &Machine,
    files: &[(PathBuf, toml::Table)],
    source: &str,
) -> Option<String> {
    if let Some((_, registry)) = setting(files, source, "registry") {
        return Some(registry.to_owned());
    }
    let variable = source.replace('-', "_").to_ascii_uppercase();
    if let Some(index) = machine.env.get(&format!("CARGO_REGISTRIES_{variable}_INDEX")) {
        return Some(index.to_owned());
    }
    let mut tables = files.iter().map(|(_, table)| table);
    tables.find_map(|table| {
        Some(table.get("registries")?.get(source)?.get("index")?.as_str()?.to_owned())
    })
}

/// The nearest file's word on a source.
fn setting<'a>(
    files: &'a [(PathBuf, toml::Table)],
    source: &str,
    key: &str,
) -> Option<(&'a Path, &'a str)> {
    files.iter().find_map(|(path, table)| {
        Some((path.as_path(), table.get("source")?.get(source)?.get(key)?.as_str()?))
    })
}

/// cargo's configuration, nearest first: from the current directory upward, then cargo's home.
fn read_files(machine: &Machine) -> Vec<(PathBuf, toml::Table)> {
    machine
        .directories_upward()
        .map(|directory| directory.join(".cargo"))
        .chain(cargo_home(machine))
        .filter_map(|directory| {
            // Where both are there, cargo reads the one without extension.
            ["config", "config.toml"].iter().find_map(|name| {
                let path = directory.join(name);
                let text = read_text(&path, FILE_BYTES).ok()?;
                Some((path, text.parse().ok()?))
            })
        })
        .collect()
}

fn cargo_home(machine: &Machine) -> Option<PathBuf> {
    machine
        .env
        .get_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| machine.home().map(|home| home.join(".cargo")))
}
