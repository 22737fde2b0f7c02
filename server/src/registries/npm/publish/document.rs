//! The own packument: what is stored of a package that is published here, and how it is changed.
//!
//! Pure. It is an ordinary packument, which is read and served like an upstream's. A version that
//! is unpublished leaves its date in `time`: nothing else is ever published under it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use policies::package::{Ecosystem, Version};
use policies::versions::{compare, is_prerelease};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::super::documents::HOISTED;

/// More would make a document that every change rewrites, and every client reads, too large.
const VERSIONS_AT_MOST: usize = 10_000;
const BYTES_AT_MOST: usize = 64 << 20;
const TAGS_AT_MOST: usize = 1000;
/// npm's registry cuts it there too.
const README_AT_MOST: usize = 64 << 10;
pub const LATEST: &str = "latest";

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeFault {
    /// This version is published.
    Published,
    /// This version was published once.
    Unpublished,
    NoSuchVersion,
    NoSuchTag,
    /// More than one document holds.
    TooMuch(String),
    /// What is stored can not be read.
    Damaged(String),
}

#[derive(Debug, Default, serde::Deserialize)]
pub struct OwnPackument {
    #[serde(rename = "_rev", default)]
    pub revision: String,
    #[serde(rename = "dist-tags")]
    pub tags: BTreeMap<String, String>,
    versions: Ordered<Box<RawValue>>,
    time: Ordered<String>,
    #[serde(default)]
    maintainers: Vec<Value>,
    readme: Option<String>,
    #[serde(rename = "readmeFilename")]
    readme_file: Option<String>,
}

/// A version that comes.
#[derive(Clone, Debug)]
pub struct NewVersion {
    pub version: Version,
    pub manifest: Map<String, Value>,
    pub tags: Vec<String>,
    pub readme: Option<String>,
    pub readme_file: Option<String>,
    /// The name of whoever publishes it.
    pub by: String,
}

/// How npm's registry shows a person; nobody's address is known here.
pub fn human(name: &str) -> Value {
    json!({ "name": name, "email": "" })
}

impl OwnPackument {
    pub fn parse(document: Option<&Bytes>) -> Result<Self, ChangeFault> {
        let Some(document) = document else { return Ok(Self::default()) };
        serde_json::from_slice(document).map_err(|fault| ChangeFault::Damaged(fault.to_string()))
    }

    pub fn has(&self, version: &str) -> bool {
        self.versions.get(version).is_some()
    }

    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.versions.0.iter().map(|(version, _)| version.as_str())
    }

    pub fn publish(&mut self, new: NewVersion, now: Timestamp) -> Result<(), ChangeFault> {
        let version = new.version.as_str();
        if self.has(version) {
            return Err(ChangeFault::Published);
        }
        if self.time.get(version).is_some() {
            return Err(ChangeFault::Unpublished);
        }
        if self.versions.0.len() >= VERSIONS_AT_MOST {
            return Err(ChangeFault::TooMuch(format!(
                "it has {VERSIONS_AT_MOST} versions, and no package may have more"
            )));
        }
        for tag in &new.tags {
            self.tags.insert(tag.clone(), version.to_owned());
        }
        self.tags.entry(LATEST.to_owned()).or_insert_with(|| version.to_owned());
        if self.tags.get(LATEST).is_some_and(|latest| latest == version) {
            self.readme = new.readme.map(|readme| cut(readme, README_AT_MOST));
            self.readme_file = new.readme_file.filter(|_| self.readme.is_some());
        }
        let by = human(&new.by);
        if !self.maintainers.contains(&by) {
            self.maintainers.push(by);
        }
        self.versions.0.push((version.to_owned(), raw(&Value::Object(new.manifest))?));
        self.time.set(version, date(now));
        self.touch(now);
        self.check_tags()
    }

    /// `None` takes the text back.
    pub fn deprecate(&mut self, version: &str, text: Option<&str>) -> Result<(), ChangeFault> {
        let stored = self.versions.get_mut(version).ok_or(ChangeFault::NoSuchVersion)?;
        let mut manifest = parse_manifest(stored)?;
        match text {
            Some(text) => manifest.insert("deprecated".to_owned(), text.into()),
            None => manifest.remove("deprecated"),
        };
        *stored = raw(&Value::Object(manifest))?;
        Ok(())
    }

    /// What is said of a version instead of a recommendation.
    pub fn deprecation(&self, version: &str) -> Result<Option<String>, ChangeFault> {
        let stored = self.versions.get(version).ok_or(ChangeFault::NoSuchVersion)?;
        let manifest = parse_manifest(stored)?;
        Ok(manifest.get("deprecated").and_then(Value::as_str).map(str::to_owned))
    }

    pub fn set_tag(&mut self, tag: &str, version: &str) -> Result<(), ChangeFault> {
        if !self.has(version) {
            return Err(ChangeFault::NoSuchVersion);
        }
        self.tags.insert(tag.to_owned(), version.to_owned());
        self.check_tags()
    }

    pub fn remove_tag(&mut self, tag: &str) -> Result<(), ChangeFault> {
        self.tags.remove(tag).map(drop).ok_or(ChangeFault::NoSuchTag)
    }

    /// Takes a version away, and the tags that point to it. `latest` goes to the newest that is
    /// left.
    pub fn unpublish(&mut self, version: &str) -> Result<(), ChangeFault> {
        if !self.has(version) {
            return Err(ChangeFault::NoSuchVersion);
        }
        self.versions.0.retain(|(other, _)| other != version);
        let was_latest = self.tags.get(LATEST).is_some_and(|latest| latest == version);
        self.tags.retain(|_, target| target != version);
        if was_latest {
            // The readme was that version's.
            self.readme = None;
            self.readme_file = None;
            if let Some(newest) = self.newest() {
                self.tags.insert(LATEST.to_owned(), newest);
            }
        }
        Ok(())
    }

    /// The newest release, else the newest of all.
    fn newest(&self) -> Option<String> {
        let is_release = |version: &&str| is_prerelease(Ecosystem::Npm, version) == Some(false);
        let newest = |versions: &mut dyn Iterator<Item = &str>| {
            versions
                .max_by(|a, b| compare(Ecosystem::Npm, a, b).unwrap_or(std::cmp::Ordering::Equal))
                .map(str::to_owned)
        };
        newest(&mut self.versions().filter(is_release)).or_else(|| newest(&mut self.versions()))
    }

    pub fn touch(&mut self, now: Timestamp) {
        if self.time.get("created").is_none() {
            self.time.set("created", date(now));
        }
        self.time.set("modified", date(now));
    }

    fn check_tags(&self) -> Result<(), ChangeFault> {
        if self.tags.len() > TAGS_AT_MOST {
            return Err(ChangeFault::TooMuch(format!(
                "it has {TAGS_AT_MOST} tags, and no package may have more"
            )));
        }
        Ok(())
    }

    /// The document, under its next revision.
    pub fn to_bytes(&self, name: &str) -> Result<Bytes, ChangeFault> {
        let mut out = Vec::new();
        let mut write = |key: &str, value: &[u8]| {
            out.push(if out.is_empty() { b'{' } else { b',' });
            out.extend_from_slice(Value::from(key).to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(value);
        };
        write("_id", json!(name).to_string().as_bytes());
        write("name", json!(name).to_string().as_bytes());
        write("dist-tags", json!(self.tags).to_string().as_bytes());
        write("versions", &self.versions.write(|value| value.get().to_owned()));
        write("time", &self.time.write(|time| Value::from(time.as_str()).to_string()));
        write("maintainers", json!(self.maintainers).to_string().as_bytes());
        let latest = self.tags.get(LATEST).and_then(|latest| self.versions.get(latest));
        if let Some(latest) = latest {
            let manifest = parse_manifest(latest)?;
            for field in HOISTED.iter().filter(|field| !field.starts_with("readme")) {
                if let Some(value) = manifest.get(*field) {
                    write(field, value.to_string().as_bytes());
                }
            }
        }
        for (key, text) in [("readme", &self.readme), ("readmeFilename", &self.readme_file)] {
            if let Some(text) = text {
                write(key, Value::from(text.as_str()).to_string().as_bytes());
            }
        }
        let revision = self.next_revision(&out);
        out.extend_from_slice(b",\"_rev\":");
        out.extend_from_slice(Value::from(revision).to_string().as_bytes());
        out.push(b'}');
        if out.len() > BYTES_AT_MOST {
            return Err(ChangeFault::TooMuch(format!(
                "its packument would have more than {BYTES_AT_MOST} bytes"
            )));
        }
        Ok(out.into())
    }

    /// As `CouchDB` counts them: how many changes there were, and what came out.
    fn next_revision(&self, content: &[u8]) -> String {
        let count: u64 =
            self.revision.split('-').next().and_then(|n| n.parse().ok()).unwrap_or_default();
        format!("{}-{}", count + 1, hex::encode(&Sha256::digest(content)[..8]))
    }
}

fn parse_manifest(stored: &RawValue) -> Result<Map<String, Value>, ChangeFault> {
    serde_json::from_str(stored.get()).map_err(|fault| ChangeFault::Damaged(fault.to_string()))
}

fn raw(value: &Value) -> Result<Box<RawValue>, ChangeFault> {
    RawValue::from_string(value.to_string())
        .map_err(|fault| ChangeFault::Damaged(fault.to_string()))
}

/// As npm's registry writes dates.
fn date(now: Timestamp) -> String {
    format!("{now:.3}")
}

fn cut(mut text: String, at_most: usize) -> String {
    if text.len() > at_most {
        let end = (0..=at_most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// An object whose fields keep their order.
#[derive(Debug)]
struct Ordered<V>(Vec<(String, V)>);

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Ordered<V> {
    fn get(&self, key: &str) -> Option<&V> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value)
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.0.iter_mut().find(|(other, _)| other == key).map(|(_, value)| value)
    }

    fn set(&mut self, key: &str, value: V) {
        match self.get_mut(key) {
            Some(there) => *there = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    fn write(&self, text: impl Fn(&V) -> String) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(text(value).as_bytes());
        }
        out.push(b'}');
        out
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Ordered<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<V>(std::marker::PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Fields<V> {
            type Value = Ordered<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Ordered(fields))
            }
        }
        deserializer.deserialize_map(Fields(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests;
