//! (rules, version, facts) → [`Decision`]; and the same in words, rule by rule.
//!
//! Deny beats hold beats allow, and what no rule allows is denied, unless it was published here. An
//! expired rule says nothing. What an advisory calls malicious is denied whatever the rules say,
//! unless it was published here: the advisory speaks of somebody else's package of that name.
//! Rules only ever expire, so a decision can change by itself only when the rule that made it does.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, DecisionCode, Effect};
use crate::facts::{Facts, KnownAdvisory};
use crate::package::{Package, PackageVersion, Version};
use crate::rules::{PackageRules, Rule, RuleSet};
use crate::versions::Parsed;

/// Decides one version; `rules` are those of its package.
pub fn decide(rules: &PackageRules<'_>, version: &Version, facts: &Facts<'_>) -> Decision {
    let revision = rules.set().revision().clone();
    if let Some(reason) = rules.set().unavailable_reason() {
        return Decision {
            effect: Effect::Deny,
            code: DecisionCode::RulesUnavailable,
            rule: None,
            reason: reason.clone(),
            revision,
            until: None,
        };
    }
    if let Some(malicious) = known_malice(facts) {
        return Decision {
            effect: Effect::Deny,
            code: DecisionCode::Malicious,
            rule: None,
            reason: format!("the advisory {} says that it is malicious", malicious.id).into(),
            revision,
            until: None,
        };
    }
    let parsed = Parsed::new(rules.ecosystem(), version.as_str());
    let winner = rules.iter().find(|rule| {
        !rule.is_expired(facts.now) && rule.includes(rules.ecosystem(), parsed.as_ref())
    });
    match winner {
        Some(rule) => Decision {
            effect: rule.effect,
            code: match rule.effect {
                Effect::Allow => DecisionCode::AllowedByRule,
                Effect::Hold => DecisionCode::HeldByRule,
                Effect::Deny => DecisionCode::DeniedByRule,
            },
            rule: Some(rule.name.clone()),
            reason: reason_of(rule),
            revision,
            until: rule.expires,
        },
        None if facts.own => Decision {
            effect: Effect::Allow,
            code: DecisionCode::OwnPackage,
            rule: None,
            reason: "published here".into(),
            revision,
            until: None,
        },
        None => Decision {
            effect: Effect::Deny,
            code: DecisionCode::NoRuleAllows,
            rule: None,
            reason: nobody_allows(rules, parsed.as_ref(), facts).into(),
            revision,
            until: None,
        },
    }
}

fn known_malice<'a>(facts: &Facts<'a>) -> Option<&'a KnownAdvisory> {
    let known = facts.advisories.filter(|_| !facts.own)?;
    known.iter().find(|advisory| advisory.malicious && !advisory.withdrawn)
}

fn reason_of(rule: &Rule) -> Arc<str> {
    match &rule.reason {
        Some(reason) => reason.clone(),
        None => format!("{} by the rule {}", rule.effect.participle(), rule.name).into(),
    }
}

/// The most useful thing to say where nothing matched.
fn nobody_allows(
    rules: &PackageRules<'_>,
    version: Option<&Parsed<'_>>,
    facts: &Facts<'_>,
) -> String {
    let mut allows = rules.iter().filter(|rule| rule.effect == Effect::Allow).peekable();
    if allows.peek().is_none() {
        return "no rule allows this package yet".to_owned();
    }
    if version.is_none() {
        return format!(
            "this is no version that {} knows, so no rule can allow it",
            rules.ecosystem()
        );
    }
    let ended =
        allows.find(|rule| rule.is_expired(facts.now) && rule.includes(rules.ecosystem(), version));
    match ended.and_then(|rule| rule.expires.map(|expires| (rule, expires))) {
        Some((rule, expires)) => format!("the rule {} allowed it until {expires}", rule.name),
        None => "no rule allows this version; others of this package are allowed".to_owned(),
    }
}

/// A decision with every rule that was considered for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub decision: Decision,
    /// In the order in which they win; only rules that name the package are considered.
    pub considered: Vec<Considered>,
    /// Rules that speak of other packages only.
    pub others: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Considered {
    pub rule: Arc<str>,
    pub effect: Effect,
    pub matched: bool,
    /// In words, for a person.
    pub why: String,
}

/// The decision on one version, and what each rule had to say.
pub fn explain(set: &RuleSet, asked: &PackageVersion, facts: &Facts<'_>) -> Explanation {
    let rules = set.for_package(&asked.package);
    let parsed = Parsed::new(rules.ecosystem(), asked.version.as_str());
    let considered: Vec<Considered> =
        rules.iter().map(|rule| consider(rule, &asked.package, parsed.as_ref(), facts)).collect();
    Explanation {
        decision: decide(&rules, &asked.version, facts),
        others: set.rules().len() - considered.len(),
        considered,
    }
}

/// What the rules say of a package when no version is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    pub considered: Vec<Considered>,
    pub others: usize,
    pub revision: crate::decision::Revision,
}

/// The rules that name the package. `matched` says that the rule is in force, whatever its range.
pub fn overview(set: &RuleSet, package: &Package, facts: &Facts<'_>) -> Overview {
    let rules = set.for_package(package);
    let considered: Vec<Considered> = rules
        .iter()
        .map(|rule| {
            let versions = match &rule.versions {
                Some(versions) => format!("the versions {}", versions.text),
                None => "every version".to_owned(),
            };
            let ended = rule.is_expired(facts.now);
            let why = match (rule.expires, ended) {
                (Some(expires), true) => {
                    format!("spoke of {versions} until it expired on {expires}")
                }
                (Some(expires), false) => format!("speaks of {versions}, until {expires}"),
                (None, _) => format!("speaks of {versions}"),
            };
            Considered { rule: rule.name.clone(), effect: rule.effect, matched: !ended, why }
        })
        .collect();
    Overview {
        others: set.rules().len() - considered.len(),
        considered,
        revision: set.revision().clone(),
    }
}

fn consider(
    rule: &Rule,
    package: &Package,
    version: Option<&Parsed<'_>>,
    facts: &Facts<'_>,
) -> Considered {
    let included = rule.includes(package.ecosystem(), version);
    let ended = rule.is_expired(facts.now);
    let named = rule
        .patterns
        .iter()
        .find(|pattern| pattern.matches(package))
        .map_or_else(String::new, |pattern| format!("names it by {pattern}"));
    let why = match (rule.expires.filter(|_| ended), &rule.versions, version, included) {
        (Some(expires), ..) => format!("{named}, but expired on {expires}"),
        (None, _, None, true) => {
            format!("{named}; the version cannot be read, so it counts as one of the rule's")
        }
        (None, _, None, false) => format!("{named}, but the version cannot be read"),
        (None, None, Some(_), _) => format!("{named}, in every version"),
        (None, Some(versions), Some(_), true) => {
            format!("{named}, and the version is in {}", versions.text)
        }
        (None, Some(versions), Some(_), false) => {
            format!(
                "{named}, but the version is not in {}{}",
                versions.text,
                narrow(rule, package, version)
            )
        }
    };
    Considered { rule: rule.name.clone(), effect: rule.effect, matched: included && !ended, why }
}

/// Says so where only the narrow reading keeps a pre-release out of an allow.
fn narrow(rule: &Rule, package: &Package, version: Option<&Parsed<'_>>) -> &'static str {
    let wide = Rule { effect: Effect::Deny, ..rule.clone() };
    let by_bounds = wide.includes(package.ecosystem(), version);
    if rule.effect == Effect::Allow && by_bounds && version.is_some_and(Parsed::is_prerelease) {
        " (it is a pre-release, which an allow must name)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests;
