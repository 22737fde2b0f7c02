//! What a manifest states that rules can ask for, read once in the pass that reads everything else.
//!
//! Most versions of a package state the same licence and have the same publisher, so each of these
//! is read, and kept, once for all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use policies::facts::{Missing, Stated};
use policies::licence::Licence;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Entry;
use super::fields::Fields;
use super::known::Known;

/// What is longer is nobody's licence or name.
const LICENCE_AT_MOST: usize = 16 << 10;
const PUBLISHER_AT_MOST: usize = 4 << 10;
const NAME_AT_MOST: usize = 214;

/// Predicates of statements that say where something was built.
const PROVENANCE: &str = "https://slsa.dev/provenance/";

/// Who published a version: a name, and what tells apart those who share it.
#[derive(Clone, Debug)]
pub struct Publisher {
    pub name: Arc<str>,
    /// Every build service has one name for all whom it publishes for; whose build it was says the
    /// trust that they were given.
    pub identity: Arc<str>,
}

/// What versions of one document have in common.
#[derive(Debug, Default)]
pub struct Shared {
    licences: Seen<Option<Arc<Licence>>>,
    publishers: Seen<Option<Publisher>>,
    weight: usize,
}

impl Shared {
    /// What it takes in memory, about.
    pub fn weight(&self) -> usize {
        self.weight
    }

    fn licence(&mut self, known: &Known<'_>) -> Option<Arc<Licence>> {
        let (license, licenses) = (known.license, known.licenses);
        let joined;
        let key = match (license, licenses) {
            (None, None) => return None,
            (Some(license), None) => license,
            (license, Some(licenses)) => {
                // No JSON has it between two others.
                joined = format!("{}\u{0}{licenses}", license.unwrap_or_default());
                &joined
            }
        };
        if key.len() > LICENCE_AT_MOST {
            return None;
        }
        let weight = &mut self.weight;
        self.licences.get(key, || {
            let read = |raw: &str| serde_json::from_str::<Value>(raw).ok();
            let (license, licenses) = (license.and_then(read), licenses.and_then(read));
            let licence = Licence::of_npm(license.as_ref(), licenses.as_ref())?;
            *weight += licence.text().len() * 4 + 128;
            Some(Arc::new(licence))
        })
    }

    fn publisher(&mut self, known: &Known<'_>) -> Option<Publisher> {
        let raw = known.npm_user.filter(|raw| raw.len() <= PUBLISHER_AT_MOST)?;
        let weight = &mut self.weight;
        self.publishers.get(raw, || {
            let publisher = publisher(raw)?;
            *weight += publisher.name.len() + publisher.identity.len() + 64;
            Some(publisher)
        })
    }
}

/// Texts that were read, and what they came to; the last one is found without looking.
#[derive(Debug)]
struct Seen<T> {
    all: HashMap<Arc<str>, T>,
    last: Option<(Arc<str>, T)>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { all: HashMap::new(), last: None }
    }
}

impl<T: Clone> Seen<T> {
    fn get(&mut self, text: &str, read: impl FnOnce() -> T) -> T {
        if let Some((last, value)) = &self.last
            && **last == *text
        {
            return value.clone();
        }
        let known =
            self.all.get_key_value(text).map(|(key, value)| (Arc::clone(key), value.clone()));
        let (key, value) = known.unwrap_or_else(|| {
            let (key, value) = (Arc::<str>::from(text), read());
            self.all.insert(Arc::clone(&key), value.clone());
            (key, value)
        });
        self.last = Some((key, value.clone()));
        value
    }
}

#[derive(Deserialize)]
struct NpmUser {
    name: String,
    #[serde(rename = "trustedPublisher", default)]
    trusted: Option<TrustedPublisher>,
}

#[derive(Deserialize)]
struct TrustedPublisher {
    id: String,
    #[serde(rename = "oidcConfigId", default)]
    config: Option<String>,
}

/// What is no name is nobody's; what is unusual beside it, too.
fn publisher(raw: &str) -> Option<Publisher> {
    let NpmUser { name, trusted } = serde_json::from_str(raw).ok()?;
    if name.is_empty() || name.len() > NAME_AT_MOST {
        return None;
    }
    let name: Arc<str> = name.into();
    let identity = match trusted {
        None => Arc::clone(&name),
        Some(TrustedPublisher { id, config }) => {
            format!("{name}\u{0}{id}\u{0}{}", config.unwrap_or_default()).into()
        }
    };
    Some(Publisher { name, identity })
}

/// What is stated of a version, but for what others published before it. `provenance` is whether its
/// `dist` has any.
pub fn stated(
    known: &Known<'_>,
    provenance: bool,
    shared: &mut Shared,
) -> (Stated, Option<Arc<str>>) {
    let publisher = shared.publisher(known);
    let stated = Stated {
        licence: shared.licence(known),
        publisher: publisher.as_ref().map(|publisher| Arc::clone(&publisher.name)),
        publisher_changed: None,
        deprecated: Some(known.is_deprecated()),
        // npm has neither: what is there is listed and can be installed.
        yanked: Some(false),
        unlisted: Some(false),
        install_scripts: Some(known.has_install_script() || known.is_built()),
        provenance: Some(provenance),
        dependencies: count(known.dependencies, known.optional_dependencies),
        rust_version: None,
        pending: Missing::NONE,
    };
    (stated, publisher.map(|publisher| publisher.identity))
}

/// Whether attestations name a statement of where it was built.
pub fn has_provenance(attestations: &Fields<'_>) -> bool {
    let provenance = attestations.get("provenance").and_then(|raw| Fields::parse(raw).ok());
    let predicate = provenance.as_ref().and_then(|provenance| provenance.text("predicateType"));
    predicate.is_some_and(|predicate| predicate.starts_with(PROVENANCE))
}

/// How many packages it depends on, optional ones among them: those stand in one of the fields or in
/// both. `None` where it can not be told.
fn count(dependencies: Option<&str>, optional: Option<&str>) -> Option<u32> {
    let is_nothing = |raw: &&str| !matches!(*raw, "null" | "{}" | "[]" | "\"\"");
    let names = match (dependencies.filter(is_nothing), optional.filter(is_nothing)) {
        (None, None) => return Some(0),
        (Some(one), None) | (None, Some(one)) if one.starts_with('{') => count_keys(one),
        (one, other) => {
            let mut all = BTreeSet::new();
            for raw in [one, other].into_iter().flatten() {
                all.extend(names_in(raw)?);
            }
            all.len()
        }
    };
    u32::try_from(names).ok()
}

/// Of an object that was read before, so that it is one.
fn count_keys(object: &str) -> usize {
    let (mut depth, mut keys) = (0_usize, 0);
    let mut bytes = object.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while let Some(inside) = bytes.next() {
                    match inside {
                        b'\\' => _ = bytes.next(),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            // Each key has one, and no value of depth one has any.
            b':' if depth == 1 => keys += 1,
            _ => {}
        }
    }
    keys
}

/// npm takes objects, texts such as `"a@1, b"`, and lists of texts.
fn names_in(raw: &str) -> Option<BTreeSet<String>> {
    let name = |word: &str| {
        let end = word.char_indices().skip(1).find(|(_, c)| matches!(c, '@' | '>' | '<' | '='));
        word[..end.map_or(word.len(), |(end, _)| end)].trim().to_owned()
    };
    let words = |text: &str| -> BTreeSet<String> {
        text.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).map(name).collect()
    };
    if raw.starts_with('{') {
        let object: Map<String, Value> = serde_json::from_str(raw).ok()?;
        return Some(object.into_iter().map(|(name, _)| name).collect());
    }
    match serde_json::from_str(raw).ok()? {
        Value::String(text) => Some(words(&text)),
        Value::Array(listed) => {
            listed.iter().map(|word| Some(name(word.as_str()?))).collect::<Option<_>>()
        }
        _ => None,
    }
}

/// Says of each version whether somebody else published the one before it, by the dates. Where one
/// has none it may be the one before any other, so nobody knows.
pub fn follow_publishers(entries: &mut [Entry]) {
    let dated: Option<Vec<(Timestamp, usize)>> =
        entries.iter().enumerate().map(|(place, entry)| Some((entry.published?, place))).collect();
    let Some(mut dated) = dated else {
        for entry in entries {
            entry.stated.publisher_changed = None;
        }
        return;
    };
    dated.sort_unstable();
    let mut before: Option<usize> = None;
    for (_, place) in dated {
        let changed = match before {
            None => Some(false),
            Some(before) => match (&entries[before].identity, &entries[place].identity) {
                (Some(theirs), Some(ours)) => Some(!Arc::ptr_eq(theirs, ours) && theirs != ours),
                _ => None,
            },
        };
        entries[place].stated.publisher_changed = changed;
        before = Some(place);
    }
}

#[cfg(test)]
mod tests;
