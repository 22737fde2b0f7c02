//! What cargo reads: the config.toml of each directory from the current one upward, then that of its own
//! home; the nearer wins. Where a file without the extension lies beside it, cargo reads that one. Of the
//! variables it takes the index of a registry and no source.
//!
//! A token never stands in these files: cargo keeps it in its credentials.toml, for the person alone, or
//! asks a credential provider for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::machine::{Layout, Machine, Notation, Sets, Target};
use super::{Wanted, same_address};
use crate::config::read_text;

const LOCKFILE: &str = "Cargo.lock";
const LOCKFILE_BYTES: u64 = 64 << 20;
/// Places of one lockfile that are named.
const MAX_PLACES: usize = 3;

pub fn layout(machine: &Machine) -> Layout {
    let root = machine.root(&[LOCKFILE], "Cargo.toml");
    let own = home(machine);
    let (target, rivals) = match machine.project {
        Some(_) => (root.join(".cargo"), Vec::new()),
        None => (own.clone(), nearer(machine, &own)),
    };
    let rivals = rivals.into_iter().map(|path| (path, Notation::CargoToml)).collect();
    Layout {
        targets: vec![Target {
            path: file(&target),
            notation: Notation::CargoToml,
            sets: Sets::All,
        }],
        rivals,
        rival_variables: &["CARGO_REGISTRIES_GARTH_INDEX"],
        lockfiles: vec![root.join(LOCKFILE)],
        root,
        notes: Vec::new(),
    }
}

fn home(machine: &Machine) -> PathBuf {
    match machine.env.get_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        Some(home) => machine.directory.join(home),
        None => machine.home.join(".cargo"),
    }
}

/// The files that cargo prefers to the one of its home, from here upward.
fn nearer(machine: &Machine, own: &Path) -> Vec<PathBuf> {
    let directories = machine.directory.ancestors().map(|directory| directory.join(".cargo"));
    directories.filter(|directory| directory != own).map(|directory| file(&directory)).collect()
}

/// The one that cargo reads, or would.
fn file(directory: &Path) -> PathBuf {
    let plain = directory.join("config");
    if plain.exists() { plain } else { directory.join("config.toml") }
}

/// The crates that a lockfile has from elsewhere than cargo's default registry and garth.
pub fn note_lockfile(machine: &Machine, path: &Path, wanted: &Wanted<'_>) -> Option<String> {
    let text = read_text(path, LOCKFILE_BYTES).ok()?;
    let elsewhere = elsewhere(&text, wanted);
    let count: usize = elsewhere.values().sum();
    let named: Vec<&str> = elsewhere.keys().take(MAX_PLACES).copied().collect();
    let more = if elsewhere.len() > MAX_PLACES { " and others" } else { "" };
    let crates = if count == 1 { "crate" } else { "crates" };
    (count > 0).then(|| {
        format!(
            "{} has {count} {crates} from {}{more}: cargo asks there, and not garth",
            machine.shown(path),
            named.join(", ")
        )
    })
}

/// Where else crates come from, and how many each.
fn elsewhere<'t>(lockfile: &'t str, wanted: &Wanted<'_>) -> BTreeMap<&'t str, usize> {
    let sources =
        lockfile.lines().filter_map(|line| line.strip_prefix("source = \"")?.strip_suffix('"'));
    let defaults = [tame_index::CRATES_IO_HTTP_INDEX, tame_index::CRATES_IO_INDEX];
    let mut places = BTreeMap::new();
    for source in sources {
        let address = source.strip_prefix("registry+").unwrap_or(source);
        let is_default = defaults.contains(&address);
        if !is_default && !wanted.sources.iter().any(|ours| same_address(address, &ours.index)) {
            let place = address.split(['?', '#']).next().unwrap_or(address);
            let host = place.split_once("://").map_or(place, |(_, rest)| rest);
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            *places.entry(host).or_default() += 1;
        }
    }
    places
}

/// How cargo comes to a token where it is not told.
pub fn note_logins(wanted: &Wanted<'_>) -> Option<String> {
    let asking = wanted.sources.iter().filter(|source| source.asks_for_token);
    let commands: Vec<String> =
        asking.map(|source| format!("`cargo login --registry {}`", source.name)).collect();
    let is_needed = !commands.is_empty() && wanted.token_env.is_none();
    is_needed.then(|| {
        format!(
            "nothing is served without a token here: {} keeps one in cargo's credentials.toml, which only \
             you can read",
            commands.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::wanted;
    use super::*;

    #[test]
    fn crates_from_elsewhere_are_counted_by_place() {
        let default = tame_index::CRATES_IO_INDEX;
        let lockfile = format!(
            "[[package]]\nname = \"a\"\nsource = \"registry+{default}\"\n\
             source = \"sparse+https://u:hush@crates.example/index/\"\n\
             source = \"git+https://git.example/b?rev=1#2\"\nsource = \"git+https://git.example/b?rev=1#2\"\n"
        );
        let expected = BTreeMap::from([("crates.example/index/", 1), ("git.example/b", 2)]);
        assert_eq!(elsewhere(&lockfile, &wanted(None)), expected);
    }
}
