//! One import: written aside under a generation of its own, and put in force by one commit.
//!
//! ```text
//! begun      advisories/state: begun = g, unfinished += g
//! writing    advisory/{id}/{source}/{g}/{part}         nobody sees them
//! in force   advisories/state: generation = g, unfinished -= g, sources, revision
//! ```
//!
//! What breaks off in the middle stays unfinished, and is cleaned up later.

mod held;

use std::collections::BTreeSet;

use jiff::Timestamp;
use policies::advisories::{Advisory, osv};
use policies::package::Ecosystem;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

pub(super) use self::held::Held;
use self::held::{Modified, One};
use super::bundle::Found;
use super::stored::{fingerprint, read_state};
use super::{Fault, ImportError, ImportOptions, Inner, MAX_SOURCES, bundle, cleaning};
use crate::audit::{Action, Entry};
use crate::blobs::Stage;
use crate::metadata::records::{
    AdvisoriesRecord, AdvisoryPlace, AdvisoryRecord, Parts, SourceRecord, Stored, TextName,
};
use crate::metadata::{Batch, Change, MAX_VALUE, Metadata};

/// What of a value an advisory may take; its parts are a little longer than they are counted.
const PART: usize = MAX_VALUE / 4 * 3;
/// Records that are read ahead of those that are written.
const AHEAD: usize = 256;

/// What became of what was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Imported {
    /// The name under which it is remembered.
    pub source: String,
    /// Records that were read.
    pub read: u64,
    /// New ones, and such as were modified since.
    pub written: u64,
    /// Held already, as they are.
    pub unchanged: u64,
    /// Of an earlier day than what is held, which stays.
    #[serde(default)]
    pub older: u64,
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
    /// Something lies in the store that did not before, and something else may count no more.
    #[serde(skip)]
    pub wrote: bool,
}

impl Imported {
    /// Whether anything is in force that was not before.
    pub fn changed(&self) -> bool {
        self.written + self.removed > 0 || self.more_is_known
    }
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
    let held = Held::read(metadata, &state, &options.source).await?;
    let generation = state.begun + 1;
    state.begun = generation;
    state.unfinished.push(generation);
    let begun = commit_state(metadata, before.as_ref(), &state, None).await?;

    let mut writing = Writing {
        source: &options.source,
        generation,
        held,
        renamed: false,
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
    let Writing { held, hash, mut imported, ecosystems, renamed, .. } = writing;
    let ecosystems: Vec<Ecosystem> = ecosystems.into_iter().collect();
    let before = before_of(&state, &options.source).map(|source| &source.ecosystems);
    // What is known of an ecosystem is more now, though no record is new.
    imported.more_is_known = before.map_or(&[][..], Vec::as_slice) != ecosystems.as_slice();

    imported.wrote = imported.written + imported.removed > 0 || renamed;
    if imported.changed() || renamed {
        state.generation = generation;
    }
    if imported.changed() {
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

struct Writing<'a> {
    source: &'a str,
    generation: u64,
    held: Held,
    /// Something is known by another text, and says nothing else.
    renamed: bool,
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
        let (records, mut arriving) = mpsc::channel::<Found>(AHEAD);
        let texts = self.held.texts();
        let reading = tokio::task::spawn_blocking(move || {
            let gone = || Fault { file: None, why: "nobody takes the records".to_owned() };
            let known = |text: TextName| texts.contains(text);
            bundle::read(file, &known, &mut |found| {
                records.blocking_send(found).map_err(|_| gone())
            })
        });
        let mut spoken_of = BTreeSet::new();
        while let Some(found) = arriving.recv().await {
            match found {
                Found::Known(text) => {
                    self.imported.read += 1;
                    self.imported.unchanged += 1;
                    spoken_of.extend(self.held.see(text).iter());
                }
                Found::Read(text, parsed) => {
                    let affected = &parsed.advisory.affected;
                    spoken_of.extend(affected.iter().map(|affected| affected.package.ecosystem()));
                    self.take(text, *parsed).await?;
                }
            }
        }
        let read = reading.await.map_err(|fault| ImportError::Internal(fault.to_string()))?;
        if read.map_err(ImportError::Broken)? == bundle::Kind::Archive {
            self.ecosystems.extend(spoken_of);
        }
        Ok(())
    }

    async fn take(&mut self, text: TextName, parsed: osv::Parsed) -> Result<(), ImportError> {
        let advisory = parsed.advisory;
        self.imported.read += 1;
        let held = self.held.get_mut(advisory.id.as_str());
        if advisory.affected.is_empty() {
            self.imported.ignored += 1;
            match held {
                Some(held) if held.modified < advisory.modified.into() => {
                    let id = advisory.id;
                    self.remove(&id).await?;
                }
                Some(held) => held.seen = true,
                None => {}
            }
            return Ok(());
        }
        let (id, modified, malicious) =
            (advisory.id.clone(), Modified::from(advisory.modified), advisory.malicious);
        let affected = advisory.affected.iter();
        let ecosystems = affected.map(|affected| affected.package.ecosystem()).collect();
        let parts = advisory.split(PART);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        // Written out once: what is compared is what would be stored.
        let changes: Vec<Change> = (0..)
            .zip(parts)
            .map(|(number, part)| {
                let record =
                    AdvisoryRecord { parts: count, text: Some(text), advisory: Some(part) };
                Change::put_record(&AdvisoryRecord::key(&self.place(&id, number)), &record)
            })
            .collect();
        let fingerprint = fingerprint(changes.iter().filter_map(|change| change.value.as_ref()));
        if let Some(held) = self.held.get_mut(id.as_str()) {
            held.seen = true;
            if held.modified > modified {
                self.imported.older += 1;
                return Ok(());
            }
            if held.fingerprint == fingerprint {
                self.imported.unchanged += 1;
                if held.written {
                    return Ok(());
                }
                // It says the same in another text, and is known by that from now on.
                held.written = true;
                self.renamed = true;
                for change in changes {
                    self.parts.push(change).await?;
                }
                return Ok(());
            }
        }
        for change in changes {
            self.change(change).await?;
        }
        // The same id a second time in one import, and shorter.
        let before = self.held.get(id.as_str()).filter(|held| held.written);
        let again = before.is_some_and(|held| held.counted);
        let parts_before = before.map_or(0, |held| held.parts);
        for number in count..parts_before {
            let place = self.place(&id, number);
            self.change(Change::remove_record(&AdvisoryRecord::<Advisory>::key(&place))).await?;
        }
        if !again {
            self.imported.written += 1;
            self.imported.malicious += u64::from(malicious);
        }
        let held = One {
            modified,
            fingerprint,
            parts: count,
            ecosystems,
            seen: true,
            written: true,
            counted: true,
        };
        self.held.insert(id.into(), held);
        Ok(())
    }

    async fn remove_unseen(&mut self) -> Result<(), ImportError> {
        for id in self.held.unseen() {
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
            self.change(Change::remove_record(&AdvisoryRecord::<Advisory>::key(&place))).await?;
        }
        self.put(id, 0, &AdvisoryRecord { parts: 1, text: None, advisory: None }).await
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
