//! (rules, version, facts, asker) → [`Decision`]; and the same in words, rule by rule.
//!
//! Deny beats hold beats allow, and what no rule allows is denied, unless it was published here. A
//! waiver is an allow that also lifts one deny or hold. A rule that expired or has not started says
//! nothing. What nobody knows makes no allow true and no deny or hold false. What an advisory calls
//! malicious is denied whatever the rules say, unless a waiver of [`MALICIOUS`] lifts that, or it was
//! published here: the advisory speaks of somebody else's package of that name.
//!
//! The rules are looked at in the order in which they win, so a decision stays what it is until the
//! first moment at which one of those looked at says something else.

mod explain;
mod weigh;

use std::sync::Arc;

use jiff::Timestamp;

use crate::asker::Asker;
use crate::condition::Subject;
use crate::decision::{Decision, DecisionCode, Effect, Observed};
use crate::facts::{Facts, KnownAdvisory, Missing};
use crate::package::Version;
use crate::rules::{MALICIOUS, PackageRules, Rule};
use crate::versions::Parsed;
use weigh::{Verdict, weigh};

pub use explain::{Considered, Explanation, Overview, explain, overview};

/// What may become of a version that is refused, once its artifact is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hope {
    /// It stays refused.
    None,
    /// An allow would be all that is missing.
    Open,
    /// It may be allowed.
    Allowed,
}

/// Decides one version; `rules` are those of its package.
pub fn decide(
    rules: &PackageRules<'_>,
    version: &Version,
    facts: &Facts<'_>,
    asker: &Asker<'_>,
) -> Decision {
    consider(rules, version, (facts, false), asker)
}

/// The best that could come of what is pending, and until when that is so by itself; `None` where nothing
/// is that a rule asks for.
pub fn hope(
    rules: &PackageRules<'_>,
    version: &Version,
    facts: &Facts<'_>,
    asker: &Asker<'_>,
) -> (Hope, Option<Timestamp>) {
    if !facts.pending.meets(rules.asks()) {
        return (Hope::None, None);
    }
    let best = consider(rules, version, (facts, true), asker);
    let hope = match (best.effect, best.code) {
        (Effect::Allow, _) => Hope::Allowed,
        (_, DecisionCode::NoRuleAllows) => Hope::Open,
        _ => Hope::None,
    };
    (hope, best.until)
}

fn consider(
    rules: &PackageRules<'_>,
    version: &Version,
    (facts, is_hopeful): (&Facts<'_>, bool),
    asker: &Asker<'_>,
) -> Decision {
    let made = |effect, code, reason| Decision {
        effect,
        code,
        rule: None,
        reason,
        revision: rules.set().revision().clone(),
        until: None,
        missing: Missing::NONE,
        waiver: None,
        observed: None,
    };
    if let Some(reason) = rules.set().unavailable_reason() {
        return made(Effect::Deny, DecisionCode::RulesUnavailable, reason.clone());
    }
    let parsed = Parsed::new(rules.ecosystem(), version.as_str());
    let subject = Subject { package: rules.package(), version: version.as_str(), facts };
    let (version, until) = (parsed.as_ref(), Timestamp::MAX);
    let mut considering = Considering { rules, subject, version, asker, is_hopeful, until };
    let mut waiver = None;
    if let Some(malicious) = known_malice(facts) {
        waiver = considering.waiver_of(MALICIOUS);
        if waiver.is_none() {
            let reason = format!("the advisory {} says that it is malicious", malicious.id);
            let decision = made(Effect::Deny, DecisionCode::Malicious, reason.into());
            return Decision { until: considering.until(), ..decision };
        }
    }
    let mut observed = None;
    // Of allows that would have needed to know more.
    let mut missing = Missing::NONE;
    let mut winner = None;
    for rule in rules.iter() {
        if rule.observe && observed.is_some() {
            continue;
        }
        let verdict = considering.weigh(rule);
        if !verdict.matched {
            if !rule.observe {
                missing = missing.and(verdict.missing);
            }
            continue;
        }
        let lifted = considering.lifting(rule);
        if rule.observe {
            observed = Some(rule).filter(|_| lifted.is_none());
        } else if lifted.is_some() {
            waiver = waiver.or(lifted);
        } else {
            winner = Some((rule, verdict));
            break;
        }
    }
    let until = considering.until();
    let mut decision = match winner {
        Some((rule, verdict)) => {
            let code = match rule.effect {
                Effect::Allow => DecisionCode::AllowedByRule,
                Effect::Hold => DecisionCode::HeldByRule,
                Effect::Deny => DecisionCode::DeniedByRule,
            };
            Decision {
                rule: Some(rule.name.clone()),
                missing: verdict.missing,
                ..made(rule.effect, code, reason_of(rule, &verdict))
            }
        }
        None if facts.own => made(Effect::Allow, DecisionCode::OwnPackage, "published here".into()),
        None => {
            let reason = explain::nobody_allows(&considering);
            Decision { missing, ..made(Effect::Deny, DecisionCode::NoRuleAllows, reason) }
        }
    };
    decision.until = until;
    decision.waiver = waiver.map(|waiver: &Rule| waiver.name.clone());
    decision.observed = observed
        .filter(|rule| rule.effect != decision.effect)
        .map(|rule| Observed { rule: rule.name.clone(), effect: rule.effect });
    decision
}

/// One decision in the making.
struct Considering<'c, 's> {
    rules: &'c PackageRules<'s>,
    subject: Subject<'c>,
    version: Option<&'c Parsed<'c>>,
    asker: &'c Asker<'c>,
    /// What is pending is taken to turn out well.
    is_hopeful: bool,
    /// All verdicts up to now hold until then.
    until: Timestamp,
}

impl<'s> Considering<'_, 's> {
    fn weigh(&mut self, rule: &Rule) -> Verdict {
        let mut verdict = weigh(rule, &self.subject, self.version, self.asker);
        self.until = self.until.min(verdict.until);
        if self.is_hopeful && verdict.missing.meets(self.subject.facts.pending) {
            verdict.matched = rule.effect == Effect::Allow;
        }
        verdict
    }

    /// The waiver that takes away what this rule says of the version.
    fn lifting(&mut self, rule: &Rule) -> Option<&'s Rule> {
        if rule.effect == Effect::Allow {
            return None;
        }
        self.waiver_of(&rule.name)
    }

    fn waiver_of(&mut self, rule: &str) -> Option<&'s Rule> {
        let rules = self.rules;
        rules.waivers_of(rule).find(|waiver| self.weigh(waiver).matched)
    }

    fn until(&self) -> Option<Timestamp> {
        Some(self.until).filter(|until| *until < Timestamp::MAX)
    }
}

fn known_malice<'a>(facts: &Facts<'a>) -> Option<&'a KnownAdvisory> {
    let known = facts.advisories.filter(|_| !facts.own)?;
    known.iter().find(|advisory| advisory.malicious && !advisory.withdrawn)
}

fn reason_of(rule: &Rule, verdict: &Verdict) -> Arc<str> {
    let comes_of_age =
        rule.effect == Effect::Hold && verdict.until < rule.expires.unwrap_or(Timestamp::MAX);
    if !verdict.missing.is_empty() {
        format!("{} (nobody knows {})", rule.said, verdict.missing).into()
    } else if comes_of_age {
        format!("{} (not before {})", rule.said, verdict.until).into()
    } else {
        Arc::clone(&rule.said)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
