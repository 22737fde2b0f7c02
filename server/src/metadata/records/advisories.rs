//! What is stored of advisories.
//!
//! A record belongs to the import that wrote it, its generation. It counts from the moment at which
//! [`AdvisoriesRecord`] says that this generation is in force; until then nobody sees it. Of one
//! advisory from one source the newest generation in force counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use policies::advisories::Advisory;
use policies::package::{Ecosystem, Package};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Key, Prefix, Record};

/// A part of an advisory; most have one. Who needs less than the whole of it reads it as an
/// [`Outline`] or as nothing at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdvisoryRecord<A = Advisory> {
    /// How many parts there are, numbered from 0.
    pub parts: u32,
    /// Names the text that it was read from: while that is the same, it is not read again. Absent
    /// in what earlier builds wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextName>,
    /// With the packages that this part speaks of. `None`: the source has it no more.
    pub advisory: Option<A>,
}

/// Names a text and the way in which it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextName(pub u128);

impl Serialize for TextName {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&format_args!("{:032x}", self.0))
    }
}

impl<'de> Deserialize<'de> for TextName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(D::Error::custom)
    }
}

/// What an import has to know of an advisory that is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outline {
    pub modified: Timestamp,
    pub affected: Vec<OutlineAffected>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutlineAffected {
    pub package: Package,
}

/// Where an advisory's record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisoryPlace {
    pub id: String,
    pub source: String,
    pub generation: u64,
    pub part: u32,
}

/// Which imports count. There is one of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AdvisoriesRecord {
    /// The newest that counts; older ones count too.
    pub generation: u64,
    /// The newest that was ever begun.
    pub begun: u64,
    /// Begun, and neither in force nor cleaned up: they never count.
    pub unfinished: Vec<u64>,
    /// Up to this generation nothing lies in the store that counts no more.
    #[serde(default)]
    pub cleaned: u64,
    /// Names what is in force; empty before the first import.
    pub revision: String,
    pub sources: BTreeMap<String, SourceRecord>,
}

/// The last import from one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AdvisorySource)]
pub struct SourceRecord {
    pub imported: Timestamp,
    /// All that the source had, so what it has no more was taken away.
    pub complete: bool,
    /// Those that archives from this source spoke of; a single record makes none known.
    pub ecosystems: Vec<Ecosystem>,
    /// Records that were read, those of other ecosystems included.
    pub read: u64,
    /// Advisories that are held of it.
    pub advisories: u64,
}

impl<A: Serialize + DeserializeOwned + Send + Sync + 'static> Record for AdvisoryRecord<A> {
    const KIND: &'static str = "advisory";
    const PARTS: usize = 4;
}

impl Record for AdvisoriesRecord {
    const KIND: &'static str = "advisories";
    const PARTS: usize = 1;
}

impl<A: Serialize + DeserializeOwned + Send + Sync + 'static> AdvisoryRecord<A> {
    pub fn key(place: &AdvisoryPlace) -> Key<Self> {
        let AdvisoryPlace { id, source, generation, part } = place;
        Key::of(&[id, source, &format!("{generation:020}"), &format!("{part:06}")])
    }

    pub fn of_id(id: &str) -> Prefix<Self> {
        Prefix::of(&[id])
    }

    /// `None` for a key whose numbers are none.
    pub fn place(key: &Key<Self>) -> Option<AdvisoryPlace> {
        let [id, source, generation, part] = <[String; 4]>::try_from(key.parts()).ok()?;
        let (generation, part) = (generation.parse().ok()?, part.parse().ok()?);
        Some(AdvisoryPlace { id, source, generation, part })
    }
}

impl AdvisoriesRecord {
    pub fn key() -> Key<Self> {
        Key::of(&["state"])
    }

    /// Nothing lies in the store that does not count.
    pub fn is_clean(&self) -> bool {
        self.cleaned == self.generation && self.unfinished.is_empty()
    }

    /// Whether what this import wrote counts.
    pub fn counts(&self, generation: u64) -> bool {
        generation <= self.generation && !self.unfinished.contains(&generation)
    }
}
