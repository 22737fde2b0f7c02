//! The own index file: what is stored of a crate that is published here, and how it is changed.
//!
//! Pure. It is an ordinary index file, which is read and served like an upstream's, with a line in
//! front that tells [`About`] the crate. A line is never changed but for `yanked`.

use bytes::Bytes;
use policies::package::Version;
use serde::Deserialize;

use super::super::documents::About;
use super::super::documents::about::OfVersion;
use super::line::Line;
use super::spelling;

/// More would make a file that every change rewrites, and every client reads, too large.
const VERSIONS_AT_MOST: usize = 10_000;
const BYTES_AT_MOST: usize = 32 << 20;
const LINE_AT_MOST: usize = 256 << 10;
const OWNERS_AT_MOST: usize = 100;

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeFault {
    /// It is published as this version, which is the same to cargo.
    Published(String),
    /// The crate is published under this other spelling of its name.
    Spelled(String),
    NoSuchCrate,
    NoSuchVersion,
    NoSuchOwner(String),
    /// Nobody would be left.
    LastOwner,
    /// More than one file holds.
    TooMuch(String),
    /// What is stored can not be read.
    Damaged(String),
}

#[derive(Debug, Default)]
pub struct OwnIndex {
    about: About,
    /// Each line as it stands, without its end.
    lines: Vec<(Named, String)>,
}

/// As much of a line as says which it is.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    vers: String,
}

impl OwnIndex {
    pub fn parse(document: Option<&Bytes>) -> Result<Self, ChangeFault> {
        let Some(document) = document else { return Ok(Self::default()) };
        let damaged = |fault: &dyn std::fmt::Display| ChangeFault::Damaged(fault.to_string());
        let text = std::str::from_utf8(document).map_err(|fault| damaged(&fault))?;
        let mut all = text.lines();
        let about = all.next().and_then(|line| About::parse(line.as_bytes()));
        let about = about.ok_or_else(|| damaged(&"its first line is missing"))?;
        let about = about.map_err(|fault| damaged(&fault))?;
        let named = |line: &str| {
            let named: Named = serde_json::from_str(line).map_err(|fault| damaged(&fault))?;
            Ok((named, line.to_owned()))
        };
        Ok(Self { about, lines: all.map(named).collect::<Result<_, _>>()? })
    }

    /// Whoever publishes a crate first owns it.
    pub fn publish(&mut self, line: &Line, of: OfVersion) -> Result<(), ChangeFault> {
        let version = spelling::version(&line.vers).map_err(ChangeFault::Damaged)?;
        for (named, _) in &self.lines {
            if named.name != line.name {
                return Err(ChangeFault::Spelled(named.name.clone()));
            }
            if spelling::version(&named.vers).is_ok_and(|other| spelling::is_same(&version, &other))
            {
                return Err(ChangeFault::Published(named.vers.clone()));
            }
        }
        if self.lines.len() >= VERSIONS_AT_MOST {
            return Err(ChangeFault::TooMuch(format!(
                "it has {VERSIONS_AT_MOST} versions, and no crate may have more"
            )));
        }
        if self.about.owners.is_empty() {
            self.about.owners.push(of.by.clone());
        }
        self.about.versions.push(of);
        let named = Named { name: line.name.clone(), vers: line.vers.clone() };
        self.lines.push((named, text_of(line)?));
        Ok(())
    }

    /// Whether anything changed.
    pub fn yank(&mut self, version: &Version, yanked: bool) -> Result<bool, ChangeFault> {
        let found = self.lines.iter_mut().find(|(named, _)| named.vers == version.as_str());
        let (_, text) = found.ok_or(ChangeFault::NoSuchVersion)?;
        let mut line: Line =
            serde_json::from_str(text).map_err(|fault| ChangeFault::Damaged(fault.to_string()))?;
        let is_changed = line.yanked != yanked;
        if is_changed {
            line.yanked = yanked;
            *text = text_of(&line)?;
        }
        Ok(is_changed)
    }

    /// Those who were none before.
    pub fn add_owners(&mut self, names: &[String]) -> Result<Vec<String>, ChangeFault> {
        let mut added = Vec::new();
        for name in names {
            if !self.about.owners.contains(name) {
                self.about.owners.push(name.clone());
                added.push(name.clone());
            }
        }
        if self.about.owners.len() > OWNERS_AT_MOST {
            return Err(ChangeFault::TooMuch(format!(
                "it would have more than {OWNERS_AT_MOST} owners"
            )));
        }
        Ok(added)
    }

    pub fn remove_owners(&mut self, names: &[String]) -> Result<(), ChangeFault> {
        for name in names {
            let place = self.about.owners.iter().position(|owner| owner == name);
            let place = place.ok_or_else(|| ChangeFault::NoSuchOwner(name.clone()))?;
            self.about.owners.remove(place);
        }
        if self.about.owners.is_empty() { Err(ChangeFault::LastOwner) } else { Ok(()) }
    }

    pub fn to_bytes(&self) -> Result<Bytes, ChangeFault> {
        let mut out = self.about.to_line();
        out.push('\n');
        for (_, line) in &self.lines {
            out.push_str(line);
            out.push('\n');
        }
        if out.len() > BYTES_AT_MOST {
            return Err(ChangeFault::TooMuch(format!(
                "its index file would have more than {BYTES_AT_MOST} bytes"
            )));
        }
        Ok(out.into())
    }
}

fn text_of(line: &Line) -> Result<String, ChangeFault> {
    let text = serde_json::to_string(line);
    let text = text.map_err(|fault| ChangeFault::Damaged(fault.to_string()))?;
    if text.len() > LINE_AT_MOST {
        return Err(ChangeFault::TooMuch(format!(
            "its dependencies and features would make a line of more than {LINE_AT_MOST} bytes in the index"
        )));
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use policies::package::{Ecosystem, Package};

    use super::super::described::Described;
    use super::*;
    use crate::metadata::records::WordsRecord;
    use crate::pull::format::DocumentFormat as _;
    use crate::registries::cargo::documents::CargoDocuments;

    fn publish(index: &mut OwnIndex, name: &str, version: &str) -> Result<(), ChangeFault> {
        let described = Described {
            name: name.to_owned(),
            version: version.to_owned(),
            ..Described::default()
        };
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let line = Line::new(&described, "0".repeat(64), now);
        let description = format!("{name} says {version}");
        let words = WordsRecord { description, ..WordsRecord::default() };
        let of = OfVersion { vers: version.to_owned(), by: "ann".to_owned(), words };
        index.publish(&line, of)
    }

    #[test]
    fn a_version_is_published_once_whatever_stands_behind_its_plus() {
        let mut index = OwnIndex::default();
        publish(&mut index, "Seed", "1.0.0+a").unwrap();
        let mut index = OwnIndex::parse(Some(&index.to_bytes().unwrap())).unwrap();
        for version in ["1.0.0+a", "1.0.0+b", "1.0.0"] {
            let refused = publish(&mut index, "Seed", version).unwrap_err();
            assert_eq!(refused, ChangeFault::Published("1.0.0+a".to_owned()), "{version}");
        }
        let refused = publish(&mut index, "seed", "1.0.1").unwrap_err();
        assert_eq!(refused, ChangeFault::Spelled("Seed".to_owned()));
        publish(&mut index, "Seed", "1.0.1").unwrap();
        assert_eq!(index.about.owners, ["ann"]);
    }

    #[test]
    fn what_is_stored_is_read_as_an_index_file_without_its_first_line() {
        let mut index = OwnIndex::default();
        for version in ["1.0.0", "2.0.0", "3.0.0-rc.1"] {
            publish(&mut index, "seed", version).unwrap();
        }
        assert_eq!(index.yank(&Version::new("2.0.0").unwrap(), true), Ok(true));
        assert_eq!(index.yank(&Version::new("2.0.0").unwrap(), true), Ok(false));
        let none = index.yank(&Version::new("9.0.0").unwrap(), true);
        assert_eq!(none, Err(ChangeFault::NoSuchVersion));
        let package = Package::new(Ecosystem::Cargo, "seed").unwrap();
        let parsed = CargoDocuments::parse(&package, index.to_bytes().unwrap(), None).unwrap();
        let seen: Vec<_> = parsed
            .entries
            .iter()
            .map(|entry| (entry.version.as_str(), entry.stated.yanked))
            .collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(seen, [("1.0.0", no), ("2.0.0", yes), ("3.0.0-rc.1", no)]);
        assert_eq!(parsed.left_out, []);
        let summary = CargoDocuments::summary(&parsed, true);
        assert_eq!(summary.latest.as_deref(), Some("1.0.0"));
        assert_eq!(summary.words[summary.of_latest.unwrap().0].description, "seed says 1.0.0");
    }

    #[test]
    fn a_crate_keeps_an_owner() {
        let mut index = OwnIndex::default();
        publish(&mut index, "seed", "1.0.0").unwrap();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(index.add_owners(&names(&["ann", "web/shop"])), Ok(names(&["web/shop"])));
        let refused = index.remove_owners(&names(&["bob"]));
        assert_eq!(refused, Err(ChangeFault::NoSuchOwner("bob".to_owned())));
        assert_eq!(index.remove_owners(&names(&["ann"])), Ok(()));
        assert_eq!(index.remove_owners(&names(&["web/shop"])), Err(ChangeFault::LastOwner));
    }

    #[test]
    fn what_can_not_be_read_is_damaged_and_not_empty() {
        for text in ["", "{}", "{\"own\":7}", "{\"own\":{\"owners\":[],\"versions\":[]}}\nx\n"] {
            let parsed = OwnIndex::parse(Some(&Bytes::from(text)));
            assert!(matches!(parsed, Err(ChangeFault::Damaged(_))), "{text}");
        }
    }
}
