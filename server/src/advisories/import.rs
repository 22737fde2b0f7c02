//! One import: written aside under a generation of its own, and put in force by one commit.
//!
//! ```text
//! begun      advisories/state: begun = g, unfinished += g
//! writing    advisory/{id}/{source}/{g}/{part}         nobody sees them
//! in force   advisories/state: generation = g, unfinished -= g, sources, revision
//! ```
//!
//! What breaks off in the middle stays unfinished, and is cleaned up later.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use policies::advisories::osv;
use policies::package::Ecosystem;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::stored::{Walk, fingerprint, read_state};
use super::{Fault, ImportError, ImportOptions, Inner, MAX_SOURCES, bundle, cleaning};
use crate::audit::{Action, Entry};
use crate::blobs::Stage;
use crate::metadata::records::{
    AdvisoriesRecord, AdvisoryPlace, AdvisoryRecord, Parts, SourceRecord, Stored,
};
use crate::metadata::{Batch, Change, MAX_VALUE, Metadata};

/// What of a value an advisory may take; its parts are a little longer than they are counted.
const PART: usize = MAX_VALUE / 4 * 3;
/// Records that are read ahead of those that are written.
const AHEAD: usize = 256;

/// What became of what was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub source: String,
    /// Records that were read.
    pub read: u64,
    /// New ones, and such as were modified since.
    pub written: u64,
    /// Held already, as they are.
    pub unchanged: u64,
    /// The source has them no more, or they speak of no package that garth serves any more.
    pub removed: u64,
    /// They speak only of packages of other ecosystems.
    pub ignored: u64,
    /// Of the written ones, those that say that something is malicious.
    pub malicious: u64,
    /// An ecosystem's advisories were imported for the first time.
    pub more_is_known: bool,
    /// What is in force now.
    pub revision: String,
}

impl Imported {
    /// Whether anything is in force that was not before.
    pub fn changed(&self) -> bool {
        self.written + self.removed > 0 || self.more_is_known
    }
}

/// What is held of an advisory from this source.
struct Held {
    modified: Timestamp,
    /// Of what is kept of it.
    fingerprint: u64,
    parts: u32,
    /// In the present import.
    seen: bool,
    written: bool,
}

pub(super) async fn run(
    inner: &Inner,
    staged: &Stage,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let metadata = inner.metadata.as_ref();
    let mut before = read_state(metadata).await?;
    if before.as_ref().is_some_and(|state| !state.record.unfinished.is_empty()) {
        cleaning::clean(metadata).await?;
        before = read_state(metadata).await?;
    }
    let mut state = before.as_ref().map(|state| state.record.clone()).unwrap_or_default();
    if !state.sources.contains_key(&options.source) && state.sources.len() >= MAX_SOURCES {
        return Err(ImportError::BadSource(format!(
            "there are {MAX_SOURCES} sources already; use one of their names"
        )));
    }
    let held = held_of(metadata, &state, &options.source).await?;
    let generation = state.begun + 1;
    state.begun = generation;
    state.unfinished.push(generation);
    let begun = commit_state(metadata, before.as_ref(), &state, None).await?;

    let mut writing = Writing {
        source: &options.source,
        generation,
        held,
        parts: Parts::new(metadata),
        hash: Sha256::new(),
        ecosystems: before_of(&state, &options.source)
            .map_or_else(BTreeSet::new, |source| source.ecosystems.iter().copied().collect()),
        imported: Imported { source: options.source.clone(), ..Imported::default() },
    };
    writing.hash.update(state.revision.as_bytes());
    let written = writing.take_all(staged).await;
    if written.is_ok() && options.complete {
        writing.remove_unseen().await?;
    }
    written?;
    writing.parts.finish().await?;
    let Writing { held, hash, mut imported, ecosystems, .. } = writing;
    let ecosystems: Vec<Ecosystem> = ecosystems.into_iter().collect();
    let before = before_of(&state, &options.source).map(|source| &source.ecosystems);
    // What is known of an ecosystem is more now, though no record is new.
    imported.more_is_known = before.map_or(&[][..], Vec::as_slice) != ecosystems.as_slice();

    if imported.changed() {
        state.generation = generation;
        state.revision = hex::encode(&hash.finalize()[..8]);
    }
    state.unfinished.retain(|unfinished| *unfinished != generation);
    let source = SourceRecord {
        imported: inner.clock.now(),
        complete: options.complete,
        ecosystems,
        read: imported.read,
        advisories: held.len() as u64,
    };
    state.sources.insert(options.source.clone(), source);
    imported.revision.clone_from(&state.revision);
    let told = Some((entry(&imported, options.complete), inner.clock.now()));
    commit_state(metadata, Some(&begun), &state, told).await?;
    Ok(imported)
}

fn entry(imported: &Imported, complete: bool) -> Entry {
    Entry::new(Action::AdvisoriesImported)
        .or_garth()
        .subject(&imported.source)
        .detail("read", &imported.read)
        .detail("written", &imported.written)
        .detail("removed", &imported.removed)
        .detail("malicious", &imported.malicious)
        .detail("complete", &complete)
        .detail("advisories", &imported.revision)
}

fn before_of<'s>(state: &'s AdvisoriesRecord, source: &str) -> Option<&'s SourceRecord> {
    state.sources.get(source)
}

async fn commit_state(
    metadata: &dyn Metadata,
    before: Option<&Stored<AdvisoriesRecord>>,
    state: &AdvisoriesRecord,
    told: Option<(Entry, Timestamp)>,
) -> Result<Stored<AdvisoriesRecord>, ImportError> {
    let key = AdvisoriesRecord::key();
    let mut batch = Batch::default().expect_unchanged(&key, before).put_record(&key, state);
    let raw = batch.changes[0].value.clone().unwrap_or_default();
    if let Some((entry, at)) = told {
        batch = batch.note(entry, at);
    }
    metadata.commit(batch).await?;
    Ok(Stored { record: state.clone(), raw })
}

async fn held_of(
    metadata: &dyn Metadata,
    state: &AdvisoriesRecord,
    source: &str,
) -> Result<HashMap<Box<str>, Held>, ImportError> {
    let mut held = HashMap::new();
    let mut walk = Walk::new(metadata, state);
    while let Some(of_id) = walk.next().await? {
        let own = of_id.in_force.iter().find(|one| one.source == source);
        if let Some(own) = own.filter(|own| !own.parts.is_empty()) {
            let parts = u32::try_from(own.parts.len()).unwrap_or(u32::MAX);
            let modified = own.parts[0].modified;
            let fingerprint = own.fingerprint;
            let (seen, written) = (false, false);
            held.insert(of_id.id.into(), Held { modified, fingerprint, parts, seen, written });
        }
    }
    Ok(held)
}

struct Writing<'a> {
    source: &'a str,
    generation: u64,
    held: HashMap<Box<str>, Held>,
    parts: Parts<'a>,
    /// Of all that changes, in its order.
    hash: Sha256,
    /// Those that are known through this source.
    ecosystems: BTreeSet<Ecosystem>,
    imported: Imported,
}

impl Writing<'_> {
    /// Reads on a thread that may block, and writes meanwhile.
    async fn take_all(&mut self, staged: &Stage) -> Result<(), ImportError> {
        let file = staged.open();
        let (records, mut arriving) = mpsc::channel::<osv::Parsed>(AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            let gone = || Fault { file: None, why: "nobody takes the records".to_owned() };
            bundle::read(file, &mut |parsed| records.blocking_send(parsed).map_err(|_| gone()))
        });
        let mut spoken_of = BTreeSet::new();
        while let Some(parsed) = arriving.recv().await {
            let affected = &parsed.advisory.affected;
            spoken_of.extend(affected.iter().map(|affected| affected.package.ecosystem()));
            self.take(parsed).await?;
        }
        let read = reading.await.map_err(|fault| ImportError::Internal(fault.to_string()))?;
        if read.map_err(ImportError::Broken)? == bundle::Kind::Archive {
            self.ecosystems.extend(spoken_of);
        }
        Ok(())
    }

    async fn take(&mut self, parsed: osv::Parsed) -> Result<(), ImportError> {
        let advisory = parsed.advisory;
        self.imported.read += 1;
        let held = self.held.get_mut(advisory.id.as_str());
        if advisory.affected.is_empty() {
            self.imported.ignored += 1;
            match held {
                Some(held) if held.modified < advisory.modified => {
                    let id = advisory.id;
                    self.remove(&id).await?;
                }
                Some(held) => held.seen = true,
                None => {}
            }
            return Ok(());
        }
        let (id, modified, malicious) =
            (advisory.id.clone(), advisory.modified, advisory.malicious);
        let parts = advisory.split(PART);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        // Written out once: what is compared is what would be stored.
        let changes: Vec<Change> = (0..)
            .zip(parts)
            .map(|(number, part)| {
                let record = AdvisoryRecord { parts: count, advisory: Some(part) };
                Change::put_record(&AdvisoryRecord::key(&self.place(&id, number)), &record)
            })
            .collect();
        let fingerprint = fingerprint(changes.iter().filter_map(|change| change.value.as_ref()));
        if let Some(held) = self.held.get_mut(id.as_str())
            && (held.modified > modified
                || (held.modified == modified && held.fingerprint == fingerprint))
        {
            held.seen = true;
            self.imported.unchanged += 1;
            return Ok(());
        }
        for change in changes {
            self.change(change).await?;
        }
        // The same id a second time in one import, and shorter.
        let before = self.held.get(id.as_str()).filter(|held| held.written);
        let (again, parts_before) = (before.is_some(), before.map_or(0, |held| held.parts));
        for number in count..parts_before {
            let place = self.place(&id, number);
            self.change(Change::remove_record(&AdvisoryRecord::key(&place))).await?;
        }
        if !again {
            self.imported.written += 1;
            self.imported.malicious += u64::from(malicious);
        }
        let (seen, written) = (true, true);
        let held = Held { modified, fingerprint, parts: count, seen, written };
        self.held.insert(id.into(), held);
        Ok(())
    }

    async fn remove_unseen(&mut self) -> Result<(), ImportError> {
        let mut unseen: Vec<Box<str>> =
            self.held.iter().filter(|(_, held)| !held.seen).map(|(id, _)| id.clone()).collect();
        unseen.sort_unstable();
        for id in unseen {
            self.remove(&id).await?;
        }
        Ok(())
    }

    async fn remove(&mut self, id: &str) -> Result<(), ImportError> {
        self.imported.removed += 1;
        // Of what this import wrote itself, the further parts.
        let written = self.held.remove(id).filter(|held| held.written);
        for number in 1..written.map_or(1, |held| held.parts) {
            let place = self.place(id, number);
            self.change(Change::remove_record(&AdvisoryRecord::key(&place))).await?;
        }
        self.put(id, 0, &AdvisoryRecord { parts: 1, advisory: None }).await
    }

    async fn put(
        &mut self,
        id: &str,
        part: u32,
        record: &AdvisoryRecord,
    ) -> Result<(), ImportError> {
        let place = self.place(id, part);
        self.change(Change::put_record(&AdvisoryRecord::key(&place), record)).await
    }

    fn place(&self, id: &str, part: u32) -> AdvisoryPlace {
        let (id, source) = (id.to_owned(), self.source.to_owned());
        AdvisoryPlace { id, source, generation: self.generation, part }
    }

    async fn change(&mut self, change: Change) -> Result<(), ImportError> {
        self.hash.update(&change.key);
        self.hash.update(change.value.as_deref().unwrap_or_default());
        Ok(self.parts.push(change).await?)
    }
}
