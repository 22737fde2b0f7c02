//! What is held of a source before an import: some eighty bytes for each advisory.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use policies::package::Ecosystem;

use super::super::stored::{InForce, Walk, fingerprint};
use crate::metadata::records::{AdvisoriesRecord, Outline, TextName};
use crate::metadata::{Metadata, MetadataError};

/// What is held of one advisory.
#[derive(Clone, Copy, Debug)]
pub struct One {
    pub modified: Modified,
    /// Of what is kept of it.
    pub fingerprint: u64,
    pub parts: u32,
    pub ecosystems: Ecosystems,
    /// In the present import.
    pub seen: bool,
    /// There are parts of this import's generation.
    pub written: bool,
    /// As one that is new or was modified.
    pub counted: bool,
}

/// In nanoseconds; what is centuries away is as far as that goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Modified(i64);

impl From<Timestamp> for Modified {
    fn from(at: Timestamp) -> Self {
        let nanoseconds = at.as_nanosecond();
        Self(i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 {
            i64::MIN
        } else {
            i64::MAX
        }))
    }
}

/// A few of the few there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ecosystems(u8);

impl Ecosystems {
    pub fn add(&mut self, ecosystem: Ecosystem) {
        let place = Ecosystem::ALL.iter().position(|one| *one == ecosystem);
        self.0 |= place.map_or(0, |place| 1 << place);
    }

    pub fn iter(self) -> impl Iterator<Item = Ecosystem> {
        let all = Ecosystem::ALL.iter().enumerate();
        all.filter(move |(place, _)| self.0 & (1 << place) != 0).map(|(_, one)| *one)
    }
}

impl FromIterator<Ecosystem> for Ecosystems {
    fn from_iter<I: IntoIterator<Item = Ecosystem>>(all: I) -> Self {
        let mut these = Self::default();
        all.into_iter().for_each(|one| these.add(one));
        these
    }
}

/// By id and, as it was before the import, by the text that each was read from.
#[derive(Debug, Default)]
pub struct Held {
    by_id: HashMap<Box<str>, u32>,
    all: Vec<One>,
    texts: Arc<Texts>,
}

/// Names of texts, and whose they are. Sorted.
#[derive(Debug, Default)]
pub struct Texts(Vec<([u8; 16], u32)>);

impl Texts {
    fn place(&self, text: TextName) -> Option<u32> {
        let found = self.0.binary_search_by_key(&text.0.to_be_bytes(), |(text, _)| *text);
        found.ok().map(|place| self.0[place].1)
    }

    pub fn contains(&self, text: TextName) -> bool {
        self.place(text).is_some()
    }
}

impl Held {
    pub async fn read(
        metadata: &dyn Metadata,
        state: &AdvisoriesRecord,
        source: &str,
    ) -> Result<Self, MetadataError> {
        let (mut held, mut texts) = (Self::default(), Vec::new());
        let mut walk = Walk::<Outline>::new(metadata, state);
        while let Some(of_id) = walk.next().await? {
            let own = of_id.in_force.iter().find(|one| one.source == source);
            let Some(own) = own.filter(|own| !own.parts.is_empty()) else { continue };
            let place = held.insert(of_id.id.into(), One::of(own));
            texts.extend(own.text.map(|text| (text.0.to_be_bytes(), place)));
        }
        texts.sort_unstable();
        texts.shrink_to_fit();
        held.texts = Arc::new(Texts(texts));
        Ok(held)
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// For the thread that reads.
    pub fn texts(&self) -> Arc<Texts> {
        Arc::clone(&self.texts)
    }

    pub fn get(&self, id: &str) -> Option<&One> {
        self.by_id.get(id).and_then(|place| self.all.get(*place as usize))
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut One> {
        self.by_id.get(id).and_then(|place| self.all.get_mut(*place as usize))
    }

    /// The source still has what was read from this text. Gives what that speaks of.
    pub fn see(&mut self, text: TextName) -> Ecosystems {
        let one = self.texts.place(text).and_then(|place| self.all.get_mut(place as usize));
        one.map_or_else(Ecosystems::default, |one| {
            one.seen = true;
            one.ecosystems
        })
    }

    /// Gives its place.
    pub fn insert(&mut self, id: Box<str>, one: One) -> u32 {
        if let Some(place) = self.by_id.get(&id) {
            self.all[*place as usize] = one;
            return *place;
        }
        // An import has five million records at most.
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(one);
        self.by_id.insert(id, place);
        place
    }

    pub fn remove(&mut self, id: &str) -> Option<One> {
        let place = self.by_id.remove(id)?;
        self.all.get(place as usize).copied()
    }

    /// The ids that the source was not seen to have, in their order.
    pub fn unseen(&self) -> Vec<Box<str>> {
        let unseen = self.by_id.iter().filter(|(_, place)| !self.all[**place as usize].seen);
        let mut unseen: Vec<Box<str>> = unseen.map(|(id, _)| id.clone()).collect();
        unseen.sort_unstable();
        unseen
    }
}

impl One {
    fn of(held: &InForce<Outline>) -> Self {
        let affected = held.parts.iter().flat_map(|part| &part.affected);
        Self {
            modified: held.parts[0].modified.into(),
            fingerprint: fingerprint(&held.raw),
            parts: u32::try_from(held.parts.len()).unwrap_or(u32::MAX),
            ecosystems: affected.map(|affected| affected.package.ecosystem()).collect(),
            seen: false,
            written: false,
            counted: false,
        }
    }
}
