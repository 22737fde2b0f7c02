//! What is remembered of a package's versions: many in one value, so that a package with thousands
//! of versions costs tens of records.
//!
//! A version keeps the record it was first written to, and there is room for all that can come to
//! an entry later. So whatever changes rewrites the records of the changed versions and the last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::facts::Comparison;
use policies::package::{Digest, Ecosystem, Package, Version};
use serde::{Deserialize, Serialize};

use super::{InsideRecord, Key, Prefix, Record, decode, encode, scan, unknown_key};
use crate::metadata::{Batch, MAX_VALUE, Metadata, MetadataError};

/// Records that are read at once.
const PAGE: usize = 100;
/// The longest entry but for the version and the digests: names, punctuation, dates, what came of a
/// comparison.
const ENTRY: usize = 320;

/// What this garden remembers of one version of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// By our own clock.
    #[serde(rename = "seen")]
    pub first_seen: Timestamp,
    /// By the upstream's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    /// Pinned at first sight: other bytes under this version are refused.
    #[serde(with = "short")]
    pub digests: Arc<[Digest]>,
    /// Since when the upstream does not list it any more; of an own version, since when it is
    /// unpublished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished: Option<Timestamp>,
    /// When the upstream first gave other digests than the pinned ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Timestamp>,
    /// Published here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Absent until its artifact was compared with what the upstream says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// Bytes of its artifact; absent until it was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What its artifact says and no document does, in a record of its own; absent until it was
    /// opened, and where documents say everything.
    #[serde(skip)]
    pub inside: Option<Arc<InsideRecord>>,
}

/// What came of comparing an artifact with what its document says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    pub found: Comparison,
    /// Names what the document said then, in [`SAID`] characters: where it says something else
    /// since, nothing is known.
    pub said: String,
}

/// The length of a name of what a document said.
pub const SAID: usize = 32;

/// Some of a package's versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionsRecord {
    pub versions: Vec<(String, VersionRecord)>,
}

impl Record for VersionsRecord {
    const KIND: &'static str = "versions";
    const PARTS: usize = 3;
}

impl VersionsRecord {
    pub fn key(registry: &str, package: &str, n: usize) -> Key<Self> {
        Key::of(&[registry, package, &format!("{n:06}")])
    }

    pub fn of_package(registry: &str, package: &str) -> Prefix<Self> {
        Prefix::of(&[registry, package])
    }

    fn number(key: &Key<Self>) -> Option<usize> {
        key.parts().last()?.parse().ok()
    }
}

/// Where the versions of a package lie in the store, and what is to be written there.
#[derive(Clone, Debug)]
pub struct VersionPlaces {
    registry: String,
    package: String,
    records: Vec<Place>,
    /// In `records`.
    by_version: HashMap<Version, usize>,
}

#[derive(Clone, Debug)]
struct Place {
    n: usize,
    key: Key<VersionsRecord>,
    /// As it will be once what was made of it is written; `None` before the first time.
    raw: Option<Bytes>,
    /// The longest that its versions can become.
    size: usize,
}

/// All versions of a package that are remembered, and where they lie.
pub async fn read_versions(
    metadata: &dyn Metadata,
    registry: &str,
    package: &Package,
) -> Result<(HashMap<Version, VersionRecord>, VersionPlaces), MetadataError> {
    let prefix = VersionsRecord::of_package(registry, package.name());
    let mut versions = HashMap::new();
    let mut places = VersionPlaces {
        registry: registry.to_owned(),
        package: package.name().to_owned(),
        records: Vec::new(),
        by_version: HashMap::new(),
    };
    loop {
        let after = places.records.last().map(|place| place.key.as_bytes());
        let page = metadata.scan(prefix.as_bytes(), after, PAGE).await?;
        let is_last = page.len() < PAGE;
        for entry in page {
            let key = Key::parse(&entry.key).ok_or_else(|| unknown_key(&entry.key))?;
            let n = VersionsRecord::number(&key).ok_or_else(|| unknown_key(&entry.key))?;
            let record: VersionsRecord = decode(&entry.key, &entry.value)?;
            let mut size = 0;
            for (version, record) in record.versions {
                size += size_at_most(&version, &record);
                // Nobody can ask for one whose name is none.
                let Ok(version) = Version::new(&version) else { continue };
                places.by_version.insert(version.clone(), places.records.len());
                versions.insert(version, record);
            }
            places.records.push(Place { n, key, raw: Some(entry.value), size });
        }
        if is_last {
            break;
        }
    }
    // Documents of other ecosystems say all that rules can ask for.
    if package.ecosystem() == Ecosystem::Cargo && !versions.is_empty() {
        add_insides(metadata, registry, package, &mut versions).await?;
    }
    Ok((versions, places))
}

async fn add_insides(
    metadata: &dyn Metadata,
    registry: &str,
    package: &Package,
    versions: &mut HashMap<Version, VersionRecord>,
) -> Result<(), MetadataError> {
    let prefix = InsideRecord::of_package(registry, package.name());
    let mut last = None;
    loop {
        let page = scan(metadata, &prefix, last.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        for (key, inside) in page {
            let version = key.parts().pop().and_then(|version| Version::new(&version).ok());
            last = Some(key);
            let Some(record) = version.and_then(|version| versions.get_mut(&version)) else {
                continue;
            };
            if record.digests.contains(&inside.blob) {
                record.inside = Some(Arc::new(inside));
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

impl VersionPlaces {
    /// What writes `versions`, new and changed ones, where nobody else wrote meanwhile. What is
    /// asked for afterwards is meant to be written after that.
    pub fn put<'a>(
        &mut self,
        versions: impl IntoIterator<Item = (&'a Version, &'a VersionRecord)>,
    ) -> Result<Batch, MetadataError> {
        let mut changed: BTreeMap<usize, VersionsRecord> = BTreeMap::new();
        for (version, record) in versions {
            let is_known = self.by_version.contains_key(version);
            let at = self.place(version, record);
            let open = match changed.entry(at) {
                std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
                std::collections::btree_map::Entry::Vacant(closed) => {
                    closed.insert(self.records[at].open()?)
                }
            };
            let mut known = open.versions.iter_mut().filter(|_| is_known);
            match known.find(|(known, _)| known == version.as_str()) {
                Some((_, known)) => *known = record.clone(),
                None => open.versions.push((version.to_string(), record.clone())),
            }
        }
        let mut batch = Batch::default();
        for (at, record) in changed {
            let place = &mut self.records[at];
            let raw = encode(&record);
            batch = batch
                .expect(place.key.to_bytes(), place.raw.replace(raw.clone()))
                .put(place.key.to_bytes(), raw);
        }
        Ok(batch)
    }

    /// Of a new version, the last record if it has room.
    fn place(&mut self, version: &Version, record: &VersionRecord) -> usize {
        if let Some(at) = self.by_version.get(version) {
            return *at;
        }
        let size = size_at_most(version.as_str(), record);
        // Brackets and the byte of the encoding.
        let has_room = |place: &Place| place.size + size + 3 <= MAX_VALUE;
        if !self.records.last().is_some_and(has_room) {
            // Not their count: one may be missing after a repair.
            let n = self.records.last().map_or(0, |last| last.n + 1);
            let key = VersionsRecord::key(&self.registry, &self.package, n);
            self.records.push(Place { n, key, raw: None, size: 0 });
        }
        let at = self.records.len() - 1;
        self.records[at].size += size;
        self.by_version.insert(version.clone(), at);
        at
    }
}

impl Place {
    fn open(&self) -> Result<VersionsRecord, MetadataError> {
        match &self.raw {
            Some(raw) => decode(self.key.as_bytes(), raw),
            None => Ok(VersionsRecord::default()),
        }
    }
}

/// Of an entry with all that can come to it later: it stays where it is.
fn size_at_most(version: &str, record: &VersionRecord) -> usize {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    let name = if version.bytes().all(is_plain) { version.len() } else { version.len() * 6 };
    let digest = |digest: &Digest| "\"sha512-\",".len() + digest.bytes().len().div_ceil(3) * 4;
    ENTRY + name + record.digests.iter().map(digest).sum::<usize>()
}

/// Digests in the shorter spelling.
mod short {
    use std::sync::Arc;

    use policies::package::Digest;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(digests: &[Digest], out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(digests.iter().map(Digest::to_sri))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[Digest]>, D::Error> {
        Vec::<String>::deserialize(from)?
            .iter()
            .map(|text| match <[Digest; 1]>::try_from(Digest::from_sri(text)) {
                Ok([digest]) => Ok(digest),
                Err(_) => Err(D::Error::custom(format!("{text:?} is not one digest"))),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
