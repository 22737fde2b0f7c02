//! The crate, opened: what its own manifest says.
//!
//! Read once, from its beginning to its end, and nothing of it is written anywhere. Work and memory are
//! bounded whatever it claims to be, and whatever the library that reads it makes of that. It is unpacked
//! by the crate that cargo unpacks with, so both see the same files; what cargo would refuse, or take in
//! the place of another file, is refused here. Links and the like are not: a cargo before 1.96 takes them.

use std::io::{self, Read};
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;
use policies::licence::Licence;
use policies::package::Ecosystem;
use serde_json::{Map, Value};
use tar::{Archive, Entry, EntryType};
use toml::Table;

use super::dependencies::{self, in_words};
use crate::metadata::records::Inside;
use crate::observability::escape::bounded;
use crate::registries::unpacking::{Meter, Metered, cause_of};

/// Bytes that may always be unpacked, and how many more for each packed one, up to a bound.
const UNPACKED_FLOOR: u64 = 64 << 20;
const RATIO: u64 = 100;
const UNPACKED: u64 = 2 << 30;
const ENTRIES: usize = 100_000;
const MANIFEST: u64 = 1 << 20;
/// Nobody waits for it longer, and others wait for its place.
const TIME: Duration = Duration::from_secs(30);
/// A licence is an expression of some words; a longer one is none.
const LICENCE: usize = 1024;
/// So many bytes of what it says that it is.
const DESCRIPTION: usize = 1000;
/// A longer address leads nowhere.
const REPOSITORY: usize = 500;
/// So many characters of a path in it.
const PATH_TOLD: usize = 80;
pub const RUST_VERSION: usize = 50;

/// What a crate says of itself.
#[derive(Debug)]
pub struct Contents {
    manifest: Table,
    has_build_file: bool,
}

/// Blocks; `packed` are the bytes of the crate `name-version`, `length` of them. An error says why it
/// can not be read.
pub fn open(packed: impl Read, length: u64, root: &str) -> Result<Contents, String> {
    open_with(packed, length, root, |_| Ok(()))
}

/// The same, where `check` may refuse each of them.
pub fn open_with(
    packed: impl Read,
    length: u64,
    root: &str,
    mut check: impl FnMut(&Packed<'_>) -> Result<(), String>,
) -> Result<Contents, String> {
    let unpacked = length.saturating_mul(RATIO).clamp(UNPACKED_FLOOR, UNPACKED);
    let meter = Meter::new(unpacked, TIME);
    // What a file is said to hold need not have been read from anywhere.
    let held = Meter::new(unpacked, TIME);
    held.before_file();
    let mut archive = Archive::new(Metered::new(GzDecoder::new(packed), &meter));
    let (mut manifest, mut has_build_file) = (None, false);
    let mut entries = archive.entries().map_err(|fault| unreadable(&fault))?;
    for count in 0.. {
        meter.before_header();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|fault| unreadable(&fault))?;
        if count >= ENTRIES {
            return Err(format!("it has more than {ENTRIES} entries"));
        }
        let kind = entry.header().entry_type();
        let path = entry.path().map_err(|fault| unreadable(&fault))?.into_owned();
        // One header is enough for a hole of any size, and cargo packs none.
        if kind.is_gnu_sparse() {
            let path = bounded(&path.to_string_lossy(), PATH_TOLD).into_owned();
            return Err(format!("{path} in it is a file with holes, which cargo never packs"));
        }
        let is_extended = extended(&mut entry)?;
        meter.before_file();
        let mut content = Metered::new(&mut entry, &held);
        if matches!(kind, EntryType::XGlobalHeader) {
            check(&Packed { kind, path: &path, is_extended })?;
        } else {
            let Ok(inside) = path.strip_prefix(root) else {
                return Err("something in it lies beside the crate's directory".to_owned());
            };
            if !is_plain(inside) {
                return Err("something in it leaves the crate's directory".to_owned());
            }
            check(&Packed { kind, path: inside, is_extended })?;
            let inside = inside.to_str().unwrap_or_default();
            // Some file systems do not tell these apart.
            if inside.eq_ignore_ascii_case("Cargo.toml") {
                if manifest.is_some() || inside != "Cargo.toml" || kind != EntryType::Regular {
                    return Err("it has more than one Cargo.toml".to_owned());
                }
                manifest = Some(read_manifest(&mut content)?);
            }
            has_build_file |= inside.eq_ignore_ascii_case("build.rs");
        }
        // To its end, so that what follows begins with a header.
        io::copy(&mut content, &mut io::sink()).map_err(|fault| unreadable(&fault))?;
    }
    let manifest = manifest.ok_or("it has no Cargo.toml at its root")?;
    Ok(Contents { manifest, has_build_file })
}

/// Something that is packed into a crate.
pub struct Packed<'a> {
    pub kind: EntryType,
    /// Inside of the crate's directory.
    pub path: &'a Path,
    /// Its header is an extended one, which cargo never writes.
    pub is_extended: bool,
}

/// Whether the header is an extended one. A size in it is read in one way by some versions of what cargo
/// unpacks with, and in another by others.
fn extended<R: Read>(entry: &mut Entry<'_, R>) -> Result<bool, String> {
    let Some(extensions) = entry.pax_extensions().map_err(|fault| unreadable(&fault))? else {
        return Ok(false);
    };
    for extension in extensions {
        let extension = extension.map_err(|fault| unreadable(&fault))?;
        if extension.key_bytes() == b"size" {
            return Err("it has headers that can be read in more than one way".to_owned());
        }
    }
    Ok(true)
}

fn is_plain(inside: &Path) -> bool {
    inside.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn read_manifest(entry: &mut impl Read) -> Result<Table, String> {
    let mut text = Vec::new();
    entry.take(MANIFEST + 1).read_to_end(&mut text).map_err(|fault| unreadable(&fault))?;
    if text.len() as u64 > MANIFEST {
        return Err(format!("its Cargo.toml has more than {MANIFEST} bytes"));
    }
    let text = String::from_utf8(text).map_err(|_| "its Cargo.toml is not UTF-8".to_owned())?;
    text.parse().map_err(|fault: toml::de::Error| {
        format!("its Cargo.toml can not be read: {}", fault.message())
    })
}

fn unreadable(fault: &io::Error) -> String {
    format!("it can not be unpacked: {}", cause_of(fault))
}

impl Contents {
    /// What rules can ask for and no index says.
    pub fn inside(&self) -> Inside {
        let licence = self.text("license").filter(|text| text.len() <= LICENCE);
        let build = self.package().and_then(|package| package.get("build"));
        let builds = match build {
            Some(toml::Value::Boolean(builds)) => *builds,
            Some(_) => true,
            None => self.has_build_file,
        };
        let library = self.manifest.get("lib").and_then(toml::Value::as_table);
        let of_library = |key: &str| library.and_then(|library| library.get(key));
        let is_macro = ["proc-macro", "proc_macro"]
            .iter()
            .any(|key| of_library(key) == Some(&toml::Value::Boolean(true)))
            || ["crate-type", "crate_type"]
                .iter()
                .filter_map(|key| of_library(key)?.as_array())
                .flatten()
                .any(|kind| kind.as_str() == Some("proc-macro"));
        let short = |field, length| {
            self.text(field)
                .map(in_one_line)
                .filter(|text| !text.is_empty() && text.len() <= length)
        };
        let description = self.text("description").map(in_one_line);
        Inside {
            licence: licence.map(|text| Arc::new(Licence::new(Ecosystem::Cargo, text))),
            runs_code: builds || is_macro,
            description: description.map(|text| begin(&text, DESCRIPTION).to_owned()),
            repository: short("repository", REPOSITORY),
            rust_version: short("rust-version", RUST_VERSION),
        }
    }

    pub fn manifest(&self) -> &Table {
        &self.manifest
    }

    fn package(&self) -> Option<&Table> {
        let package = self.manifest.get("package").or_else(|| self.manifest.get("project"));
        package.and_then(toml::Value::as_table)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.package()?.get(field)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// What an index line says of the same, in one form.
    pub fn said(&self) -> Map<String, Value> {
        let text = |field| self.text(field).map_or(Value::Null, Value::from);
        let mut said = Map::new();
        said.insert("name".to_owned(), text("name"));
        said.insert("version".to_owned(), text("version"));
        said.insert("links".to_owned(), text("links"));
        let needs = match dependencies::packed(&self.manifest, |_, _| Ok(())) {
            Ok(needs) => in_words(needs).into(),
            // No index says that of a crate.
            Err(why) => why.into(),
        };
        said.insert("dependencies".to_owned(), needs);
        said
    }
}

/// As a person reads it, whatever is between the words.
fn in_one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Up to so many bytes, in whole characters.
fn begin(text: &str, length: usize) -> &str {
    let end = (0..=length.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests;
