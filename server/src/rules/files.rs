//! The policies' directory: every `*.toml` in it, read whole or not at all. Blocking.
//!
//! Hidden names are left out: a mounted `ConfigMap` keeps its generations in them and links to the
//! newest, so links are followed. What changes while it is read is read again.

#![allow(clippy::disallowed_methods, reason = "runs on a blocking thread")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use policies::approval::{self, Approval};
use policies::check::Text;
use policies::rules::{Fault, MAX_FILE, Rule, parse_file};

/// Most files of one directory.
pub(super) const MAX_FILES: usize = 1000;
/// Most bytes of all files together.
pub const MAX_TOTAL: u64 = 64 * 1024 * 1024;
const MAX_ENTRIES: usize = 100_000;
const ATTEMPTS: usize = 5;

/// Equal while nothing in the directory changed; made without reading a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, Option<Stamp>)>);

/// Device, inode, size, and times of change with their nanoseconds.
type Stamp = (u64, u64, u64, i64, i64, i64, i64);

/// What the files of a directory say together.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub rules: Vec<Rule>,
    pub approvals: Vec<Approval>,
}

/// All rules of the directory in the order of the files' names, or every fault in them.
pub(super) fn read(dir: &Path) -> (Fingerprint, Result<Written, Vec<Fault>>) {
    let mut before = fingerprint(dir);
    for _ in 0..ATTEMPTS {
        let rules = read_once(dir);
        let after = fingerprint(dir);
        if before == after {
            return (after, rules);
        }
        before = after;
    }
    let message = "the files change while they are read";
    let remedy = "they are read again when they rest; replace a file by renaming a finished one";
    (before, Err(vec![fault(dir, message, remedy)]))
}

pub(super) fn fingerprint(dir: &Path) -> Fingerprint {
    let mut entries = vec![(dir.to_owned(), stamp(dir))];
    for path in list(dir).unwrap_or_default() {
        let stamp = stamp(&path);
        entries.push((path, stamp));
    }
    Fingerprint(entries)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let of = fs::metadata(path).ok()?;
    Some((of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()))
}

/// Sorted, so that faults come in the same order each time.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)?.take(MAX_ENTRIES) {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The texts under these paths, for commands: of a directory those that the server would read, of a
/// file its own, whatever its name. Each file once.
pub(crate) fn read_texts(paths: &[PathBuf]) -> Result<Vec<Text>, Vec<Fault>> {
    let (mut texts, mut faults, mut total) = (Vec::new(), Vec::new(), 0);
    let mut seen = HashSet::new();
    for path in paths {
        let files = if path.is_dir() { list(path) } else { Ok(vec![path.clone()]) };
        match files.map_err(|error| cannot_list(path, &error)) {
            Ok(files) => {
                for file in files {
                    // What can not be resolved can not be read either, which then says why.
                    let known = fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
                    if seen.insert(known) {
                        match read_file(&file, &mut total) {
                            Ok(text) => texts.push(Text { file: shown(&file), text }),
                            Err(fault) => faults.push(fault),
                        }
                    }
                }
            }
            Err(fault) => faults.push(fault),
        }
        if seen.len() > MAX_FILES {
            return Err(vec![too_many(path, seen.len())]);
        }
    }
    if faults.is_empty() { Ok(texts) } else { Err(faults) }
}

/// The name of a file as one line: it may come from whoever opened a pull request.
fn shown(path: &Path) -> String {
    let plain = path.display().to_string();
    if !plain.contains(char::is_control) {
        return plain;
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    plain.chars().map(escaped).collect()
}

fn read_once(dir: &Path) -> Result<Written, Vec<Fault>> {
    let paths = list(dir).map_err(|error| vec![cannot_list(dir, &error)])?;
    if paths.len() > MAX_FILES {
        return Err(vec![too_many(dir, paths.len())]);
    }
    let (mut written, mut faults, mut total) = (Written::default(), Vec::new(), 0);
    for path in paths {
        match read_file(&path, &mut total) {
            Ok(text) => match parse_file(&shown(&path), &text) {
                Ok(more) => {
                    written.rules.extend(more.rules);
                    written.approvals.extend(more.approvals);
                }
                Err(more) => faults.extend(more),
            },
            Err(fault) => faults.push(fault),
        }
    }
    faults.extend(approval::duplicates(&written.approvals));
    if faults.is_empty() { Ok(written) } else { Err(faults) }
}

fn cannot_list(dir: &Path, error: &io::Error) -> Fault {
    let remedy = "make the directory, or set `policies` to where the rules are";
    fault(dir, format!("cannot list the directory: {error}"), remedy)
}

fn too_many(dir: &Path, count: usize) -> Fault {
    fault(dir, format!("{count} files are more than {MAX_FILES}"), "join some of them")
}

fn read_file(path: &Path, total: &mut u64) -> Result<String, Fault> {
    let unreadable =
        |error: io::Error| fault(path, format!("cannot read it: {error}"), "mend or remove it");
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(fault(path, "it is not a file", "remove it, or give it another ending"));
    }
    let mut bytes = Vec::new();
    let bound = MAX_FILE as u64 + 1;
    let file = File::open(path).map_err(unreadable)?;
    *total += file.take(bound).read_to_end(&mut bytes).map_err(unreadable)? as u64;
    if *total > MAX_TOTAL {
        let message = format!("the files together have more than {MAX_TOTAL} bytes");
        return Err(fault(path, message, "join rules by patterns"));
    }
    String::from_utf8(bytes).map_err(|_| fault(path, "it is not UTF-8 text", "save it as UTF-8"))
}

fn fault(path: &Path, message: impl Into<String>, remedy: &str) -> Fault {
    Fault::of_file(&shown(path), message, remedy)
}
