//! What is in force, read out of the store; and what lies there beside it.

use bytes::Bytes;
use jiff::Timestamp;
use policies::advisories::{Advisory, Builder, Index};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::kept;
use crate::metadata::records::{
    self, AdvisoriesRecord, AdvisoryPlace, AdvisoryRecord, Key, Prefix, Stored, TextName, show_key,
};
use crate::metadata::{Metadata, MetadataError};

/// Records that are read at once.
const PAGE: usize = 1000;

pub async fn read_state(
    metadata: &dyn Metadata,
) -> Result<Option<Stored<AdvisoriesRecord>>, MetadataError> {
    records::read_stored(metadata, &AdvisoriesRecord::key()).await
}

/// What is read of an advisory: all of it, or less where less will do.
pub trait Part: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<P: Serialize + DeserializeOwned + Send + Sync + 'static> Part for P {}

/// Nothing of it but that it is there.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unread {}

/// One advisory of one source as it counts.
#[derive(Debug)]
pub struct InForce<P> {
    pub source: String,
    /// The whole of it, in parts; empty where the source has it no more.
    pub parts: Vec<P>,
    /// What it was read from.
    pub text: Option<TextName>,
    /// As it is stored.
    pub raw: Vec<Bytes>,
}

/// Of values as they are stored, without the text that they were read from: a newer garth may keep
/// more of the same record, and RustSec does not say when a record was modified.
pub fn fingerprint<'v>(values: impl IntoIterator<Item = &'v Bytes>) -> u64 {
    const KEPT: &[u8] = b"\"advisory\":";
    let mut hash = Sha256::new();
    for value in values {
        let start = value.windows(KEPT.len()).position(|window| window == KEPT);
        let kept = &value[start.unwrap_or(0)..];
        hash.update((kept.len() as u64).to_be_bytes());
        hash.update(kept);
    }
    u64::from_be_bytes(hash.finalize()[..8].try_into().expect("a sha256 has 32 bytes"))
}

/// Everything that is known of one id.
#[derive(Debug)]
pub struct OfId<P> {
    pub id: String,
    pub in_force: Vec<InForce<P>>,
    /// What counts no more, or never did.
    pub superseded: Vec<Bytes>,
}

impl OfId<Advisory> {
    /// Of several sources the one that was modified last.
    pub fn newest(&self) -> Option<&InForce<Advisory>> {
        let there = self.in_force.iter().filter(|one| !one.parts.is_empty());
        there.max_by_key(|one| one.parts[0].modified)
    }
}

type Keyed<P> = (Key<AdvisoryRecord<P>>, Stored<AdvisoryRecord<P>>);

/// Goes through all ids in their order.
pub struct Walk<'m, P> {
    metadata: &'m dyn Metadata,
    state: &'m AdvisoriesRecord,
    page: std::vec::IntoIter<Keyed<P>>,
    after: Option<Key<AdvisoryRecord<P>>>,
    is_last_page: bool,
    waiting: Option<(AdvisoryPlace, Keyed<P>)>,
    prefix: Prefix<AdvisoryRecord<P>>,
}

impl<'m, P: Part> Walk<'m, P> {
    pub fn new(metadata: &'m dyn Metadata, state: &'m AdvisoriesRecord) -> Self {
        Self::of(metadata, state, Prefix::all())
    }

    fn of(
        metadata: &'m dyn Metadata,
        state: &'m AdvisoriesRecord,
        prefix: Prefix<AdvisoryRecord<P>>,
    ) -> Self {
        let page = Vec::new().into_iter();
        let (after, is_last_page, waiting) = (None, false, None);
        Self { metadata, state, page, after, is_last_page, waiting, prefix }
    }

    async fn next_record(&mut self) -> Result<Option<(AdvisoryPlace, Keyed<P>)>, MetadataError> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        loop {
            if let Some((key, stored)) = self.page.next() {
                let place =
                    AdvisoryRecord::<P>::place(&key).ok_or_else(|| MetadataError::Damaged {
                        key: show_key(key.as_bytes()),
                        cause: "it is no key of an advisory".to_owned(),
                    })?;
                self.after = Some(key.clone());
                return Ok(Some((place, (key, stored))));
            }
            if self.is_last_page {
                return Ok(None);
            }
            let page = records::scan_stored(self.metadata, &self.prefix, self.after.as_ref(), PAGE)
                .await?;
            self.is_last_page = page.len() < PAGE;
            self.page = page.into_iter();
        }
    }

    /// The next id with all that is known of it.
    pub async fn next(&mut self) -> Result<Option<OfId<P>>, MetadataError> {
        let mut found: Option<OfId<P>> = None;
        // Keys of one source come in the order of their generations.
        let mut current: Option<Gathered<P>> = None;
        while let Some((place, (key, stored))) = self.next_record().await? {
            let of_id = found.get_or_insert_with(|| OfId {
                id: place.id.clone(),
                in_force: Vec::new(),
                superseded: Vec::new(),
            });
            if of_id.id != place.id {
                self.waiting = Some((place, (key, stored)));
                break;
            }
            if !self.state.counts(place.generation) {
                of_id.superseded.push(key.to_bytes());
                continue;
            }
            let is_same = current.as_ref().is_some_and(|gathered| {
                gathered.source == place.source && gathered.generation == place.generation
            });
            if !is_same && let Some(before) = current.take() {
                let is_newest = before.source != place.source;
                before.settle(of_id, is_newest)?;
            }
            let gathered =
                current.get_or_insert_with(|| Gathered::new(&place, stored.record.parts));
            gathered.keys.push(key);
            gathered.records.push(stored);
        }
        if let (Some(of_id), Some(last)) = (&mut found, current) {
            last.settle(of_id, true)?;
        }
        Ok(found)
    }
}

/// The parts of one generation.
struct Gathered<P> {
    source: String,
    generation: u64,
    expected: u32,
    keys: Vec<Key<AdvisoryRecord<P>>>,
    records: Vec<Stored<AdvisoryRecord<P>>>,
}

impl<P: Part> Gathered<P> {
    fn new(place: &AdvisoryPlace, expected: u32) -> Self {
        let (source, generation) = (place.source.clone(), place.generation);
        Self { source, generation, expected, keys: Vec::new(), records: Vec::new() }
    }

    /// `counts`: no newer generation of this source follows.
    fn settle(self, of_id: &mut OfId<P>, counts: bool) -> Result<(), MetadataError> {
        if !counts {
            of_id.superseded.extend(self.keys.iter().map(Key::to_bytes));
            return Ok(());
        }
        let raw = self.records.iter().map(|stored| stored.raw.clone()).collect();
        let text = self.records.first().and_then(|stored| stored.record.text);
        let parts: Vec<P> =
            self.records.into_iter().filter_map(|stored| stored.record.advisory).collect();
        if parts.is_empty() {
            // It is gone; so may the word of it be.
            of_id.superseded.extend(self.keys.iter().map(Key::to_bytes));
        } else if parts.len() != self.expected as usize {
            let key = self.keys.first().map_or_else(String::new, |key| show_key(key.as_bytes()));
            let cause = format!("{} of its {} parts are there", parts.len(), self.expected);
            return Err(MetadataError::Damaged { key, cause });
        }
        of_id.in_force.push(InForce { source: self.source, parts, text, raw });
        Ok(())
    }
}

/// The index of all that counts.
pub async fn load(
    metadata: &dyn Metadata,
    state: &AdvisoriesRecord,
    now: Timestamp,
) -> Result<Index, MetadataError> {
    let mut builder = Builder::at(now);
    let mut walk = Walk::<Advisory>::new(metadata, state);
    while let Some(of_id) = walk.next().await? {
        for (number, part) in of_id.newest().iter().flat_map(|one| &one.parts).enumerate() {
            builder.add(part, number == 0);
        }
    }
    let revision = state.revision.clone();
    let known = kept::known(state);
    let index = tokio::task::spawn_blocking(move || builder.finish(&revision, &known)).await;
    let failed = |fault| MetadataError::Unavailable(format!("indexing the advisories: {fault}"));
    index.map_err(failed)
}

/// One advisory as it counts, in one piece, with the sources that have it.
pub async fn find(
    metadata: &dyn Metadata,
    state: &AdvisoriesRecord,
    id: &str,
) -> Result<Option<(Advisory, Vec<String>)>, MetadataError> {
    let mut walk = Walk::<Advisory>::of(metadata, state, AdvisoryRecord::of_id(id));
    let Some(of_id) = walk.next().await? else { return Ok(None) };
    let Some(newest) = of_id.newest() else { return Ok(None) };
    let mut parts = newest.parts.iter().cloned();
    let Some(mut whole) = parts.next() else { return Ok(None) };
    whole.affected.extend(parts.flat_map(|part| part.affected));
    let has_it = of_id.in_force.iter().filter(|one| !one.parts.is_empty());
    Ok(Some((whole, has_it.map(|one| one.source.clone()).collect())))
}
