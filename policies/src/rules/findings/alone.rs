//! What can be told of a rule without looking at the others.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{Code, Finding};
use crate::decision::Effect;
use crate::package::Ecosystem;
use crate::rules::{Field, Pattern, Rule};

/// With more wide patterns than these in one rule they are not held against each other.
const MAX_WIDE: usize = 100;

pub(super) fn findings(rule: &Rule, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(time(rule, now));
    found.extend(range(rule));
    found.extend(condition(rule));
    found.extend(patterns(rule));
    found
}

fn time(rule: &Rule, now: Timestamp) -> Option<Finding> {
    let (name, expires) = (rule.titled(), rule.expires?);
    if let Some(starts) = rule.starts.filter(|starts| expires <= *starts) {
        let message = format!("{name} never speaks: it ends on {expires}, and starts on {starts}");
        let remedy = "give `expires` a later date than `starts`";
        return Some(Finding::of(rule, Code::NeverSpeaks, Some(Field::Expires), message, remedy));
    }
    rule.is_expired(now).then(|| {
        let message = format!("{name} says nothing since it expired on {expires}");
        let remedy = "remove it, or give it a later date";
        Finding::of(rule, Code::Expired, Some(Field::Expires), message, remedy)
    })
}

fn range(rule: &Rule) -> Option<Finding> {
    let versions = rule.versions.as_ref().filter(|versions| versions.is_empty())?;
    let message =
        format!("{} speaks of no version: nothing is in {}", rule.titled(), versions.text);
    Some(Finding::of(rule, Code::NoVersion, Some(Field::Versions), message, "mend the range"))
}

fn condition(rule: &Rule) -> Option<Finding> {
    let when = rule.when.as_ref()?;
    let ecosystems: Vec<Ecosystem> = Ecosystem::ALL
        .into_iter()
        .filter(|of| {
            rule.patterns.iter().any(|pattern| pattern.ecosystem().is_none_or(|it| it == *of))
        })
        .collect();
    let constant = when.constant(&ecosystems)?;
    let name = rule.titled();
    let told = |code, message: String, remedy: &str| {
        Some(Finding::of(rule, code, Some(Field::When), message, remedy))
    };
    // Nobody knowing is as good as true for a deny or a hold, and as good as false for an allow.
    let opens = rule.effect == Effect::Allow;
    match (constant.value, constant.unknown_too || opens) {
        (false, true) => {
            let message = format!("{name} never matches: its condition can not be true");
            told(Code::NeverTrue, message, "mend the condition, or remove the rule")
        }
        (false, false) => {
            let message = format!(
                "{name} matches only what nobody knows enough of: its condition can not be true"
            );
            told(Code::NeverTrue, message, "mend the condition, or remove the rule")
        }
        (true, _) if opens && !constant.unknown_too => {
            let message = format!(
                "the condition of {name} is true whatever the facts are, once they are known"
            );
            told(Code::AlwaysTrue, message, "leave `when` out, or write what was meant")
        }
        (true, _) => {
            let message = format!("the condition of {name} is true whatever the facts are");
            told(Code::AlwaysTrue, message, "leave `when` out, or write what was meant")
        }
    }
}

/// Patterns that add nothing to others of the same rule.
fn patterns(rule: &Rule) -> Vec<Finding> {
    let wide: Vec<(usize, &Pattern)> = rule
        .patterns
        .iter()
        .enumerate()
        .filter(|(_, pattern)| !matches!(pattern, Pattern::One(_) | Pattern::In(..)))
        .take(MAX_WIDE)
        .collect();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for (place, pattern) in rule.patterns.iter().enumerate() {
        let key = match pattern {
            Pattern::One(package) => format!("{}:{}", package.ecosystem(), package.collision_key()),
            wide => wide.to_string(),
        };
        let told = |message: String| {
            let field = Some(Field::Package(place));
            Finding::of(rule, Code::RepeatedPattern, field, message, "remove it")
        };
        if !seen.insert(key) {
            found.push(told(format!("{} names {pattern} twice", rule.titled())));
        } else if let Some((_, wider)) = wide.iter().find(|(other, wider)| {
            *other != place && wider.covers(pattern) && !pattern.covers(wider)
        }) {
            let message = format!("{} names {pattern}, which its {wider} takes in", rule.titled());
            found.push(told(message));
        }
    }
    found
}
