//! The index files that a closure needs, and what they say: fetched a few at a time, within bounds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use policies::decide::Hope;
use policies::decision::Decision;
use policies::package::{Package, Version};
use semver::VersionReq;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::manifest::Manifest;
use super::resolve::Want;
use crate::pull::PullError;
use crate::pull::documents::Need;
use crate::registries::cargo::handlers::Lines;
use crate::registries::cargo::upstream::index_request;
use crate::registries::closure::{Among, Chosen, Standing, Terms};

/// Index files that one closure asks for at once.
const CONCURRENT: usize = 16;
/// Versions that are known of all its crates together: some hundred bytes each.
const LISTED: usize = 500_000;
/// Versions in the closure, for each crate that it may have.
const VERSIONS_A_PACKAGE: usize = 4;
/// How often one asks again where others have taken the room for documents.
const AGAIN: u32 = 8;

type Read = Result<Arc<Manifest>, String>;

#[derive(Debug, Default)]
pub struct Stock {
    shelves: HashMap<Package, Result<Arc<Shelf>, PullError>>,
    manifests: HashMap<(Package, usize), Read>,
    listed: usize,
    pub incomplete: Vec<String>,
}

/// The versions of one crate, with what is decided of each.
#[derive(Debug)]
pub struct Shelf {
    pub package: Package,
    pub versions: Vec<Listed>,
    /// Each once, as long as it is the same from version to version.
    decisions: Vec<Decision>,
}

#[derive(Debug)]
pub struct Listed {
    pub version: Version,
    pub number: semver::Version,
    pub is_yanked: bool,
    decision: usize,
    pub standing: Standing,
    /// It is refused only while nobody opened its crate.
    pub is_undecided: bool,
}

/// A version as the index has it, and what is decided of it.
#[derive(Debug)]
pub struct Seen {
    pub version: Version,
    pub is_yanked: bool,
    /// What may become of it once its crate is opened.
    pub hope: Hope,
    pub decision: Decision,
}

impl Listed {
    /// cargo chooses nothing that is yanked.
    pub fn fits(&self, wanted: &VersionReq) -> bool {
        !self.is_yanked && wanted.matches(&self.number)
    }
}

impl Shelf {
    pub fn new(package: Package, all: impl Iterator<Item = Seen>) -> Self {
        let mut shelf = Self { package, versions: Vec::new(), decisions: Vec::new() };
        for Seen { version, is_yanked, hope, decision } in all {
            let Ok(number) = semver::Version::parse(version.as_str()) else { continue };
            let decided = Standing::of(&decision);
            let is_undecided = decided == Standing::Refused && hope != Hope::None;
            let standing = if is_undecided { Standing::Open } else { decided };
            if shelf.decisions.last() != Some(&decision) {
                shelf.decisions.push(decision);
            }
            let decision = shelf.decisions.len() - 1;
            let listed = Listed { version, number, is_yanked, decision, standing, is_undecided };
            shelf.versions.push(listed);
        }
        shelf
    }

    pub fn decision(&self, place: usize) -> &Decision {
        &self.decisions[self.versions[place].decision]
    }

    /// The place of the newest that suits, of those that are asked among. Where those can not serve, it
    /// is looked for among all: the report says what stands in its way.
    pub fn pick(&self, among: Among, suits: impl Fn(&Listed) -> bool) -> Option<usize> {
        let worst: &[Standing] = match among {
            Among::AllowedFirst => &[Standing::Allowed, Standing::Open, Standing::Refused],
            Among::Unrefused => &[Standing::Open, Standing::Refused],
            Among::Everything => &[Standing::Refused],
        };
        let best = |worst: &Standing| {
            let all = self.versions.iter().enumerate();
            let suiting = all.filter(|(_, one)| one.standing <= *worst && suits(one));
            suiting.max_by(|(_, one), (_, other)| one.number.cmp(&other.number)).map(|(at, _)| at)
        };
        worst.iter().find_map(best)
    }
}

impl Stock {
    pub fn shelf(&self, package: &Package) -> Option<&Result<Arc<Shelf>, PullError>> {
        self.shelves.get(package)
    }

    pub fn manifest(&self, package: &Package, place: usize) -> Option<&Read> {
        self.manifests.get(&(package.clone(), place))
    }

    pub fn incomplete(&mut self, why: String) {
        if !self.incomplete.contains(&why) {
            self.incomplete.push(why);
        }
    }

    /// As if it had been fetched.
    #[cfg(test)]
    pub fn put(&mut self, shelf: Shelf, manifests: Vec<Manifest>) {
        let package = shelf.package.clone();
        for (place, manifest) in manifests.into_iter().enumerate() {
            self.manifests.insert((package.clone(), place), Ok(Arc::new(manifest)));
        }
        self.shelves.insert(package, Ok(Arc::new(shelf)));
    }

    fn take(&mut self, arrived: Arrived) {
        let Arrived { package, looked } = arrived;
        match looked {
            Ok((shelf, manifests)) => {
                for (place, manifest) in manifests {
                    if let Err(fault) = &manifest {
                        let version = &shelf.versions[place].version;
                        self.incomplete(format!("{package}@{version}: {fault}"));
                    }
                    self.manifests.insert((package.clone(), place), manifest);
                }
                if self.shelves.get(&package).is_none_or(Result::is_err) {
                    self.listed += shelf.versions.len();
                    self.shelves.insert(package, Ok(shelf));
                }
            }
            // Its versions stay known where what one of them needs can not be told.
            Err(fault) if self.shelves.get(&package).is_some_and(Result::is_ok) => {
                self.incomplete(format!("{package}: {fault}"));
            }
            Err(fault) => {
                self.shelves.insert(package, Err(fault));
            }
        }
    }
}

/// One closure's way to its documents.
#[derive(Debug)]
pub struct Gathering {
    chosen: Chosen,
    terms: Terms,
    until: Instant,
}

struct Arrived {
    package: Package,
    looked: Result<LookedUp, PullError>,
}

type LookedUp = (Arc<Shelf>, Vec<(usize, Read)>);

impl Gathering {
    pub fn new(chosen: Chosen, terms: Terms) -> Self {
        let until = Instant::now() + terms.limits.time;
        Self { chosen, terms, until }
    }

    /// Brings these in.
    pub async fn gather(&self, stock: &mut Stock, wants: Vec<Want>) {
        let mut jobs: BTreeMap<Package, Vec<usize>> = BTreeMap::new();
        for want in wants {
            jobs.entry(want.package).or_default().extend(want.place);
        }
        let mut running = JoinSet::new();
        loop {
            while running.len() < CONCURRENT
                && let Some((package, places)) = jobs.pop_first()
            {
                let shelf =
                    stock.shelves.get(&package).and_then(|shelf| shelf.as_ref().ok()).cloned();
                if !self.has_room(stock, running.len(), shelf.is_none()) {
                    return;
                }
                let (chosen, terms) = (self.chosen.clone(), self.terms.clone());
                running.spawn(async move { run(&chosen, &terms, package, places, shelf).await });
            }
            match timeout_at(self.until, running.join_next()).await {
                Ok(None) => return,
                Ok(Some(Ok(arrived))) => stock.take(arrived),
                Ok(Some(Err(_))) => {
                    stock.incomplete("garth failed at an index file; its log says why".to_owned());
                }
                Err(_) => {
                    let seconds = self.terms.limits.time.as_secs();
                    stock.incomplete(format!(
                        "it takes longer than {seconds} seconds (limits.closure_time); what was \
                         fetched is kept, so the same again goes on from here"
                    ));
                    return;
                }
            }
        }
    }

    /// Whether the closure may grow; what is missing else is said.
    fn has_room(&self, stock: &mut Stock, under_way: usize, is_new: bool) -> bool {
        let most = self.terms.limits.packages;
        let versions = most.saturating_mul(VERSIONS_A_PACKAGE);
        if is_new && stock.shelves.len() + under_way >= most {
            stock.incomplete(format!("it has more than {most} packages (limits.closure_packages)"));
        } else if stock.manifests.len() >= versions {
            stock.incomplete(format!("it has more than {versions} versions"));
        } else if is_new && stock.listed >= LISTED {
            stock.incomplete(format!("its crates have more than {LISTED} versions together"));
        } else {
            return true;
        }
        false
    }
}

/// Fetches one index file, and looks up in it what is asked for.
async fn run(
    chosen: &Chosen,
    terms: &Terms,
    package: Package,
    places: Vec<usize>,
    shelf: Option<Arc<Shelf>>,
) -> Arrived {
    let (mut is_again, mut crowded) = (false, 0);
    let mut pause = Duration::from_millis(50);
    loop {
        match look_up(chosen, terms, &package, &places, shelf.clone()).await {
            // Its text went while the rest was in memory; once is a coincidence.
            Err(PullError::Outdated) if !is_again => is_again = true,
            Err(PullError::Crowded { .. }) if crowded < AGAIN => {
                sleep(pause).await;
                (crowded, pause) = (crowded + 1, pause * 2);
            }
            looked => return Arrived { package, looked },
        }
    }
}

async fn look_up(
    chosen: &Chosen,
    terms: &Terms,
    package: &Package,
    places: &[usize],
    shelf: Option<Arc<Shelf>>,
) -> Result<LookedUp, PullError> {
    let registry = chosen.of(package);
    let documents = &registry.garden.cargo_documents;
    let (source, request) = (registry.source_of(package), index_request(package));
    let found = documents.get(source, &request, Need::Fresh).await?;
    let content = documents.content(source, &request, &found).await?;
    let id = content.id;
    let (asked_of, terms, places) = (Arc::clone(registry), terms.clone(), places.to_vec());
    let looking = move || {
        let shelf = shelf.unwrap_or_else(|| {
            let (gate, index) = (&asked_of.garden.gate, &content.parsed);
            let lines = Lines::of(&asked_of, terms.asking.clone());
            let screened = lines.screen(&content, gate, &terms.rules);
            let listed = screened.decisions().zip(screened.hopes()).zip(&index.entries).map(
                |(((version, decision), hope), entry)| Seen {
                    version: version.clone(),
                    is_yanked: entry.stated.yanked == Some(true),
                    hope,
                    decision: decision.clone(),
                },
            );
            Arc::new(Shelf::new(index.package.clone(), listed))
        });
        let mut manifests = Vec::new();
        for place in places {
            // The document is another one by now.
            let listed = shelf.versions.get(place).ok_or(PullError::Outdated)?;
            let line = content.parsed.line(&listed.version)?.ok_or(PullError::Outdated)?;
            manifests.push((place, Manifest::parse(&line).map(Arc::new)));
        }
        Ok((shelf, manifests))
    };
    let looked = tokio::task::spawn_blocking(looking).await.unwrap_or(Err(PullError::Internal));
    if matches!(looked, Err(PullError::Outdated)) {
        documents.forget_content(source, &request, id);
    }
    looked
}
