//! A candidate for the rules, tried on recorded use and on what is cached.
//!
//! Of then is what was asked for, by whom, when, what was decided, and so each version's age at that
//! moment. Of now is everything else that is known of a version: what advisories say of it, what
//! came of comparing it, whether its upstream still lists it.
//!
//! All of it runs on a thread that may take its time, a record after the other.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use policies::backtest::{Backtest, Before, Case, Report, Said as Decided, Whom};
use policies::decision::{DecisionCode, Revision};
use policies::facts::{Facts, Stated};
use policies::package::{Ecosystem, Package, PackageVersion, Version};
use policies::rules::RuleSet;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{Recorder, Use};
use crate::facts::{About, Remembered, Said, gather_facts};
use crate::metadata::records::{self, ArtifactRecord, Key, Prefix, VersionRecord};
use crate::metadata::{Metadata, MetadataError};
use crate::registries::Registry;

/// Versions whose facts are kept ready.
const MAX_KNOWN: usize = 100_000;
/// Teams that what is merely cached is tried for.
const MAX_TEAMS: usize = 1000;
const PAGE: usize = 500;

/// What is to be tried.
#[derive(Debug)]
pub struct Trial {
    pub recorder: Recorder,
    /// Every registry, with the ecosystem of its packages.
    pub names: Arc<[(Arc<str>, Ecosystem)]>,
    /// Those whose documents say more of a version.
    pub registries: Arc<[(Ecosystem, Arc<Registry>)]>,
    pub candidate: RuleSet,
    pub since: Timestamp,
    /// Lines of the report at most.
    pub lines: usize,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TrialReport {
    pub since: Timestamp,
    pub until: Timestamp,
    /// Of the candidate.
    pub revision: Revision,
    #[serde(flatten)]
    pub report: Report,
    /// Records of use that can not be read; the log names them.
    pub unreadable: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("the trial failed: {0}")]
    Internal(String),
}

impl Trial {
    /// What would have become of the requests that were recorded: held against what was decided
    /// then, or against what `before` decides as of then.
    pub async fn backtest(self, before: Option<Arc<RuleSet>>) -> Result<TrialReport, TrialError> {
        self.run(async move |trial: &Trial| {
            let mut facts = KnownFacts::new(trial);
            let against = before.as_deref().map_or(Before::Recorded, Before::Rules);
            let mut backtest = Backtest::new(against, &trial.candidate);
            let mut reading = trial.recorder.read(trial.since).await?;
            while let Some(rows) = reading.next().await? {
                for (key, tally) in rows {
                    let Some((subject, recorded)) = decided(&key) else { continue };
                    let facts = facts.of(&key.registry, &subject).await?.at(tally.last);
                    backtest.try_case(&Case {
                        registry: &key.registry,
                        subject: &subject,
                        whom: &Whom::of(key.team),
                        environment: key.environment.as_ref(),
                        facts: &facts,
                        requests: tally.requests,
                        last: Some(tally.last),
                        recorded: Some(&recorded),
                    });
                }
            }
            Ok(trial.report(backtest, reading.unreadable))
        })
        .await
    }

    /// What of that which is cached, or was asked for, is decided differently now, and for whom.
    pub async fn diff(self, before: Arc<RuleSet>) -> Result<TrialReport, TrialError> {
        self.run(async move |trial: &Trial| {
            let now = trial.recorder.now();
            let mut facts = KnownFacts::new(trial);
            let mut backtest = Backtest::new(Before::Rules(&before), &trial.candidate);
            let mut teams = named_teams(&[&before, &trial.candidate]);
            let mut reading = trial.recorder.read(trial.since).await?;
            while let Some(rows) = reading.next().await? {
                for (key, tally) in rows {
                    let Some((subject, _)) = decided(&key) else { continue };
                    if let Some(team) = key.team.as_ref().filter(|_| teams.len() < MAX_TEAMS) {
                        teams.insert(Arc::clone(team));
                    }
                    let is_apart = backtest.tells_apart(&subject.package);
                    let whom = if is_apart { Whom::of(key.team) } else { Whom::Everybody };
                    let facts = facts.of(&key.registry, &subject).await?.at(now);
                    backtest.try_case(&Case {
                        registry: &key.registry,
                        subject: &subject,
                        whom: &whom,
                        environment: key.environment.as_ref(),
                        facts: &facts,
                        requests: tally.requests,
                        last: Some(tally.last),
                        recorded: None,
                    });
                }
            }
            let unreadable = reading.unreadable;
            drop(reading);
            let whom: Vec<Whom> =
                std::iter::once(Whom::Nobody).chain(teams.into_iter().map(Whom::Team)).collect();
            let mut cached = Cached::new(trial);
            while let Some(held) = cached.next().await? {
                for (registry, subject) in held {
                    let is_apart = backtest.tells_apart(&subject.package);
                    let asking = if is_apart { &whom[..] } else { &[Whom::Everybody] };
                    let facts = facts.of(&registry, &subject).await?.at(now);
                    for whom in asking {
                        backtest.try_case(&Case {
                            registry: &registry,
                            subject: &subject,
                            whom,
                            environment: None,
                            facts: &facts,
                            requests: 0,
                            last: None,
                            recorded: None,
                        });
                    }
                }
            }
            Ok(trial.report(backtest, unreadable))
        })
        .await
    }

    fn report(&self, backtest: Backtest<'_>, unreadable: u64) -> TrialReport {
        TrialReport {
            since: self.since,
            until: self.recorder.now(),
            revision: self.candidate.revision().clone(),
            report: backtest.finish(self.lines),
            unreadable,
        }
    }

    async fn run<W>(self, work: W) -> Result<TrialReport, TrialError>
    where
        W: AsyncFnOnce(&Self) -> Result<TrialReport, MetadataError> + Send + 'static,
    {
        let handle = Handle::current();
        let run = tokio::task::spawn_blocking(move || handle.block_on(work(&self))).await;
        Ok(run.map_err(|fault| TrialError::Internal(fault.to_string()))??)
    }
}

/// The version that was asked for and what was decided. `None` for a document, and where nobody
/// could decide.
fn decided(key: &Use) -> Option<(PackageVersion, Decided)> {
    let version = key.version.clone()?;
    if key.outcome.code == Some(DecisionCode::RulesUnavailable.as_str()) {
        return None;
    }
    let said = Decided { effect: key.outcome.effect, rule: key.outcome.rule.clone(), reason: None };
    Some((PackageVersion { package: key.package.clone(), version }, said))
}

/// The teams that rules name; of a unit that they name whole, any other team of it, as `web/*`.
fn named_teams(sets: &[&RuleSet]) -> BTreeSet<Arc<str>> {
    let rules = sets.iter().flat_map(|set| set.rules());
    let named = rules.flat_map(|rule| &rule.teams).map(|team| Arc::from(team.to_string()));
    named.take(MAX_TEAMS).collect()
}

/// What is known of versions, package by package.
struct KnownFacts<'t> {
    trial: &'t Trial,
    packages: HashMap<(Arc<str>, Package), OfPackage>,
    count: usize,
}

struct OfPackage {
    remembered: HashMap<Version, VersionRecord>,
    about: About<'static>,
    /// Of those that were asked about.
    versions: HashMap<Version, OfVersion>,
}

/// All that facts are gathered from.
struct OfVersion {
    registry: Arc<str>,
    record: Option<VersionRecord>,
    stated: Option<Stated>,
    said: Said<'static>,
}

impl<'t> KnownFacts<'t> {
    fn new(trial: &'t Trial) -> Self {
        Self { trial, packages: HashMap::new(), count: 0 }
    }

    async fn of(
        &mut self,
        registry: &Arc<str>,
        subject: &PackageVersion,
    ) -> Result<&OfVersion, MetadataError> {
        if self.count >= MAX_KNOWN {
            self.packages.clear();
            self.count = 0;
        }
        let PackageVersion { package, version } = subject;
        let of_package = match self.packages.entry((Arc::clone(registry), package.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let metadata = self.trial.recorder.metadata();
                let (remembered, _) = records::read_versions(metadata, registry, package).await?;
                let advisories = self.trial.candidate.advisories().of(package).map(Arc::new);
                self.count += remembered.len() + 1;
                // What a name resembles is another thing for each set of rules.
                let about = About { advisories, similar_to: None };
                free.insert(OfPackage { remembered, about, versions: HashMap::new() })
            }
        };
        let OfPackage { remembered, about, versions } = of_package;
        Ok(match versions.entry(version.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                self.count += 1;
                free.insert(OfVersion {
                    registry: Arc::clone(registry),
                    record: remembered.get(version).cloned(),
                    stated: self.trial.stated(registry, subject).await,
                    said: Said::of(about, version),
                })
            }
        })
    }
}

impl OfVersion {
    fn at(&self, moment: Timestamp) -> Facts<'_> {
        let (record, stated) = (self.record.as_ref(), self.stated.as_ref());
        let remembered = Remembered { registry: Some(&self.registry), record, stated };
        gather_facts(moment, &remembered, &self.said)
    }
}

impl Trial {
    /// By the document that is held; one that can not be read says nothing.
    async fn stated(&self, registry: &Arc<str>, subject: &PackageVersion) -> Option<Stated> {
        let mut all = self.registries.iter().map(|(_, registry)| registry);
        let registry = all.find(|known| known.name == *registry)?;
        registry.stated(&subject.package, &subject.version).await.unwrap_or_else(|fault| {
            tracing::warn!(%subject, %fault, "what a document says of it is not known to a trial of policies");
            None
        })
    }
}

/// Goes through what is cached or published here.
struct Cached<'t> {
    trial: &'t Trial,
    after: Option<Key<ArtifactRecord>>,
    is_last: bool,
}

impl<'t> Cached<'t> {
    fn new(trial: &'t Trial) -> Self {
        Self { trial, after: None, is_last: false }
    }

    async fn next(&mut self) -> Result<Option<Vec<(Arc<str>, PackageVersion)>>, MetadataError> {
        if self.is_last {
            return Ok(None);
        }
        let metadata = self.trial.recorder.metadata();
        let page = records::scan(metadata, &Prefix::all(), self.after.as_ref(), PAGE).await?;
        self.is_last = page.len() < PAGE;
        self.after = page.last().map(|(key, _)| key.clone());
        let read = |(key, record): (Key<ArtifactRecord>, ArtifactRecord)| {
            let [registry, name, _] = <[String; 3]>::try_from(key.parts()).ok()?;
            let known = self.trial.names.iter().find(|(known, _)| **known == *registry);
            // One that is not configured any more serves nothing.
            let (registry, ecosystem) = known?;
            let package = Package::new(*ecosystem, &name).ok()?;
            let version = Version::new(&record.version).ok()?;
            Some((Arc::clone(registry), PackageVersion { package, version }))
        };
        Ok(Some(page.into_iter().filter_map(read).collect()))
    }
}

impl Recorder {
    fn metadata(&self) -> &dyn Metadata {
        self.0.metadata.as_ref()
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

#[cfg(test)]
mod tests;
