//! What passes by garth although a client is pointed at it, and what else a person should know. Reads what
//! the client would read; changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::files::Snapshot;
use super::machine::{Layout, Machine, Notation};
use super::plan::Plan;
use super::{Client, Wanted, cargo, same_address};

/// A lockfile is read up to here; what is behind it says hardly anything else.
const MAX_LOCKFILE: u64 = 256 << 20;
const MAX_LINE: usize = 64 << 10;
/// Hosts of one lockfile that are named.
const MAX_HOSTS: usize = 3;

pub fn notes(
    client: Client,
    machine: &Machine,
    layout: &Layout,
    plan: &Plan,
    wanted: &Wanted<'_>,
) -> Vec<String> {
    let mut notes = layout.notes.clone();
    for (target, change) in layout.targets.iter().zip(&plan.changes) {
        note_scopes(machine, target.notation, change.path(), &change.text, wanted, &mut notes);
    }
    for (path, notation) in &layout.rivals {
        if layout.targets.iter().any(|target| target.path == *path) {
            continue;
        }
        // What cannot be read here is the client's to complain about.
        let Some(text) = Snapshot::take(path).ok().and_then(|snapshot| snapshot.text) else {
            continue;
        };
        if let Some(named) = notation.registry(&text)
            && !same_address(&named.address, wanted.registry)
        {
            notes.push(format!(
                "{}:{} names another registry, and {client} prefers that one there",
                machine.shown(path),
                named.line
            ));
        }
        note_scopes(machine, *notation, path, &text, wanted, &mut notes);
    }
    for name in layout.rival_variables {
        if machine.variable(name).is_some_and(|value| !same_address(&value, wanted.registry)) {
            notes.push(format!("the variable {name} is set, and {client} prefers it to its files"));
        }
    }
    for path in &layout.lockfiles {
        match client {
            Client::Cargo => notes.extend(cargo::note_lockfile(machine, path, wanted)),
            _ => note_lockfile(client, machine, path, wanted, &mut notes),
        }
    }
    notes.extend(cargo::note_logins(wanted));
    note_token(client, machine, wanted, &mut notes);
    notes
}

fn note_scopes(
    machine: &Machine,
    notation: Notation,
    path: &Path,
    text: &str,
    wanted: &Wanted<'_>,
    notes: &mut Vec<String>,
) {
    for (scope, line) in notation.scopes(text, wanted) {
        notes.push(format!(
            "{scope} has a registry of its own ({}:{line}), which was left alone: its packages do not pass \
             through garth",
            machine.shown(path)
        ));
    }
}

fn note_token(client: Client, machine: &Machine, wanted: &Wanted<'_>, notes: &mut Vec<String>) {
    let Some(name) = wanted.token_env else { return };
    if machine.env.get(name).is_none() {
        notes.push(format!("{name} is not set here: {client} has no token until it is"));
    }
    if client == Client::Pnpm {
        notes.push(format!(
            "where {name} is not set, pnpm up to version 10 ignores the whole file, and asks its default \
             registry instead of garth"
        ));
    }
}

fn note_lockfile(
    client: Client,
    machine: &Machine,
    path: &PathBuf,
    wanted: &Wanted<'_>,
    notes: &mut Vec<String>,
) {
    let Ok(file) = File::open(path) else { return };
    let mut hosts = hosts(BufReader::new(file.take(MAX_LOCKFILE)));
    let ours = &wanted.registry[url::Position::BeforeHost..url::Position::AfterPort];
    hosts.remove(ours);
    if hosts.is_empty() {
        return;
    }
    let count: usize = hosts.values().sum();
    let named: Vec<&str> = hosts.keys().take(MAX_HOSTS).map(String::as_str).collect();
    let more = if hosts.len() > MAX_HOSTS { " and others" } else { "" };
    let exception = match client {
        Client::Npm => ", unless its own default registry is meant (see replace-registry-host)",
        _ => "",
    };
    notes.push(format!(
        "{} leads to {}{more} for {count} tarball{}: {client} asks there, and not garth{exception}; make it \
         anew, or replace the address in it",
        machine.shown(path),
        named.join(", "),
        if count == 1 { "" } else { "s" }
    ));
}

/// The hosts, with their ports, from which a lockfile has its tarballs, and how many each.
fn hosts(mut lockfile: impl BufRead) -> BTreeMap<String, usize> {
    let mut hosts = BTreeMap::new();
    let mut line = Vec::new();
    while matches!(lockfile.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        if text.contains(".tgz")
            && let Some(at) = ["https://", "http://"]
                .iter()
                .find_map(|scheme| text.find(scheme).map(|at| at + scheme.len()))
        {
            let host = text[at..].split(['/', '"', '\'', ' ']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default().trim();
            *hosts.entry(host.to_owned()).or_default() += 1;
        }
        line.clear();
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_every_lockfile_are_found() {
        let rows = [
            ("npm", "      \"resolved\": \"https://a.example/x/-/x-1.0.0.tgz\",\n"),
            (
                "pnpm",
                "    resolution: {integrity: sha512-x, tarball: https://a.example/x/-/x-1.0.0.tgz}\n",
            ),
            ("yarn", "  resolved \"https://u:p@a.example/x/-/x-1.0.0.tgz#abc\"\n"),
            (
                "bun",
                "    \"x\": [\"x@1.0.0\", \"https://a.example/x/-/x-1.0.0.tgz\", {}, \"sha512-x\"],\n",
            ),
        ];
        for (name, line) in rows {
            let text = format!("{line}  \"funding\": \"https://b.example\"\n{line}");
            let expected = BTreeMap::from([("a.example".to_owned(), 2)]);
            assert_eq!(hosts(text.as_bytes()), expected, "{name}");
        }
    }
}
