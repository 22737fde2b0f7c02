//! The closure of a package: what its ecosystem's own client would install with it.
//!
//! One question for all formats. It names a package and what is wanted of it; the answer has each
//! version with its decision, and what could not be had, by whom it is wanted. How a version is
//! chosen is the format's business ([`closure`](crate::registries::closure) has the words); here are the
//! bounds, and which registry is meant. Nothing is served and nothing is allowed by asking.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use policies::package::{Ecosystem, Package, PackageVersion};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::facts::Remembered;
use crate::gate::{Asking, Gate};
use crate::registries::closure::{
    Chosen, Closure, ClosureError, ClosureLimits, Decided, Question, Terms, Verdict,
};
use crate::registries::{Registry, cargo, npm};

/// Closures and long lists that are worked on at once; each fetches many documents.
const AT_ONCE: usize = 2;
/// How long one waits for those before it.
const WAIT: Duration = Duration::from_secs(10);

/// Works out closures, a few at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Closures {
    gate: Gate,
    registries: Arc<[(Ecosystem, Arc<Registry>)]>,
    limits: ClosureLimits,
    places: Arc<Semaphore>,
}

impl Closures {
    pub fn new(
        gate: Gate,
        registries: Arc<[(Ecosystem, Arc<Registry>)]>,
        limits: ClosureLimits,
    ) -> Self {
        Self { gate, registries, limits, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// What would be installed, with its decisions.
    pub async fn closure(&self, question: Question) -> Result<Closure, ClosureError> {
        let ecosystem = question.package.ecosystem();
        let named = question.registry.as_deref();
        let chosen = self.registry(ecosystem, named, Some(&question.package))?;
        let place = self.place().await?;
        match ecosystem {
            Ecosystem::Npm => npm::closure::closure(chosen, question, self.limits, place).await,
            Ecosystem::Cargo => cargo::closure::closure(chosen, question, self.limits, place).await,
            other => Err(ClosureError::NotServed(other)),
        }
    }

    /// What is decided of each of these, in their order. What is asked of a registry that this
    /// garth serves is looked up there, so that a decision by age or by advisory is the one that
    /// an install would meet.
    pub async fn decide(
        &self,
        asked: Vec<PackageVersion>,
        registry: Option<&str>,
        asking: &Asking,
    ) -> Result<Decided, ClosureError> {
        let rules = self.gate.rules();
        if let Some(reason) = rules.unavailable_reason() {
            return Err(ClosureError::NoRules(reason.to_string()));
        }
        let mut known = HashMap::new();
        for ecosystem in [Ecosystem::Npm, Ecosystem::Cargo] {
            let of_it = asked.iter().filter(|one| one.package.ecosystem() == ecosystem);
            let served: Vec<PackageVersion> = of_it
                .filter(|_| self.registries.iter().any(|(of, _)| *of == ecosystem))
                .cloned()
                .collect();
            if served.is_empty() {
                continue;
            }
            let chosen = self.registry(ecosystem, registry, None)?;
            let place = self.place().await?;
            let (rules, limits) = (Arc::clone(&rules), self.limits);
            let terms = Terms { rules, asking: asking.clone(), limits };
            known.extend(match ecosystem {
                Ecosystem::Cargo => cargo::closure::decide(chosen, terms, served, place).await?,
                _ => npm::closure::decide(chosen, terms, served, place).await?,
            });
        }
        let decide = |subject: PackageVersion| {
            if let Some(found) = known.remove(&subject) {
                return Some(found);
            }
            let only = std::iter::once((&subject.version, Remembered::NOTHING));
            let screened = self.gate.screen(&rules, &subject.package, asking, only);
            let decision = screened.decisions().next().map(|(_, decision)| decision.clone());
            decision.map(|decision| Verdict { subject, decision, undecided: false, unknown: None })
        };
        let verdicts = asked.into_iter().filter_map(decide).collect();
        Ok(Decided { verdicts, revision: rules.revision().clone() })
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, ClosureError> {
        let place = tokio::time::timeout(WAIT, Arc::clone(&self.places).acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or(ClosureError::Busy)
    }

    /// The registry that a client is set to, and beside it those that have names of their own. What
    /// is asked for by one package alone is asked of the registry that it is published in.
    fn registry(
        &self,
        ecosystem: Ecosystem,
        name: Option<&str>,
        package: Option<&Package>,
    ) -> Result<Chosen, ClosureError> {
        let is_own = |registry: &Registry| {
            package.is_some_and(|package| registry.own_names().matches(package))
        };
        let all: Vec<&Arc<Registry>> =
            self.registries.iter().filter(|(of, _)| *of == ecosystem).map(|(_, it)| it).collect();
        if all.is_empty() {
            return Err(ClosureError::NotServed(ecosystem));
        }
        let only = |found: Vec<&Arc<Registry>>| match found.as_slice() {
            [one] => Some(Arc::clone(one)),
            _ => None,
        };
        let filtered = |keep: &dyn Fn(&Registry) -> bool| {
            only(all.iter().copied().filter(|registry| keep(registry)).collect())
        };
        let main = match name {
            Some(name) => Some(
                filtered(&|registry| *registry.name == *name)
                    .ok_or_else(|| ClosureError::NoSuchRegistry(name.chars().take(80).collect()))?,
            ),
            None => filtered(&|_| true)
                .or_else(|| filtered(&is_own))
                .or_else(|| filtered(&|registry| registry.source.upstream.is_some())),
        };
        let names = || all.iter().map(|registry| registry.name.to_string()).collect();
        let main = main.ok_or_else(|| ClosureError::WhichRegistry(names()))?;
        Ok(Chosen { main, all: all.into_iter().cloned().collect() })
    }
}
