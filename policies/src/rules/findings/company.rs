//! What can be told of a rule beside the others of its set.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Code, Finding};
use crate::asker::TeamPattern;
use crate::decision::Effect;
use crate::rules::draft::nearest;
use crate::rules::{Field, MALICIOUS, Origin, Pattern, Rule, RuleSet};

pub(super) struct Company<'s> {
    set: &'s RuleSet,
    now: Timestamp,
    /// Rules of a pattern that can cover another one than its equal.
    wide: Vec<&'s Rule>,
}

impl<'s> Company<'s> {
    pub(super) fn new(set: &'s RuleSet, now: Timestamp) -> Self {
        let wide = set
            .rules()
            .iter()
            .filter(|rule| !rule.observe)
            .filter(|rule| {
                let is_one = |of: &Pattern| matches!(of, Pattern::One(_) | Pattern::In(..));
                !rule.patterns.iter().all(is_one)
            })
            .collect();
        Self { set, now, wide }
    }

    pub(super) fn findings(&self, rule: &Rule) -> Vec<Finding> {
        let idle = self.waives_nothing(rule);
        let shadow = if idle.is_none() { self.shadow(rule) } else { None };
        idle.into_iter().chain(shadow).collect()
    }

    fn waives_nothing(&self, waiver: &Rule) -> Option<Finding> {
        if let Some(idle) = idle_waiver(self.set, waiver) {
            return Some(idle);
        }
        let waived = self.set.rule(waiver.waives.as_deref()?)?;
        let why = self.apart(waiver, waived)?;
        let message =
            format!("the waiver {} lifts nothing: the rule {} {why}", waiver.name, waived.name);
        let remedy = "remove it, or name the deny or hold that stands in the way";
        Some(Finding::of(waiver, Code::WaivesNothing, Some(Field::Waives), message, remedy))
    }

    /// Why the two never speak of the same, where that is certain.
    fn apart(&self, waiver: &Rule, waived: &Rule) -> Option<&'static str> {
        let starts = |rule: &Rule| rule.starts.unwrap_or(Timestamp::MIN);
        let ends = |rule: &Rule| rule.expires.unwrap_or(Timestamp::MAX);
        let strangers = |a: &TeamPattern| !waived.teams.iter().any(|b| a.meets(b));
        let elsewhere = |a: &Arc<str>| {
            **a != *"*" && !waived.environments.iter().any(|b| **b == *"*" || a == b)
        };
        // Where both have very many patterns, the comparison is left out.
        let few = waiver.patterns.len().saturating_mul(waived.patterns.len()) <= 1_000_000;
        let foreign = |a: &Pattern| waived.patterns.iter().all(|b| a.is_apart_from(b));
        if waived.is_expired(self.now) {
            Some("expired")
        } else if ends(waiver) <= starts(waived) {
            Some("starts when the waiver has ended")
        } else if ends(waived) <= starts(waiver) {
            Some("has ended when the waiver starts")
        } else if few && waiver.patterns.iter().all(foreign) {
            Some("names none of its packages")
        } else if !waived.teams.is_empty()
            && !waiver.teams.is_empty()
            && waiver.teams.iter().all(strangers)
        {
            Some("speaks to other teams")
        } else if !waived.environments.is_empty()
            && !waiver.environments.is_empty()
            && waiver.environments.iter().all(elsewhere)
        {
            Some("speaks in other environments")
        } else {
            None
        }
    }

    fn shadow(&self, rule: &Rule) -> Option<Finding> {
        let shadow = self.shadow_of(rule)?;
        let place = match &shadow.origin {
            Origin::File { file, line, .. } => format!("{file}:{line}"),
            Origin::Api { by, .. } => format!("made by {by}"),
        };
        let name = rule.titled();
        let (other, effect) = (&shadow.name, shadow.effect);
        if effect != rule.effect {
            let done = effect.participle();
            let message = format!(
                "{name} decides nothing: all that it speaks of is {done} by {other} ({place})"
            );
            let remedy = match (rule.effect, &rule.waives) {
                (Effect::Allow, None) => {
                    format!("narrow {other}, or write a [[waiver]] with waives = {other:?}")
                }
                (Effect::Allow, Some(_)) => format!("narrow {other}, or waive it as well"),
                _ => "remove one of them, or narrow the wider one".to_owned(),
            };
            return Some(Finding::of(rule, Code::Shadowed, None, message, remedy));
        }
        let same = self.covers(rule, shadow);
        let more = if same { "" } else { " of more" };
        let message =
            format!("{name} adds nothing to {other} ({place}), which says the same{more}");
        Some(Finding::of(
            rule,
            Code::Duplicate,
            None,
            message,
            "remove it, or narrow the wider one",
        ))
    }

    /// A rule that decides all that this one speaks of, in its stead.
    fn shadow_of(&self, rule: &Rule) -> Option<&'s Rule> {
        if rule.observe || self.is_waived(rule) {
            return None;
        }
        let shadows = |other: &&Rule| self.shadows(other, rule);
        match rule.patterns.first()? {
            Pattern::One(package) | Pattern::In(package, _) => {
                self.set.for_package(package).iter().find(shadows)
            }
            _ => self.wide.iter().copied().find(shadows),
        }
    }

    fn shadows(&self, other: &Rule, rule: &Rule) -> bool {
        other.name != rule.name
            && other.effect >= rule.effect
            && !other.observe
            && !self.is_waived(other)
            && says_as_much(other, rule)
            && self.covers(other, rule)
            // Of two that say the same, only one is told to be superfluous.
            && (other.effect != rule.effect || other.name < rule.name || !self.covers(rule, other))
    }

    /// Whether `other` speaks wherever and whenever `rule` does, of all that it speaks of. That holds
    /// of askers whose team nobody knows, too, because `other` opens no more than `rule`.
    fn covers(&self, other: &Rule, rule: &Rule) -> bool {
        let lasts = |rule: &Rule| rule.expires.unwrap_or(Timestamp::MAX);
        let starts = |rule: &Rule| rule.starts.unwrap_or(self.now).max(self.now);
        let all_versions = other
            .versions
            .as_ref()
            .is_none_or(|range| rule.versions.as_ref().is_some_and(|ours| range.contains(ours)));
        // What stands behind a name goes before the versions of the whole rule.
        let includes = |wider: &Pattern, pattern: &Pattern| match (wider, pattern) {
            (Pattern::In(..), _) => true,
            (_, Pattern::In(package, versions)) => other.versions.as_ref().is_none_or(|range| {
                range.range(package.ecosystem()).is_some_and(|of| of.contains(&versions.range))
            }),
            _ => all_versions,
        };
        let same_condition = other.when.as_ref().is_none_or(|when| {
            rule.when.as_ref().is_some_and(|ours| ours.text().trim() == when.text().trim())
        });
        let teams = || {
            other.teams.is_empty()
                || !rule.teams.is_empty()
                    && rule.teams.iter().all(|ours| other.teams.iter().any(|of| of.covers(ours)))
        };
        let environments = || {
            let named: HashSet<&str> = other.environments.iter().map(|of| &**of).collect();
            named.is_empty()
                || !rule.environments.is_empty()
                    && (named.contains("*")
                        || rule.environments.iter().all(|ours| named.contains(&**ours)))
        };
        let patterns = || {
            rule.patterns.iter().all(|pattern| {
                let covers = |of: &Pattern| of.covers(pattern) && includes(of, pattern);
                other.patterns.iter().any(covers)
            })
        };
        same_condition
            && lasts(other) >= lasts(rule)
            && starts(other) <= starts(rule)
            && teams()
            && environments()
            && patterns()
    }

    fn is_waived(&self, rule: &Rule) -> bool {
        self.set.waived.contains(&rule.name)
    }
}

/// A waiver says more than an allow: it is replaced by a waiver of the same rule alone, and an allow
/// is not called superfluous for a waiver's sake, which lasts only so long as somebody wants it.
fn says_as_much(other: &Rule, rule: &Rule) -> bool {
    other.effect > rule.effect || other.waives == rule.waives
}

/// What a waiver of nothing is told, as far as the others' names and effects say it.
pub(super) fn idle_waiver(set: &RuleSet, waiver: &Rule) -> Option<Finding> {
    let waives = waiver.waives.as_deref().filter(|waives| *waives != MALICIOUS)?;
    let name = &waiver.name;
    let told = |code, message: String, remedy: String| {
        Some(Finding::of(waiver, code, Some(Field::Waives), message, remedy))
    };
    match set.rule(waives).map(|rule| rule.effect) {
        None => {
            let names: Vec<&str> = set.rules().iter().map(|rule| &*rule.name).collect();
            let remedy = match nearest(waives, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name a deny or a hold that is there".to_owned(),
            };
            let message = format!("the waiver {name} lifts nothing: there is no rule {waives}");
            told(Code::WaivesNothing, message, remedy)
        }
        Some(Effect::Allow) => {
            let message = format!("the waiver {name} lifts nothing: the rule {waives} allows");
            told(Code::WaivesAllow, message, "name a deny or a hold".to_owned())
        }
        Some(Effect::Hold | Effect::Deny) => None,
    }
}
