//! Search: what the packages of a registry say of themselves, by words.
//!
//! The first search of a registry reads all its summaries into memory; from then on each change is
//! noted after its commit and taken in by the next search, so that nobody waits for a search and
//! no search is out of date. Packages whose summary is missing (they were kept by an older garth,
//! or their record was lost) are told of by [`Summaries::missing`].
//!
//! A package is found by what any of its versions says. Here is nothing that decides: what is found
//! has to pass the gate, and to be met by the words of the version that is shown
//! ([`Wanted::is_met_by`]).

pub mod words;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use policies::package::{Ecosystem, Package};
use tokio::sync::OnceCell;

use self::words::Words;
use super::PullError;
use super::format::DocumentFormat;
use super::store::PullStore;
use crate::metadata::records::{
    self, DocumentRecord, Key, PeopleRecord, Prefix, SummaryRecord, WordsRecord,
};
use crate::metadata::{Batch, Metadata, MetadataError};

/// Records that are read at once.
const PAGE: usize = 1000;

/// What is looked for; every part has to be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Each somewhere in name, description or keywords.
    pub words: Vec<String>,
    /// Of each list, one keyword as it stands.
    pub keywords: Vec<Vec<String>>,
    /// Of author, publisher and maintainers.
    pub people: Vec<String>,
    /// `acme` for what begins with `@acme/`.
    pub scopes: Vec<String>,
}

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Summaries(Arc<Mutex<HashMap<Arc<str>, Arc<Shelf>>>>);

/// The summaries of one registry.
#[derive(Debug, Default)]
struct Shelf {
    read: OnceCell<()>,
    /// Those that are missing are being made, or were, to the end.
    mended: AtomicBool,
    /// By package; `None` while nobody has searched. Never held for longer than a moment.
    changes: Mutex<Option<HashMap<String, Noted>>>,
    /// Only locked where blocking is allowed.
    lines: RwLock<BTreeMap<Box<str>, Line>>,
}

#[derive(Debug)]
struct Noted {
    /// `None`: the package is gone.
    line: Option<Line>,
    /// It was made of what lay here before, so whatever is known otherwise is newer.
    late: bool,
}

/// One package in small letters.
#[derive(Clone, Debug)]
struct Line {
    /// Descriptions and keywords, a line each.
    text: Box<str>,
    /// Where the keywords begin in it.
    keywords: usize,
    people: Box<str>,
    is_own: bool,
}

/// A package that may be what was looked for.
#[derive(Debug)]
pub struct Find {
    pub name: Box<str>,
    /// It was published here, whatever the settings call own by now.
    pub is_own: bool,
}

impl Line {
    /// Of all versions.
    fn new(summary: &SummaryRecord) -> Self {
        let is_own = summary.upstream.is_none();
        Self { is_own, ..Self::of(&summary.words, &summary.people) }
    }

    fn of(words: &[WordsRecord], people: &[PeopleRecord]) -> Self {
        let descriptions = words.iter().map(|words| words.description.as_str());
        let mut text = lines_of(descriptions);
        let keywords = text.len();
        text.push_str(&lines_of(
            words.iter().flat_map(|words| &words.keywords).map(String::as_str),
        ));
        let named = people.iter().flat_map(|people| {
            people.author.iter().chain(&people.publisher).chain(&people.maintainers)
        });
        let people = lines_of(named.map(|somebody| somebody.name.as_str()));
        Self { text: text.into(), keywords, people: people.into(), is_own: false }
    }

    fn has_keyword(&self, keyword: &str) -> bool {
        self.text[self.keywords..].lines().any(|known| known == keyword)
    }

    fn has_person(&self, name: &str) -> bool {
        self.people.lines().any(|known| known == name)
    }
}

/// In small letters, each once.
fn lines_of<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let (mut lines, mut seen) = (String::new(), HashSet::new());
    for text in texts.filter(|text| !text.is_empty()) {
        let text = text.to_lowercase();
        if !seen.contains(&text) {
            lines.extend([text.as_str(), "\n"]);
            seen.insert(text);
        }
    }
    lines
}

impl Wanted {
    /// By one version, of whose words nothing may be known.
    pub fn is_met_by(&self, name: &str, words: Option<Words<'_>>) -> bool {
        let line = words.map_or_else(
            || Line::of(&[], &[]),
            |words| Line::of(std::slice::from_ref(words.said), std::slice::from_ref(words.people)),
        );
        is_met(name, &line, self) && weigh(name, &line, &self.words, "").is_some()
    }
}

impl Summaries {
    /// Something was committed. Costs hardly anything where nobody searches.
    pub fn note(&self, registry: &str, package: &str, summary: &SummaryRecord) {
        let shelf = self.0.lock().get(registry).cloned();
        let Some(shelf) = shelf else { return };
        if let Some(changes) = shelf.changes.lock().as_mut() {
            let line = Some(Line::new(summary));
            changes.insert(package.to_owned(), Noted { line, late: false });
        }
    }

    /// The package is known no more.
    pub fn forget(&self, registry: &str, package: &str) {
        let shelf = self.0.lock().get(registry).cloned();
        let Some(shelf) = shelf else { return };
        if let Some(changes) = shelf.changes.lock().as_mut() {
            changes.insert(package.to_owned(), Noted { line: None, late: false });
        }
    }

    /// As [`Self::note`], unless something newer was noted.
    fn note_missing(&self, registry: &str, package: &str, summary: &SummaryRecord) {
        let shelf = self.0.lock().get(registry).cloned();
        let Some(shelf) = shelf else { return };
        if let Some(changes) = shelf.changes.lock().as_mut() {
            let noted = || Noted { line: Some(Line::new(summary)), late: true };
            changes.entry(package.to_owned()).or_insert_with(noted);
        }
    }

    /// What is found, the best first.
    pub async fn search(
        &self,
        metadata: &Arc<dyn Metadata>,
        registry: &Arc<str>,
        wanted: Wanted,
    ) -> Result<Vec<Find>, PullError> {
        let shelf = self.shelf(metadata, registry).await?;
        let searching = move || {
            shelf.take_in();
            find(&shelf.lines.read(), &wanted)
        };
        tokio::task::spawn_blocking(searching).await.map_err(|_| PullError::Internal)
    }

    /// Those of these packages that have no summary here.
    pub async fn missing(
        &self,
        metadata: &Arc<dyn Metadata>,
        registry: &Arc<str>,
        mut packages: Vec<String>,
    ) -> Result<Vec<String>, PullError> {
        let shelf = self.shelf(metadata, registry).await?;
        let looking = move || {
            shelf.take_in();
            let lines = shelf.lines.read();
            packages.retain(|package| !lines.contains_key(package.as_str()));
            packages
        };
        tokio::task::spawn_blocking(looking).await.map_err(|_| PullError::Internal)
    }

    async fn shelf(
        &self,
        metadata: &Arc<dyn Metadata>,
        registry: &Arc<str>,
    ) -> Result<Arc<Shelf>, PullError> {
        let shelf = Arc::clone(self.0.lock().entry(Arc::clone(registry)).or_default());
        shelf.read.get_or_try_init(|| shelf.read_all(metadata.as_ref(), registry)).await?;
        Ok(shelf)
    }
}

impl Shelf {
    /// What is committed from now on is noted; what was committed before is read.
    async fn read_all(&self, metadata: &dyn Metadata, registry: &str) -> Result<(), PullError> {
        self.changes.lock().get_or_insert_default();
        let prefix = Prefix::<SummaryRecord>::of_registry(registry);
        let mut after: Option<Bytes> = None;
        let mut read = BTreeMap::new();
        loop {
            let page = metadata.scan(prefix.as_bytes(), after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|entry| entry.key.clone());
            for entry in page {
                let package =
                    Key::<SummaryRecord>::parse(&entry.key).and_then(|key| key.parts().pop());
                match (package, records::decode::<SummaryRecord>(&entry.key, &entry.value)) {
                    (Some(package), Ok(summary)) => {
                        read.insert(package.into_boxed_str(), Line::new(&summary));
                    }
                    // It is made anew like one that is missing.
                    (_, fault) => {
                        tracing::warn!(registry, ?fault, "a summary can not be read");
                    }
                }
            }
            if is_last {
                break;
            }
        }
        // Nobody searches before this is done, so nobody holds it.
        *self.lines.write() = read;
        Ok(())
    }

    fn take_in(&self) {
        // The lines first: of two searches at once none sees lines without the changes that the
        // other one took.
        let mut lines = self.lines.write();
        let changes = self.changes.lock().replace(HashMap::new()).unwrap_or_default();
        for (package, Noted { line, late }) in changes {
            match line {
                None => {
                    lines.remove(package.as_str());
                }
                Some(_) if late && lines.contains_key(package.as_str()) => {}
                Some(line) => {
                    lines.insert(package.into_boxed_str(), line);
                }
            }
        }
    }
}

/// Makes the summaries that are missing, of the documents that are held, once and in the background:
/// they were kept by an older garth, or their records were lost.
pub fn make_missing<F: DocumentFormat>(
    store: &PullStore,
    registry: &Arc<str>,
    ecosystem: Ecosystem,
) {
    let shelf = store.summaries.0.lock().get(registry).cloned();
    let shelf = shelf.filter(|shelf| !shelf.mended.swap(true, Ordering::Relaxed));
    let Some(shelf) = shelf else { return };
    let (store, registry) = (store.clone(), Arc::clone(registry));
    store.runtime.clone().spawn(async move {
        if let Err(fault) = mend::<F>(&store, &registry, ecosystem).await {
            tracing::warn!(%registry, %fault, "summaries could not be made; a search does not find everything");
            // The next search tries again.
            shelf.mended.store(false, Ordering::Relaxed);
        }
    });
}

async fn mend<F: DocumentFormat>(
    store: &PullStore,
    registry: &Arc<str>,
    ecosystem: Ecosystem,
) -> Result<(), PullError> {
    let prefix = Prefix::<DocumentRecord>::of_registry(registry);
    let mut after = None;
    loop {
        let metadata = store.metadata.as_ref();
        let page = records::scan(metadata, &prefix, after.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        let newest = |key: &Key<DocumentRecord>| match key.parts().as_slice() {
            [_, package, document] if document == DocumentRecord::NEWEST => Some(package.clone()),
            _ => None,
        };
        let mut held: HashMap<String, DocumentRecord> = HashMap::new();
        for (key, record) in page {
            if let Some(package) = newest(&key) {
                held.insert(package, record);
            }
            after = Some(key);
        }
        let packages = held.keys().cloned().collect();
        for name in store.summaries.missing(&store.metadata, registry, packages).await? {
            let (Ok(package), Some(record)) = (Package::new(ecosystem, &name), held.remove(&name))
            else {
                continue;
            };
            let Some(bytes) = store.read_blob(&record.blob, record.size).await? else { continue };
            let is_own = record.upstream.is_none();
            let reading =
                move || F::parse(&package, bytes, None).map(|parsed| F::summary(&parsed, is_own));
            let read = tokio::task::spawn_blocking(reading).await;
            let Ok(Ok(mut summary)) = read else { continue };
            summary.upstream = record.upstream;
            let key = SummaryRecord::key(registry, &name);
            // A newer document has brought its own by now, perhaps.
            let batch = Batch::default().expect_absent(&key).put_record(&key, &summary);
            match store.metadata.commit(batch).await {
                Ok(()) => store.summaries.note_missing(registry, &name, &summary),
                Err(MetadataError::Conflict { .. }) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

fn find(lines: &BTreeMap<Box<str>, Line>, wanted: &Wanted) -> Vec<Find> {
    let phrase = wanted.words.join(" ");
    let mut found: Vec<(Reverse<u32>, &str, &Line)> = lines
        .iter()
        .filter(|(name, line)| is_met(name, line, wanted))
        .filter_map(|(name, line)| {
            Some((Reverse(weigh(name, line, &wanted.words, &phrase)?), &**name, line))
        })
        .collect();
    // By name where nothing else tells them apart: the map has that order already.
    found.sort_by_key(|(weight, ..)| *weight);
    let find = |(_, name, line): (_, &str, &Line)| Find { name: name.into(), is_own: line.is_own };
    found.into_iter().map(find).collect()
}

/// All but the words.
fn is_met(name: &str, line: &Line, wanted: &Wanted) -> bool {
    let is_in = |scope: &String| {
        let rest = name.strip_prefix('@').and_then(|name| name.strip_prefix(scope.as_str()));
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    wanted.scopes.iter().all(is_in)
        && wanted.people.iter().all(|person| line.has_person(person))
        && wanted.keywords.iter().all(|any| any.iter().any(|word| line.has_keyword(word)))
}

/// `None` unless every word is met; more for the name than for what is said of it.
fn weigh(name: &str, line: &Line, words: &[String], phrase: &str) -> Option<u32> {
    let name = name.to_lowercase();
    let unscoped = name.split_once('/').map_or(name.as_str(), |(_, unscoped)| unscoped);
    let mut weight = 0;
    for word in words {
        weight += if unscoped == word || name == *word {
            50
        } else if unscoped.starts_with(word.as_str()) || name.starts_with(word.as_str()) {
            20
        } else if name.contains(word.as_str()) {
            10
        } else if line.has_keyword(word) {
            5
        } else if line.text.contains(word.as_str()) {
            1
        } else {
            return None;
        };
    }
    if name == phrase {
        weight += 10_000;
    } else if unscoped == phrase {
        weight += 5_000;
    }
    Some(weight)
}

#[cfg(test)]
mod tests;
