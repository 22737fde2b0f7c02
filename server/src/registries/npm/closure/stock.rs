//! The documents that a closure needs, and what they say: fetched a few at a time, within bounds.
//!
//! What each dependency would take by itself is followed to its end, so that what the tree asks
//! for afterwards is nearly always here. A dependency that fails is remembered with its reason.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use policies::package::{Package, PackageVersion};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::manifest::{Manifest, NeedKind};
use super::pick::Shelf;
use super::spec::{Choice, Odd, Wanted};
use crate::pull::PullError;
use crate::pull::content::Content;
use crate::pull::documents::Need as Freshness;
use crate::pull::format::DocumentFormat;
use crate::registries::Registry;
use crate::registries::closure::{Among, Chosen, Terms};
use crate::registries::npm::documents::NpmDocuments;
use crate::registries::npm::handlers::screening::screen;
use crate::registries::npm::upstream::packument_request;

type Npm = <NpmDocuments as DocumentFormat>::Parsed;

/// Documents that one closure asks for at once.
const CONCURRENT: usize = 16;
/// Versions in the closure, for each package that it may have.
const VERSIONS_A_PACKAGE: usize = 4;
/// Versions that are known of all its packages together: some hundred bytes each.
const LISTED: usize = 500_000;
/// How often one asks again where others have taken the room for documents.
const AGAIN: u32 = 8;

/// A name and what is wanted of it, as a manifest has them.
pub type Ask = (Box<str>, Box<str>);
/// A version of the stock.
pub type Id = usize;

#[derive(Debug, Default)]
pub struct Stock {
    pub shelves: HashMap<Package, Result<Arc<Shelf>, PullError>>,
    pub versions: Vec<Picked>,
    ids: HashMap<(Package, usize), Id>,
    found: HashMap<Ask, Found>,
    listed: usize,
    pub incomplete: Vec<String>,
}

/// A version that some dependency takes.
#[derive(Debug)]
pub struct Picked {
    pub subject: PackageVersion,
    pub shelf: Arc<Shelf>,
    /// On its shelf.
    pub place: usize,
    pub manifest: Manifest,
}

/// What became of asking.
#[derive(Clone, Debug)]
pub enum Found {
    Version(Id),
    Odd(Odd),
    NoVersion(Package),
    Failed(Package, PullError),
}

impl Stock {
    /// `None` where nobody has asked for it yet.
    pub fn find(&self, name: &str, spec: &str) -> Option<&Found> {
        self.found.get(&(Box::from(name), Box::from(spec)))
    }

    /// As if it had been fetched.
    #[cfg(test)]
    pub fn put(
        &mut self,
        ask: Ask,
        package: Package,
        picked: Option<(Arc<Shelf>, usize, Manifest)>,
    ) {
        let answers = vec![(ask, picked.as_ref().map(|(_, place, _)| *place))];
        let (shelf, manifests) = match picked {
            Some((shelf, place, manifest)) => (Ok(shelf), vec![(place, manifest)]),
            None => (Err(PullError::Absent), Vec::new()),
        };
        self.take(Arrived { package, answers, shelf, manifests });
    }

    pub fn incomplete(&mut self, why: String) {
        if !self.incomplete.contains(&why) {
            self.incomplete.push(why);
        }
    }
}

/// One closure's way to its documents.
#[derive(Debug)]
pub struct Gathering {
    chosen: Chosen,
    terms: Terms,
    among: Among,
    until: Instant,
    /// What is taken is followed to what it needs.
    follows: bool,
}

/// Of one package: what is to be looked up in its document.
struct Job {
    package: Package,
    asked: Vec<(Ask, Choice)>,
    /// Where it was made already.
    shelf: Option<Arc<Shelf>>,
}

struct Arrived {
    package: Package,
    /// Those that were asked for, each with the version that is taken.
    answers: Vec<(Ask, Option<usize>)>,
    shelf: Result<Arc<Shelf>, PullError>,
    manifests: Vec<(usize, Manifest)>,
}

/// What is asked for and not on its way yet.
#[derive(Default)]
struct Waiting {
    asked: HashSet<Ask>,
    queue: VecDeque<Package>,
    jobs: HashMap<Package, Vec<(Ask, Choice)>>,
    under_way: HashSet<Package>,
}

impl Gathering {
    pub fn new(chosen: Chosen, terms: Terms, among: Among, follows: bool) -> Self {
        let until = Instant::now() + terms.limits.time;
        Self { chosen, terms, among, until, follows }
    }

    /// Brings in these, and what they need.
    pub async fn gather(&self, stock: &mut Stock, asks: Vec<Ask>) {
        let (mut waiting, mut running) = (Waiting::default(), JoinSet::new());
        for ask in asks {
            self.ask(stock, &mut waiting, ask);
        }
        loop {
            while running.len() < CONCURRENT
                && let Some(job) = waiting.next(stock)
            {
                let (chosen, terms, among) = (self.chosen.clone(), self.terms.clone(), self.among);
                running.spawn(async move { run(&chosen, &terms, among, job).await });
            }
            let arrived = match timeout_at(self.until, running.join_next()).await {
                Ok(None) => return,
                Ok(Some(Ok(arrived))) => arrived,
                Ok(Some(Err(_))) => {
                    stock.incomplete("garth failed at a document; its log says why".to_owned());
                    continue;
                }
                Err(_) => {
                    let seconds = self.terms.limits.time.as_secs();
                    stock.incomplete(format!(
                        "it takes longer than {seconds} seconds (limits.closure_time); what was \
                         fetched is kept, so the same again goes on from here"
                    ));
                    return;
                }
            };
            waiting.under_way.remove(&arrived.package);
            let needs = stock.take(arrived);
            for ask in needs.into_iter().filter(|_| self.follows) {
                self.ask(stock, &mut waiting, ask);
            }
        }
    }

    fn ask(&self, stock: &mut Stock, waiting: &mut Waiting, ask: Ask) {
        if stock.found.contains_key(&ask) || !waiting.asked.insert(ask.clone()) {
            return;
        }
        let wanted = match Wanted::parse(&ask.0, &ask.1) {
            Ok(wanted) => wanted,
            Err(odd) => {
                stock.found.insert(ask, Found::Odd(odd));
                return;
            }
        };
        let known = stock.shelves.contains_key(&wanted.package);
        let packages = stock.shelves.len() + waiting.jobs.len() + waiting.under_way.len();
        let is_new = !known && !waiting.holds(&wanted.package);
        let most = self.terms.limits.packages;
        if is_new && packages >= most {
            stock.incomplete(format!("it has more than {most} packages (limits.closure_packages)"));
        } else if stock.versions.len() >= most.saturating_mul(VERSIONS_A_PACKAGE) {
            let versions = most.saturating_mul(VERSIONS_A_PACKAGE);
            stock.incomplete(format!("it has more than {versions} versions"));
        } else if is_new && stock.listed >= LISTED {
            stock.incomplete(format!("its packages have more than {LISTED} versions together"));
        } else {
            waiting.add(wanted.package, ask, wanted.choice);
        }
    }
}

impl Waiting {
    fn holds(&self, package: &Package) -> bool {
        self.jobs.contains_key(package) || self.under_way.contains(package)
    }

    fn add(&mut self, package: Package, ask: Ask, choice: Choice) {
        let asked = self.jobs.entry(package.clone()).or_default();
        if asked.is_empty() {
            self.queue.push_back(package);
        }
        asked.push((ask, choice));
    }

    /// One package is looked up once at a time.
    fn next(&mut self, stock: &mut Stock) -> Option<Job> {
        for _ in 0..self.queue.len() {
            let package = self.queue.pop_front()?;
            if self.under_way.contains(&package) {
                self.queue.push_back(package);
                continue;
            }
            let asked = self.jobs.remove(&package)?;
            let shelf = match stock.shelves.get(&package) {
                Some(Err(fault)) => {
                    // Asked once is enough.
                    let failed = Found::Failed(package, fault.clone());
                    stock.found.extend(asked.into_iter().map(|(ask, _)| (ask, failed.clone())));
                    continue;
                }
                Some(Ok(shelf)) => Some(Arc::clone(shelf)),
                None => None,
            };
            self.under_way.insert(package.clone());
            return Some(Job { package, asked, shelf });
        }
        None
    }
}

impl Stock {
    /// What arrived is kept; returned is what it needs.
    fn take(&mut self, arrived: Arrived) -> Vec<Ask> {
        let Arrived { package, answers, shelf, manifests } = arrived;
        let mut needs = Vec::new();
        match &shelf {
            Err(fault) => {
                let failed = Found::Failed(package.clone(), fault.clone());
                self.found.extend(answers.into_iter().map(|(ask, _)| (ask, failed.clone())));
            }
            Ok(shelf) => {
                for (place, manifest) in manifests {
                    let key = (package.clone(), place);
                    if self.ids.contains_key(&key) {
                        continue;
                    }
                    let followed =
                        manifest.needs.iter().filter(|need| need.kind != NeedKind::PeerOptional);
                    needs.extend(followed.map(|need| (need.name.clone(), need.spec.clone())));
                    let version = shelf.versions[place].version.clone();
                    let subject = PackageVersion { package: package.clone(), version };
                    if let Some(fault) = &manifest.fault {
                        self.incomplete(format!("{subject}: {fault}"));
                    }
                    self.ids.insert(key, self.versions.len());
                    let shelf = Arc::clone(shelf);
                    self.versions.push(Picked { subject, shelf, place, manifest });
                }
                for (ask, place) in answers {
                    let id = place.and_then(|place| self.ids.get(&(package.clone(), place)));
                    let found = match id {
                        Some(id) => Found::Version(*id),
                        None => Found::NoVersion(package.clone()),
                    };
                    self.found.insert(ask, found);
                }
            }
        }
        if let std::collections::hash_map::Entry::Vacant(place) = self.shelves.entry(package) {
            self.listed += shelf.as_ref().map_or(0, |shelf| shelf.versions.len());
            place.insert(shelf);
        }
        needs
    }
}

/// Fetches one document, and looks up in it what is asked for.
async fn run(chosen: &Chosen, terms: &Terms, among: Among, job: Job) -> Arrived {
    let Job { package, asked, shelf } = job;
    let (mut is_again, mut pause) = (false, Duration::from_millis(50));
    let mut crowded = 0;
    let looked = loop {
        let looked = look_up(chosen, terms, among, &package, &asked, shelf.clone()).await;
        match looked {
            // Its text went while the rest was in memory; once is a coincidence.
            Err(PullError::Outdated) if !is_again => is_again = true,
            Err(PullError::Crowded { .. }) if crowded < AGAIN => {
                sleep(pause).await;
                (crowded, pause) = (crowded + 1, pause * 2);
            }
            looked => break looked,
        }
    };
    match looked {
        Ok((shelf, places, manifests)) => {
            let asks = asked.into_iter().map(|(ask, _)| ask);
            Arrived { package, answers: asks.zip(places).collect(), shelf: Ok(shelf), manifests }
        }
        Err(fault) => {
            let answers = asked.into_iter().map(|(ask, _)| (ask, None)).collect();
            Arrived { package, answers, shelf: Err(fault), manifests: Vec::new() }
        }
    }
}

type LookedUp = (Arc<Shelf>, Vec<Option<usize>>, Vec<(usize, Manifest)>);

async fn look_up(
    chosen: &Chosen,
    terms: &Terms,
    among: Among,
    package: &Package,
    asked: &[(Ask, Choice)],
    shelf: Option<Arc<Shelf>>,
) -> Result<LookedUp, PullError> {
    let registry = chosen.of(package);
    let documents = &registry.garden.npm_documents;
    let (source, request) = (registry.source_of(package), packument_request(package));
    let found = documents.get(source, &request, Freshness::Fresh).await?;
    let content = documents.content(source, &request, &found).await?;
    let id = content.id;
    let choices: Vec<Choice> = asked.iter().map(|(_, choice)| choice.clone()).collect();
    let (asked_of, terms) = (Arc::clone(registry), terms.clone());
    let looking = move || {
        let shelf = shelf.unwrap_or_else(|| Arc::new(shelf_of(&asked_of, &terms, &content)));
        let places: Vec<Option<usize>> =
            choices.iter().map(|choice| shelf.pick(choice, among)).collect();
        let mut taken: Vec<usize> = places.iter().flatten().copied().collect();
        taken.sort_unstable();
        taken.dedup();
        let manifests = taken.into_iter().map(|place| {
            let entry = content.parsed.entry(&shelf.versions[place].version);
            // The document is another one by now.
            let entry = entry.ok_or(PullError::Outdated)?;
            Ok((place, Manifest::parse(&entry.manifest(&content.parsed)?)))
        });
        let manifests = manifests.collect::<Result<_, PullError>>()?;
        Ok((shelf, places, manifests))
    };
    let looked = tokio::task::spawn_blocking(looking).await.unwrap_or(Err(PullError::Internal));
    if matches!(looked, Err(PullError::Outdated)) {
        documents.forget_content(source, &request, id);
    }
    looked
}

fn shelf_of(registry: &Registry, terms: &Terms, content: &Content<Npm>) -> Shelf {
    let (gate, of) = (&registry.garden.gate, (&*registry.name, content));
    let screened = screen(gate, &terms.rules, of, &terms.asking, None);
    let packument = &content.parsed;
    let decided = screened.decisions().zip(&packument.entries);
    let listed = decided.map(|((version, decision), entry)| {
        (version.clone(), entry.stated.deprecated == Some(true), decision.clone())
    });
    Shelf::new(listed, packument.tags.iter().cloned().collect())
}
