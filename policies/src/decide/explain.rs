//! A decision in words: what each rule had to say, and what is missing for an allow.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Considering, decide, weigh};
use crate::asker::Asker;
use crate::condition::{Condition, Subject};
use crate::decision::{Decision, Effect, Revision};
use crate::facts::Facts;
use crate::package::{Package, PackageVersion};
use crate::rules::{Pattern, Rule, RuleSet};
use crate::tri::Tri;
use crate::versions::Parsed;

/// A decision with every rule that was considered for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub decision: Decision,
    /// In the order in which they win; only rules that name the package are considered.
    pub considered: Vec<Considered>,
    /// Rules that speak of other packages only.
    pub others: usize,
}

/// A rule that was considered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Considered {
    /// Its name.
    pub rule: Arc<str>,
    pub effect: Effect,
    /// It speaks of the version, and counts: it does not only observe, and no waiver lifts it.
    pub matched: bool,
    /// In words, for a person.
    pub why: String,
}

/// The decision on one version, and what each rule had to say.
pub fn explain(
    set: &RuleSet,
    asked: &PackageVersion,
    facts: &Facts<'_>,
    asker: &Asker<'_>,
) -> Explanation {
    let rules = set.for_package(&asked.package);
    let parsed = Parsed::new(rules.ecosystem(), asked.version.as_str());
    let subject = Subject { package: &asked.package, version: asked.version.as_str(), facts };
    let mut considering = Considering {
        rules: &rules,
        subject,
        version: parsed.as_ref(),
        asker,
        until: Timestamp::MAX,
        is_hopeful: false,
    };
    let considered: Vec<Considered> = rules.iter().map(|rule| considering.consider(rule)).collect();
    Explanation {
        decision: decide(&rules, &asked.version, facts, asker),
        others: set.rules().len() - considered.len(),
        considered,
    }
}

/// What the rules say of a package when no version is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    pub considered: Vec<Considered>,
    pub others: usize,
    pub revision: Revision,
}

/// The rules that name the package. `matched` says that the rule is in force, whatever its range
/// and its condition.
pub fn overview(set: &RuleSet, package: &Package, facts: &Facts<'_>) -> Overview {
    let rules = set.for_package(package);
    let considered: Vec<Considered> = rules
        .iter()
        .map(|rule| {
            let ended = rule.is_expired(facts.now);
            let started = rule.has_started(facts.now);
            let matched = !ended && started && !rule.observe;
            Considered {
                rule: rule.name.clone(),
                effect: rule.effect,
                matched,
                why: scope(rule, package, facts.now),
            }
        })
        .collect();
    Overview {
        others: set.rules().len() - considered.len(),
        considered,
        revision: set.revision().clone(),
    }
}

/// "speaks of the versions ^2 where age < duration('24h'), to web/*, until …".
fn scope(rule: &Rule, package: &Package, now: Timestamp) -> String {
    let mut told = match rule.versions_of(package) {
        Some(versions) => format!("the versions {versions}"),
        None => "every version".to_owned(),
    };
    if let Some(when) = &rule.when {
        let _ = write!(told, " where {}", when.text());
    }
    if !rule.teams.is_empty() {
        let _ = write!(told, ", to {}", listed(&rule.teams));
    }
    if !rule.environments.is_empty() {
        let _ = write!(told, ", in {}", listed(&rule.environments));
    }
    if let Some(waives) = &rule.waives {
        let _ = write!(told, ", and lifts {waives}");
    }
    if rule.observe {
        told += ", but only observes";
    }
    match (rule.starts.filter(|starts| *starts > now), rule.expires) {
        (_, Some(expires)) if expires <= now => {
            format!("spoke of {told} until it expired on {expires}")
        }
        (Some(starts), _) => format!("speaks of {told}, from {starts} on"),
        (None, Some(expires)) => format!("speaks of {told}, until {expires}"),
        (None, None) => format!("speaks of {told}"),
    }
}

fn listed<T: ToString>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    words.join(", ")
}

impl Considering<'_, '_> {
    fn consider(&mut self, rule: &Rule) -> Considered {
        let verdict = self.weigh(rule);
        let lifted = self.lifting(rule).filter(|_| verdict.matched);
        let named = rule
            .patterns
            .iter()
            .find(|pattern| pattern.matches(self.subject.package))
            .map_or_else(String::new, |pattern| match pattern {
                // Its versions are told with those of its like.
                Pattern::In(package, _) => format!("names it by {package}"),
                pattern => format!("names it by {pattern}"),
            });
        let mut why = match self.obstacle(rule) {
            Some(obstacle) => format!("{named}, but {obstacle}"),
            None => named + &self.accord(rule),
        };
        if let Some(waiver) = lifted {
            let _ = write!(why, "; the waiver {} lifts it", waiver.name);
        } else if verdict.matched && rule.observe {
            why += "; it only observes, and decides nothing";
        } else if verdict.matched
            && let Some(waives) = &rule.waives
        {
            let _ = write!(why, "; it lifts {waives}");
        }
        let matched = verdict.matched && lifted.is_none() && !rule.observe;
        Considered { rule: rule.name.clone(), effect: rule.effect, matched, why }
    }

    /// The first thing that keeps the rule from matching.
    fn obstacle(&self, rule: &Rule) -> Option<String> {
        let now = self.subject.facts.now;
        if let Some(expires) = rule.expires.filter(|expires| *expires <= now) {
            return Some(format!("expired on {expires}"));
        }
        if let Some(starts) = rule.starts.filter(|starts| *starts > now) {
            return Some(format!("only begins on {starts}"));
        }
        if !rule.concerns(self.asker) {
            return Some(self.not_concerned(rule));
        }
        if !rule.includes(self.subject.package, self.version) {
            return Some(match (rule.versions_of(self.subject.package), self.version) {
                (Some(versions), Some(_)) => {
                    format!("the version is not in {versions}{}", self.narrow(rule))
                }
                _ => "the version cannot be read".to_owned(),
            });
        }
        let when = rule.when.as_ref()?;
        let answer = when.ask(&self.subject);
        match answer.tri {
            Tri::False => Some(format!("it is not true that {}", when.text())),
            Tri::Unknown if rule.effect == Effect::Allow => {
                let missing = answer.missing;
                Some(format!("nobody knows whether {}, as nobody knows {missing}", when.text()))
            }
            Tri::True | Tri::Unknown => None,
        }
    }

    fn not_concerned(&self, rule: &Rule) -> String {
        match (rule.teams.is_empty(), self.asker.team) {
            (false, None) => {
                format!("speaks to {} alone, and nobody knows who asks", listed(&rule.teams))
            }
            (false, Some(team)) if !rule.teams.iter().any(|pattern| pattern.matches(team)) => {
                format!("speaks to {}, not to {team}", listed(&rule.teams))
            }
            _ => format!("speaks in {} alone", listed(&rule.environments)),
        }
    }

    /// Why it matches.
    fn accord(&self, rule: &Rule) -> String {
        let mut told = match (rule.versions_of(self.subject.package), self.version) {
            (_, None) => {
                "; the version cannot be read, so it counts as one of the rule's".to_owned()
            }
            (None, Some(_)) => ", in every version".to_owned(),
            (Some(versions), Some(_)) => format!(", and the version is in {versions}"),
        };
        if let Some(when) = &rule.when {
            told += &self.known(when);
        }
        if !rule.teams.is_empty() && self.asker.team.is_none() {
            let _ =
                write!(told, "; it speaks to {}, and nobody knows who asks", listed(&rule.teams));
        }
        told
    }

    fn known(&self, when: &Condition) -> String {
        let answer = when.ask(&self.subject);
        if answer.tri == Tri::True {
            format!(", where {}", when.text())
        } else {
            let missing = answer.missing;
            format!("; it counts where {}, and nobody knows {missing}", when.text())
        }
    }

    /// Says so where only the narrow reading keeps a pre-release out of an allow.
    fn narrow(&self, rule: &Rule) -> &'static str {
        let wide = Rule { effect: Effect::Deny, ..rule.clone() };
        let by_bounds = wide.includes(self.subject.package, self.version);
        if rule.effect == Effect::Allow
            && by_bounds
            && self.version.is_some_and(Parsed::is_prerelease)
        {
            " (it is a pre-release, which an allow must name)"
        } else {
            ""
        }
    }
}

/// The most useful thing to say where nothing matched.
pub(super) fn nobody_allows(asked: &Considering<'_, '_>) -> Arc<str> {
    let allows = || asked.rules.iter().filter(|rule| rule.effect == Effect::Allow && !rule.observe);
    let ecosystem = asked.rules.ecosystem();
    if allows().next().is_none() {
        return "no rule allows this package yet".into();
    }
    if asked.version.is_none() {
        return format!("this is no version that {ecosystem} knows, so no rule can allow it")
            .into();
    }
    let now = asked.subject.facts.now;
    let mut nearest = None;
    for rule in allows().filter(|rule| rule.includes(asked.subject.package, asked.version)) {
        let name = &rule.name;
        let told = if !rule.concerns(asked.asker) {
            if rule.teams.is_empty() || asked.asker.team.is_some() {
                format!("the rule {name} allows it to others only")
            } else {
                format!("the rule {name} allows it to some teams, and nobody knows who asks")
            }
        } else if !rule.ever_speaks() {
            continue;
        } else if let Some(expires) = rule.expires.filter(|expires| *expires <= now) {
            if rule.when.is_some() {
                // Whether its condition was true then, nobody can tell now.
                continue;
            }
            format!("the rule {name} allowed it until {expires}")
        } else if let Some(starts) = rule.starts.filter(|starts| *starts > now) {
            format!("the rule {name} allows it from {starts} on")
        } else {
            let verdict = weigh(rule, &asked.subject, asked.version, asked.asker);
            if !verdict.missing.is_empty() {
                format!("the rule {name} cannot allow it: nobody knows {}", verdict.missing)
            } else if verdict.until < Timestamp::MAX {
                format!("the rule {name} does not allow it before {}", verdict.until)
            } else {
                continue;
            }
        };
        nearest.get_or_insert(told);
    }
    nearest.map_or(
        "no rule allows this version; others of this package are allowed".into(),
        Into::into,
    )
}
