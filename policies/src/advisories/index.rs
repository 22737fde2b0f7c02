//! All advisories in force, by package.
//!
//! The index is one block of text with a sorted list of places in it: some hundred bytes for an
//! advisory, and no allocation of its own for any. What a package's advisories mean is read out of
//! it when somebody asks ([`Index::of`]). It can be kept as bytes ([`packed`]).

pub mod packed;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Advisory, Affected, Compiled, Event};
use crate::facts::KnownAdvisory;
use crate::package::{Ecosystem, Package};
use crate::versions::Parsed;

/// The advisories in force. The default has none, and knows nothing of any ecosystem.
#[derive(Debug, Default, PartialEq)]
pub struct Index {
    text: Box<[u8]>,
    places: Box<[Place]>,
    revision: Arc<str>,
    advisories: usize,
    ecosystems: Vec<Ecosystem>,
    /// As in [`packed::Outline`].
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// A package's name (`npm:left-pad`), and behind it the JSON of its entries.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    start: usize,
    name: u16,
    entries: u32,
}

/// What the index keeps of an advisory for one package.
#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    #[serde(rename = "i", borrow)]
    id: std::borrow::Cow<'a, str>,
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    severity: Option<f64>,
    #[serde(rename = "m", default, skip_serializing_if = "super::is_false")]
    malicious: bool,
    #[serde(rename = "w", default, skip_serializing_if = "super::is_false")]
    withdrawn: bool,
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty", with = "short")]
    ranges: Vec<Vec<Event>>,
    #[serde(rename = "v", default, skip_serializing_if = "Vec::is_empty")]
    versions: Vec<String>,
}

/// Events as texts with one letter in front: half of what an entry would take.
mod short {
    use std::borrow::Cow;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Event;

    pub fn serialize<S: Serializer>(ranges: &[Vec<Event>], out: S) -> Result<S::Ok, S::Error> {
        let letter = |event: &Event| match event {
            Event::Introduced(_) => 'i',
            Event::Fixed(_) => 'f',
            Event::LastAffected(_) => 'a',
            Event::Limit(_) => 'l',
        };
        let text = |event| format!("{}{}", letter(event), event.version());
        out.collect_seq(ranges.iter().map(|range| range.iter().map(text).collect::<Vec<_>>()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<Event>>, D::Error> {
        let event = |text: Cow<'_, str>| {
            let mut letters = text.chars();
            let letter = letters.next();
            let version = letters.as_str().to_owned();
            match letter {
                Some('i') => Ok(Event::Introduced(version)),
                Some('f') => Ok(Event::Fixed(version)),
                Some('a') => Ok(Event::LastAffected(version)),
                Some('l') => Ok(Event::Limit(version)),
                _ => Err(D::Error::custom("an event of no kind")),
            }
        };
        let ranges = Vec::<Vec<Cow<'de, str>>>::deserialize(from)?;
        ranges.into_iter().map(|range| range.into_iter().map(event).collect()).collect()
    }
}

/// Gathers advisories, in any order.
#[derive(Debug, Default)]
pub struct Builder {
    text: Vec<u8>,
    places: Vec<Place>,
    advisories: usize,
    now: Option<Timestamp>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Builder {
    /// What is to be taken back later stands until then.
    pub fn at(now: Timestamp) -> Self {
        Self { now: Some(now), ..Self::default() }
    }

    /// Parts of one advisory come one behind the other; it is counted with the first.
    pub fn add(&mut self, advisory: &Advisory, is_first_part: bool) {
        self.advisories += usize::from(is_first_part);
        let withdrawn = advisory.withdrawn.is_some_and(|at| self.is_past(at));
        for affected in &advisory.affected {
            let start = self.text.len();
            self.text.extend_from_slice(affected.package.to_string().as_bytes());
            let named = self.text.len();
            let entry = Entry {
                id: advisory.id.as_str().into(),
                aliases: advisory.aliases.clone(),
                severity: affected.severity,
                malicious: advisory.malicious,
                withdrawn,
                ranges: affected.ranges.clone(),
                versions: affected.versions.clone(),
            };
            serde_json::to_writer(&mut self.text, &entry)
                .expect("an entry has string keys, and a Vec never fails to grow");
            // A name is bounded to 255 bytes and a record to megabytes.
            let name = u16::try_from(named - start).unwrap_or(u16::MAX);
            let entries = u32::try_from(self.text.len() - named).unwrap_or(u32::MAX);
            self.places.push(Place { start, name, entries });
        }
    }

    /// Remembers between which moments all are what they are now.
    fn is_past(&mut self, at: Timestamp) -> bool {
        let Some(now) = self.now else { return true };
        if at <= now {
            self.since = self.since.max(Some(at));
            return true;
        }
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
        false
    }

    /// `revision` names what was gathered; `known` are the ecosystems of which it is more than
    /// single records, so that silence means something.
    pub fn finish(mut self, revision: &str, known: &[Ecosystem]) -> Index {
        let source = std::mem::take(&mut self.text);
        let key = |place: &Place| &source[place.start..place.start + usize::from(place.name)];
        // The entry itself decides among equals, so that the same advisories make the same index.
        self.places.sort_unstable_by(|a, b| {
            key(a).cmp(key(b)).then_with(|| entry_of(&source, a).cmp(entry_of(&source, b)))
        });
        let mut text = Vec::with_capacity(source.len() + self.places.len());
        let mut places: Vec<Place> = Vec::new();
        for group in self.places.chunk_by(|a, b| key(a) == key(b)) {
            let start = text.len();
            text.extend_from_slice(key(&group[0]));
            let named = text.len();
            for (number, place) in group.iter().enumerate() {
                text.push(if number == 0 { b'[' } else { b',' });
                text.extend_from_slice(entry_of(&source, place));
            }
            text.push(b']');
            let entries = u32::try_from(text.len() - named).unwrap_or(u32::MAX);
            places.push(Place { start, name: group[0].name, entries });
        }
        Index {
            text: text.into_boxed_slice(),
            places: places.into_boxed_slice(),
            revision: revision.into(),
            advisories: self.advisories,
            ecosystems: sorted(known),
            since: self.since,
            until: self.until,
        }
    }
}

fn sorted(known: &[Ecosystem]) -> Vec<Ecosystem> {
    let mut ecosystems = known.to_vec();
    ecosystems.sort_unstable();
    ecosystems.dedup();
    ecosystems
}

fn entry_of<'t>(text: &'t [u8], place: &Place) -> &'t [u8] {
    let start = place.start + usize::from(place.name);
    &text[start..start + place.entries as usize]
}

impl Index {
    /// Empty where nothing was ever imported.
    pub fn revision(&self) -> &Arc<str> {
        &self.revision
    }

    /// How many advisories there are.
    pub fn len(&self) -> usize {
        self.advisories
    }

    pub fn is_empty(&self) -> bool {
        self.advisories == 0
    }

    /// How many packages they speak of.
    pub fn packages(&self) -> usize {
        self.places.len()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.text.len() + std::mem::size_of_val(&*self.places)
    }

    /// Those whose advisories were imported. Of the others single ones may be known, and nothing
    /// follows from there being none.
    pub fn ecosystems(&self) -> &[Ecosystem] {
        &self.ecosystems
    }

    pub fn knows(&self, ecosystem: Ecosystem) -> bool {
        self.ecosystems.contains(&ecosystem)
    }

    /// What is known of a package; `None` where that is nothing, and its ecosystem's advisories
    /// were never imported.
    pub fn of(&self, package: &Package) -> Option<PackageAdvisories> {
        let is_known = self.knows(package.ecosystem());
        let entries = self.entries(package);
        if !is_known && entries.is_none() {
            return None;
        }
        let weight = entries.map_or(0, <[u8]>::len);
        let entries: Vec<Entry<'_>> = entries.map_or_else(Vec::new, |json| {
            serde_json::from_slice(json).expect("the index holds what it wrote itself")
        });
        let entries = entries.into_iter().map(|entry| Known::new(package, entry)).collect();
        Some(PackageAdvisories { ecosystem: package.ecosystem(), is_known, weight, entries })
    }

    /// Whether there is any advisory on the package: cheaper than [`Self::of`].
    pub fn speaks_of(&self, package: &Package) -> bool {
        self.entries(package).is_some()
    }

    fn entries(&self, package: &Package) -> Option<&[u8]> {
        if self.places.is_empty() {
            return None;
        }
        let asked = package.to_string();
        let name = |place: &Place| &self.text[place.start..place.start + usize::from(place.name)];
        let found = self.places.binary_search_by(|place| name(place).cmp(asked.as_bytes()));
        found.ok().map(|place| entry_of(&self.text, &self.places[place]))
    }
}

/// The advisories of one package, read once for all its versions.
#[derive(Clone, Debug)]
pub struct PackageAdvisories {
    ecosystem: Ecosystem,
    is_known: bool,
    /// Bytes that it was read from.
    weight: usize,
    entries: Vec<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    advisory: KnownAdvisory,
    compiled: Compiled,
}

impl Known {
    fn new(package: &Package, entry: Entry<'_>) -> Self {
        let affected = Affected {
            package: package.clone(),
            severity: entry.severity,
            vector: None,
            ranges: entry.ranges,
            versions: entry.versions,
        };
        let advisory = KnownAdvisory {
            id: entry.id.into(),
            aliases: entry.aliases.into_iter().map(Arc::from).collect(),
            severity: entry.severity,
            malicious: entry.malicious,
            withdrawn: entry.withdrawn,
            fixed: affected.fixed().map(Arc::from).collect(),
        };
        Self { advisory, compiled: Compiled::new(&affected) }
    }
}

impl PackageAdvisories {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that it was read from; in memory it takes some times as many.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// The ecosystem's advisories were imported: that none speaks of a version means something.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// What is to be said of a version in [`crate::facts::Facts::advisories`].
    pub fn fact(&self, version: &str) -> Option<Vec<KnownAdvisory>> {
        let found = self.affecting(version);
        (self.is_known || !found.is_empty()).then_some(found)
    }

    /// And in [`crate::facts::Facts::fixes_advisory`].
    pub fn fixing_fact(&self, version: &str) -> Option<bool> {
        let fixes = self.fixed_by(version);
        (self.is_known || fixes).then_some(fixes)
    }

    /// Those that speak of this version, each once.
    pub fn affecting(&self, version: &str) -> Vec<KnownAdvisory> {
        if self.entries.is_empty() {
            return Vec::new();
        }
        let version = Parsed::new(self.ecosystem, version);
        self.each_once(|known| known.compiled.includes_parsed(version.as_ref()))
    }

    /// Those that speak of any version, each once.
    pub fn all(&self) -> Vec<KnownAdvisory> {
        self.each_once(|_| true)
    }

    fn each_once(&self, matches: impl Fn(&Known) -> bool) -> Vec<KnownAdvisory> {
        let mut found: Vec<KnownAdvisory> = Vec::new();
        for known in self.entries.iter().filter(|known| matches(known)) {
            // An advisory that came in parts is in several entries.
            match found.iter_mut().find(|other| other.id == known.advisory.id) {
                None => found.push(known.advisory.clone()),
                Some(other) => {
                    other.severity = worse(other.severity, known.advisory.severity);
                    other.fixed.extend(known.advisory.fixed.iter().cloned());
                }
            }
        }
        found
    }

    /// Whether an advisory that stands names this version as the one that fixes it.
    pub fn fixed_by(&self, version: &str) -> bool {
        let Some(version) = Parsed::new(self.ecosystem, version) else { return false };
        let is_fix =
            |known: &Known| !known.advisory.withdrawn && known.compiled.is_fixed_by(&version);
        self.entries.iter().any(is_fix)
    }
}

/// What nobody has rated is not known to be mild.
fn worse(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.zip(b).map(|(a, b)| a.max(b))
}
