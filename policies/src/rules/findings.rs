//! Rules that are good by themselves and yet pointless: what `policy check` tells beside faults.
//!
//! A finding is certain, never a guess: a rule is called shadowed only where another one that knows
//! no condition and ends no earlier speaks of all that it speaks of.

use jiff::Timestamp;

use super::draft::nearest;
use super::{Fault, MALICIOUS, Origin, Pattern, Rule, RuleSet};
use crate::decision::Effect;

/// A set that is pointless all over is told so in pages, not in books.
const MAX_FINDINGS: usize = 1000;

impl RuleSet {
    /// What is pointless at this moment, in the order of the rules' names.
    pub fn findings(&self, now: Timestamp) -> Vec<Fault> {
        // Rules of a pattern that can cover another one than its equal.
        let wide: Vec<&Rule> = self
            .rules()
            .iter()
            .filter(|rule| is_plain(rule))
            .filter(|rule| rule.patterns.iter().any(|of| !matches!(of, Pattern::One(_))))
            .collect();
        self.rules()
            .iter()
            .filter_map(|rule| self.finding(rule, &wide, now))
            .take(MAX_FINDINGS)
            .collect()
    }

    /// The waivers that lift nothing, which somebody relies on in vain.
    pub fn idle_waivers(&self) -> Vec<Fault> {
        self.rules()
            .iter()
            .filter_map(|rule| self.idle_waiver(rule, rule.waives.as_ref()?))
            .take(MAX_FINDINGS)
            .collect()
    }

    fn finding(&self, rule: &Rule, wide: &[&Rule], now: Timestamp) -> Option<Fault> {
        let name = &rule.name;
        let told = |message: String, remedy: &str| Some(Fault::of_rule(rule, message, remedy));
        if !rule.ever_speaks() {
            let message = format!("the rule {name} ends before it starts");
            return told(message, "mend `starts` or `expires`");
        }
        if let Some(expires) = rule.expires.filter(|expires| *expires <= now) {
            let message = format!("the rule {name} says nothing since it expired on {expires}");
            return told(message, "remove it, or give it a later date");
        }
        if let Some(versions) = rule.versions.as_ref().filter(|versions| versions.is_empty()) {
            let message =
                format!("the rule {name} speaks of no version: nothing is in {}", versions.text);
            return told(message, "mend the range");
        }
        if let Some(waives) = &rule.waives {
            return self.idle_waiver(rule, waives);
        }
        let shadow = self.shadow_of(rule, wide)?;
        let place = match &shadow.origin {
            Origin::File { file, line, .. } => format!("{file}:{line}"),
            Origin::Api { by, .. } => format!("made by {by}"),
        };
        let (shadow, effect) = (&shadow.name, shadow.effect);
        let message = if effect == rule.effect {
            format!(
                "the rule {name} adds nothing to {shadow} ({place}), which says the same of more"
            )
        } else {
            let done = effect.participle();
            format!(
                "the rule {name} decides nothing: all that it speaks of is {done} by {shadow} ({place})"
            )
        };
        told(message, "remove one of them, or narrow the wider one")
    }

    fn idle_waiver(&self, waiver: &Rule, waives: &str) -> Option<Fault> {
        if waives == MALICIOUS {
            return None;
        }
        let name = &waiver.name;
        match self.rule(waives).map(|rule| rule.effect) {
            None => {
                let names: Vec<&str> = self.rules().iter().map(|rule| &*rule.name).collect();
                let remedy = match nearest(waives, &names) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name a deny or a hold that is there".to_owned(),
                };
                let message = format!("the waiver {name} lifts nothing: there is no rule {waives}");
                Some(Fault::of_rule(waiver, message, remedy))
            }
            Some(Effect::Allow) => {
                let message = format!("the waiver {name} lifts nothing: the rule {waives} allows");
                Some(Fault::of_rule(waiver, message, "name a deny or a hold"))
            }
            Some(Effect::Hold | Effect::Deny) => None,
        }
    }

    /// A rule that decides all that this one speaks of, in its stead.
    fn shadow_of(&self, rule: &Rule, wide: &[&Rule]) -> Option<&Rule> {
        if rule.observe || self.is_waived(rule) {
            return None;
        }
        let shadows = |other: &&Rule| self.shadows(other, rule);
        match rule.patterns.first()? {
            Pattern::One(package) => self.for_package(package).iter().find(shadows),
            _ => wide.iter().copied().find(shadows).and_then(|found| self.rule(&found.name)),
        }
    }

    fn shadows(&self, other: &Rule, rule: &Rule) -> bool {
        let lasts = |rule: &Rule| rule.expires.unwrap_or(Timestamp::MAX);
        let same_versions = other.versions.as_ref().is_none_or(|range| {
            // An allow reads its range more narrowly than a deny.
            rule.versions.as_ref().is_some_and(|ours| ours.text == range.text)
        });
        let covered = || {
            rule.patterns
                .iter()
                .all(|pattern| other.patterns.iter().any(|wider| wider.covers(pattern)))
        };
        // Of two that say the same, only one is told to be superfluous.
        let equals = || other.effect == rule.effect && says_no_more(rule, other);
        other.name != rule.name
            && other.effect >= rule.effect
            && is_plain(other)
            && !self.is_waived(other)
            && lasts(other) >= lasts(rule)
            && same_versions
            && covered()
            && (!equals() || other.name < rule.name)
    }

    fn is_waived(&self, rule: &Rule) -> bool {
        self.waived.contains(&rule.name)
    }
}

/// All that `other` says is said by `rule`, too.
fn says_no_more(rule: &Rule, other: &Rule) -> bool {
    is_plain(rule)
        && rule.expires == other.expires
        && rule.versions.as_ref().map(|range| &range.text)
            == other.versions.as_ref().map(|range| &range.text)
        && other
            .patterns
            .iter()
            .all(|pattern| rule.patterns.iter().any(|wider| wider.covers(pattern)))
}

/// It speaks to everybody, everywhere, whatever the facts are, from now on.
fn is_plain(rule: &Rule) -> bool {
    rule.when.is_none()
        && rule.teams.is_empty()
        && rule.environments.is_empty()
        && rule.starts.is_none()
        && !rule.observe
        && rule.waives.is_none()
}

#[cfg(test)]
mod tests;
