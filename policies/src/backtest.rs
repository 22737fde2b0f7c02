//! Two ways to decide, over recorded use or over what could be asked for → what changes, for whom.
//!
//! The caller hands in one [`Case`] after the other, with the facts as of its moment, and so
//! decides how much is in memory at once; what is kept here is bounded. Of the same version in the
//! same registry, facts may differ by `now` alone: then a decision is made once and holds until it
//! may change by itself.

mod report;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::asker::Asker;
use crate::decide::decide;
use crate::decision::Effect;
use crate::facts::{Fact, Facts};
use crate::package::{Package, PackageVersion, Version};
use crate::rules::{PackageRules, RuleSet};

use report::Gathered;
pub use report::{Change, Kind, Report, Said, Totals, Whom};

/// Decisions that are kept, so that the next case like it costs a look-up.
const MAX_KEPT: usize = 200_000;
/// Packages whose rules are kept at hand.
const MAX_PACKAGES: usize = 20_000;

/// What the candidate is held against.
#[derive(Clone, Copy, Debug)]
pub enum Before<'s> {
    /// What each case says was decided.
    Recorded,
    Rules(&'s RuleSet),
}

/// Requests that are alike.
#[derive(Clone, Copy, Debug)]
pub struct Case<'c> {
    pub registry: &'c Arc<str>,
    pub subject: &'c PackageVersion,
    pub whom: &'c Whom,
    pub environment: Option<&'c Arc<str>>,
    /// As of when they came, or as of now. What the name resembles is asked of each set of rules.
    pub facts: &'c Facts<'c>,
    pub requests: u64,
    /// When the last of them came.
    pub last: Option<Timestamp>,
    /// Where [`Before::Recorded`] is meant; a case without it has nothing that could change.
    pub recorded: Option<&'c Said>,
}

/// Holds a candidate against what was decided, case by case.
#[derive(Debug)]
pub struct Backtest<'s> {
    before: Before<'s>,
    after: &'s RuleSet,
    packages: HashMap<Package, OfPackage<'s>>,
    kept: usize,
    gathered: Gathered,
}

/// What is found out once for a package.
#[derive(Debug)]
struct OfPackage<'s> {
    before: Option<PackageRules<'s>>,
    after: PackageRules<'s>,
    /// Some rule that names it speaks of some teams or environments alone.
    tells_apart: bool,
    kept: HashMap<Key, Kept>,
}

/// Team and environment are absent where they do not count.
type Key = (Arc<str>, Version, Option<Arc<str>>, Option<Arc<str>>);

/// It holds for all moments of [from, until).
#[derive(Clone, Debug)]
struct Kept {
    from: Timestamp,
    until: Timestamp,
    before: Option<Said>,
    after: Said,
}

impl<'s> Backtest<'s> {
    pub fn new(before: Before<'s>, after: &'s RuleSet) -> Self {
        Self { before, after, packages: HashMap::new(), kept: 0, gathered: Gathered::default() }
    }

    /// Whether who asks makes a difference for this package. Where not, one case for everybody
    /// says it all.
    pub fn tells_apart(&mut self, package: &Package) -> bool {
        self.of_package(package).tells_apart
    }

    fn of_package(&mut self, package: &Package) -> &mut OfPackage<'s> {
        let (before, after) = (self.before, self.after);
        self.packages.entry(package.clone()).or_insert_with(|| {
            let before = match before {
                Before::Recorded => None,
                Before::Rules(set) => Some(set.for_package(package)),
            };
            let after = after.for_package(package);
            let tells_apart = before
                .iter()
                .flat_map(PackageRules::iter)
                .chain(after.iter())
                .any(|rule| !rule.teams.is_empty() || !rule.environments.is_empty());
            OfPackage { before, after, tells_apart, kept: HashMap::new() }
        })
    }

    /// Decides one case both ways, and counts what came of it.
    pub fn try_case(&mut self, case: &Case<'_>) {
        if self.kept >= MAX_KEPT || self.packages.len() >= MAX_PACKAGES {
            self.packages.clear();
            self.kept = 0;
        }
        let package = self.of_package(&case.subject.package);
        let now = case.facts.now;
        let key: Key = (
            Arc::clone(case.registry),
            case.subject.version.clone(),
            case.whom.team().filter(|_| package.tells_apart).cloned(),
            case.environment.filter(|_| package.tells_apart).cloned(),
        );
        let known = package.kept.get(&key).filter(|kept| kept.from <= now && now < kept.until);
        let kept = if let Some(kept) = known {
            kept.clone()
        } else {
            let kept = package.decide(case);
            let is_new = package.kept.insert(key, kept.clone()).is_none();
            self.kept += usize::from(is_new);
            kept
        };
        let before = kept.before.or_else(|| case.recorded.cloned());
        self.gathered.add(case, before, kept.after);
    }

    /// What came of all cases: at most so many lines, those of the most requests.
    pub fn finish(self, lines: usize) -> Report {
        self.gathered.report(lines)
    }
}

impl OfPackage<'_> {
    fn decide(&self, case: &Case<'_>) -> Kept {
        let asker = Asker {
            team: case.whom.team().map(|team| &**team),
            environment: case.environment.map(|name| &**name),
        };
        let (mut until, facts) = (Timestamp::MAX, case.facts);
        let mut said = |rules: &PackageRules<'_>| {
            let asks = rules.set().asks_for(Fact::SimilarTo);
            let similar_to = if asks { rules.set().similar_to(rules.package()) } else { None };
            let facts = Facts { similar_to, ..*facts };
            let decision = decide(rules, &case.subject.version, &facts, &asker);
            until = until.min(decision.until.unwrap_or(Timestamp::MAX));
            Said { effect: decision.effect, rule: decision.rule, reason: Some(decision.reason) }
        };
        let (before, after) = (self.before.as_ref().map(&mut said), said(&self.after));
        Kept { from: facts.now, until, before, after }
    }
}

/// `None` where both come to the same.
fn kind_of(before: Effect, after: Effect) -> Option<Kind> {
    match (before, after) {
        (before, after) if before == after => None,
        (Effect::Allow, _) => Some(Kind::Refused),
        (_, Effect::Allow) => Some(Kind::LetIn),
        _ => Some(Kind::RefusedOtherwise),
    }
}

#[cfg(test)]
mod tests;
