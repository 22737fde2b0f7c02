//! What is read of documents, in memory as far as there is room: some whole, and many of the large
//! ones without their texts.

use std::collections::HashMap;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use policies::package::Version;

use super::super::content::{Content, ContentId};
use super::super::format::DocumentFormat;
use super::super::original::{Original, Stored};
use super::super::store::{PullStore, Saved};
use super::DocumentKey;
use crate::metadata::records::VersionRecord;

type Kept<F> = Cache<DocumentKey, Arc<Content<<F as DocumentFormat>::Parsed>>>;

pub struct Contents<F: DocumentFormat> {
    whole: Kept<F>,
    /// Of all that is whole.
    room: usize,
    /// Their texts are read from the store.
    outlines: Kept<F>,
}

/// Of what is read in no time the text is kept as long as the rest.
const SMALL_TEXT: usize = 64 << 10;
/// What is remembered of a version takes in memory, about.
const VERSION_SIZE: usize = 160;

/// What it takes in memory without its text, about.
fn weight<F: DocumentFormat>(content: &Content<F::Parsed>) -> usize {
    let insides = content.versions.values().filter_map(|record| record.inside.as_ref());
    let insides: usize = insides.map(|inside| inside.weight()).sum();
    F::weight(&content.parsed) + content.versions.len() * VERSION_SIZE + insides + 1024
}

fn whole_weight<F: DocumentFormat>(content: &Content<F::Parsed>) -> usize {
    content.size.saturating_add(weight::<F>(content))
}

impl<F: DocumentFormat> Contents<F> {
    /// `memory` bounds the bytes of both.
    pub fn new(memory: u64) -> Self {
        let cache = |weigh: fn(&Content<F::Parsed>) -> usize| {
            let weigher = move |_: &DocumentKey, content: &Arc<Content<F::Parsed>>| {
                u32::try_from(weigh(content)).unwrap_or(u32::MAX)
            };
            let kept = Cache::builder().weigher(weigher).max_capacity(memory / 2);
            kept.eviction_policy(EvictionPolicy::lru()).build()
        };
        Self {
            whole: cache(whole_weight::<F>),
            room: usize::try_from(memory / 2).unwrap_or(usize::MAX),
            outlines: cache(weight::<F>),
        }
    }

    /// Whole where it is at hand.
    pub fn get(&self, key: &DocumentKey, id: ContentId) -> Option<Arc<Content<F::Parsed>>> {
        let get = |kept: &Kept<F>| kept.get(key).filter(|content| content.id == id);
        get(&self.whole).or_else(|| get(&self.outlines))
    }

    /// Whichever is there, whole where it can be had so.
    pub fn newest(&self, key: &DocumentKey) -> Option<Arc<Content<F::Parsed>>> {
        self.whole.get(key).or_else(|| self.outlines.get(key))
    }

    /// Something else is remembered of this version from now on. The names of the content before
    /// and after, where it is in memory.
    pub fn remember(
        &self,
        key: &DocumentKey,
        version: &Version,
        record: &VersionRecord,
    ) -> Option<(ContentId, ContentId)> {
        let mut renamed = None;
        for kept in [&self.whole, &self.outlines] {
            let Some(content) = kept.get(key) else { continue };
            let mut versions = HashMap::clone(&content.versions);
            let before = versions.insert(version.clone(), record.clone());
            let id = content.id.with(version, before.as_ref(), record);
            renamed = Some((content.id, id));
            let (parsed, versions) = (Arc::clone(&content.parsed), Arc::new(versions));
            let content = Content { id, parsed, versions, size: content.size };
            kept.insert(key.clone(), Arc::new(content));
        }
        renamed
    }

    pub fn insert(
        &self,
        key: DocumentKey,
        content: Content<F::Parsed>,
        saved: &Saved,
        store: &PullStore,
    ) -> Arc<Content<F::Parsed>> {
        let content = Arc::new(content);
        // The bytes of an own document go with the change that replaces it.
        if content.size > SMALL_TEXT && !saved.is_own() {
            let stored = Stored::new(store.blobs.clone(), store.runtime.clone(), saved);
            let outline = Content {
                id: content.id,
                parsed: Arc::new(F::read_from(&content.parsed, Original::Stored(Box::new(stored)))),
                versions: Arc::clone(&content.versions),
                size: content.size,
            };
            self.outlines.insert(key.clone(), Arc::new(outline));
        }
        if whole_weight::<F>(&content) <= self.room {
            self.whole.insert(key, Arc::clone(&content));
        } else {
            // The cache would keep it until it tidies up, and more of its like.
            self.whole.invalidate(&key);
        }
        content
    }

    /// In the place of whatever was there.
    pub fn insert_whole(&self, key: DocumentKey, content: Arc<Content<F::Parsed>>) {
        self.outlines.invalidate(&key);
        self.whole.insert(key, content);
    }

    pub fn remove(&self, key: &DocumentKey) {
        self.whole.invalidate(key);
        self.outlines.invalidate(key);
    }

    /// Unless another one is there by now.
    pub fn forget(&self, key: &DocumentKey, id: ContentId) {
        for kept in [&self.whole, &self.outlines] {
            if kept.get(key).is_some_and(|content| content.id == id) {
                kept.invalidate(key);
            }
        }
    }
}
