//! Lines of JSON → versions, and where each one stands.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::facts::{Missing, Stated};
use policies::package::{Algorithm, Digest, Ecosystem, Package, Version};
use policies::versions::Parsed;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::about::About;
use super::archive::RUST_VERSION;
use super::{Entry, Index, IndexFile, TOLD_BY_CRATES};
use crate::observability::escape::bounded;
use crate::pull::format::LeftOut;
use crate::pull::original::{Original, Part};

/// Of what is wrong with a line, which may be said in its own words, so many characters.
const TOLD: usize = 200;
/// Lines that are left out and named; of a file with more of them nothing is offered.
const LEFT_OUT_AT_MOST: usize = 1000;

/// What of a line means something to us. A field that stands there twice is no line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    vers: Cow<'a, str>,
    #[serde(borrow)]
    cksum: Cow<'a, str>,
    #[serde(borrow, default)]
    deps: Vec<Dependency<'a>>,
    #[serde(default)]
    yanked: Option<bool>,
    #[serde(borrow, default)]
    pubtime: Option<Cow<'a, str>>,
    #[serde(default)]
    links: Option<IgnoredAny>,
    /// Whatever stands there, the line is one.
    #[serde(borrow, default)]
    rust_version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Dependency<'a> {
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
}

/// The upstream's file, and the lines of versions that it has since taken away.
pub fn parse(
    package: &Package,
    bytes: Bytes,
    retained: Option<Bytes>,
) -> Result<IndexFile, String> {
    let mut reading = Reading::new(package);
    reading.read(Part::Newest, &bytes)?;
    if reading.entries.is_empty() {
        let why = reading.left_out.first().map_or("it has no line", |first| &first.why);
        return Err(why.to_owned());
    }
    if let Some(retained) = &retained {
        reading.read(Part::Retained, retained)?;
    }
    let Reading { entries, left_out, about, .. } = reading;
    let places = HashMap::default();
    let mut index = Index { package: package.clone(), entries, left_out, about, places };
    index.index_places();
    let original = Original::Held { newest: bytes, retained: retained.unwrap_or_default() };
    Ok(IndexFile { index: Arc::new(index), original })
}

struct Reading<'p> {
    package: &'p Package,
    entries: Vec<Entry>,
    left_out: Vec<LeftOut>,
    about: Option<About>,
    /// Where the version stands in `entries`, and in which text.
    seen: HashMap<Version, Part>,
    /// The spelling of its name, which is the same on every line.
    name: Option<Arc<str>>,
    /// Of the line before; most lines say the same.
    rust_version: Option<Arc<str>>,
}

impl<'p> Reading<'p> {
    fn new(package: &'p Package) -> Self {
        let (entries, left_out) = (Vec::new(), Vec::new());
        let seen = HashMap::default();
        Self { package, entries, left_out, about: None, seen, name: None, rust_version: None }
    }

    fn read(&mut self, part: Part, text: &[u8]) -> Result<(), String> {
        let mut start = 0;
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let range = start..start + line.len();
            start = range.end + 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            if number == 0
                && part == Part::Newest
                && let Some(Ok(about)) = About::parse(line)
            {
                self.about = Some(about);
                continue;
            }
            match self.entry(part, line, range) {
                Ok(Some(entry)) => {
                    self.seen.insert(entry.version.clone(), part);
                    self.entries.push(entry);
                }
                Ok(None) => {}
                Err((version, why)) => {
                    let version = version.unwrap_or_else(|| format!("line {}", number + 1));
                    let why = bounded(&why, TOLD).into_owned();
                    self.left_out.push(LeftOut { version, why });
                }
            }
            if self.left_out.len() > LEFT_OUT_AT_MOST {
                return Err(format!(
                    "more than {LEFT_OUT_AT_MOST} of its lines can not be checked"
                ));
            }
        }
        Ok(())
    }

    /// `None` for a version that was taken away and is there again.
    fn entry(
        &mut self,
        part: Part,
        line: &[u8],
        range: Range<usize>,
    ) -> Result<Option<Entry>, (Option<String>, String)> {
        let read: Line<'_> =
            serde_json::from_slice(line).map_err(|fault| (None, fault.to_string()))?;
        let version = Version::new(&read.vers)
            .ok()
            .filter(|version| Parsed::new(Ecosystem::Cargo, version.as_str()).is_some())
            .ok_or_else(|| (None, "its version is none of cargo's".to_owned()))?;
        let fault = |why: &str| Err((Some(version.to_string()), why.to_owned()));
        if !Package::new(Ecosystem::Cargo, &read.name).is_ok_and(|named| named == *self.package) {
            return fault("it bears another name");
        }
        let Ok(digest) = Digest::from_hex(Algorithm::Sha256, &read.cksum) else {
            return fault("its cksum is no sha256");
        };
        match self.seen.get(&version) {
            None => {}
            Some(Part::Newest) if part == Part::Retained => return Ok(None),
            // Who reads both takes either; the first one was there first.
            Some(_) => return fault("its version stands there twice; the first line counts"),
        }
        let spelled = self.name.get_or_insert_with(|| Arc::from(read.name.as_ref()));
        let name = if **spelled == *read.name {
            Arc::clone(spelled)
        } else {
            Arc::from(read.name.as_ref())
        };
        Ok(Some(Entry {
            name,
            digests: [digest].into(),
            published: read.pubtime.as_deref().and_then(|time| time.parse::<Timestamp>().ok()),
            stated: self.stated(&read),
            version,
            part,
            line: range,
        }))
    }

    fn stated(&mut self, line: &Line<'_>) -> Stated {
        let is_needed = |dependency: &&Dependency<'_>| dependency.kind.as_deref() != Some("dev");
        let dependencies = line.deps.iter().filter(is_needed).count();
        let said = line.rust_version.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let said: Option<Cow<'_, str>> =
            said.filter(|text: &Cow<'_, str>| text.len() <= RUST_VERSION);
        if self.rust_version.as_deref() != said.as_deref() {
            self.rust_version = said.as_deref().map(Arc::from);
        }
        Stated {
            // An index says nothing of these.
            licence: None,
            publisher: None,
            publisher_changed: None,
            provenance: None,
            // cargo has neither: what is there can be found, and is not called obsolete.
            deprecated: Some(false),
            unlisted: Some(false),
            yanked: Some(line.yanked == Some(true)),
            // What links has a build script; of all others the index says nothing.
            install_scripts: line.links.is_some().then_some(true),
            dependencies: u32::try_from(dependencies).ok(),
            // Of older lines the crate says it.
            rust_version: self.rust_version.clone(),
            pending: Missing::of(TOLD_BY_CRATES),
        }
    }
}
