//! Expectations: what a set of rules should decide, kept beside the rules and tried against them.
//!
//! ```toml
//! [[expect]]
//! package = "npm:react@18.3.1"
//! team    = "web/shop"
//! facts   = { age = "10d", licence = "MIT" }
//! effect  = "allow"
//! ```
//!
//! What the facts leave out is unknown, as it is for a version of which nobody knows it.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::asker::Asker;
use crate::decide::{Considered, Explanation, explain};
use crate::decision::{Decision, Effect};
use crate::facts::{Fact, FactSheet, Facts};
use crate::licence::Licence;
use crate::package::PackageVersion;
use crate::rules::RuleSet;

/// One row: who asks for what, and what the answer should be.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub package: PackageVersion,
    pub team: Option<String>,
    pub environment: Option<String>,
    /// When it is asked; absent: when it is tried.
    pub at: Option<Timestamp>,
    pub facts: Given,
    pub effect: Effect,
    /// The rule that should decide; absent: whichever does.
    pub rule: Option<String>,
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

/// Facts as they were written. Ages are turned into dates when they are tried.
#[derive(Clone, Debug, Default)]
pub struct Given {
    pub age: Option<SignedDuration>,
    pub age_here: Option<SignedDuration>,
    pub licence: Option<Licence>,
    /// All others; its licence is not looked at.
    pub sheet: FactSheet,
}

impl Given {
    fn at(&self, now: Timestamp) -> Facts<'_> {
        // An age beyond all time is as old as time.
        let aged = |age: SignedDuration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let facts = self.sheet.facts(self.licence.as_ref(), now);
        Facts {
            published: facts.published.or(self.age.map(aged)),
            first_seen: facts.first_seen.or(self.age_here.map(aged)),
            ..facts
        }
    }
}

/// What became of one expectation.
#[derive(Clone, Debug)]
pub struct Outcome<'e> {
    pub expectation: &'e Expectation,
    pub met: bool,
    pub explanation: Explanation,
}

/// Tries each of them, in their order.
pub fn try_all<'e>(
    set: &RuleSet,
    expectations: &'e [Expectation],
    now: Timestamp,
) -> Vec<Outcome<'e>> {
    expectations.iter().map(|expectation| try_one(set, expectation, now)).collect()
}

fn try_one<'e>(set: &RuleSet, expectation: &'e Expectation, now: Timestamp) -> Outcome<'e> {
    let facts = expectation.facts.at(expectation.at.unwrap_or(now));
    let asker = Asker {
        team: expectation.team.as_deref(),
        environment: expectation.environment.as_deref(),
    };
    let explanation = explain(set, &expectation.package, &facts, &asker);
    let decision = &explanation.decision;
    let by_rule =
        expectation.rule.as_deref().is_none_or(|rule| decision.rule.as_deref() == Some(rule));
    Outcome { expectation, met: decision.effect == expectation.effect && by_rule, explanation }
}

impl Expectation {
    /// `a.toml:3:1`.
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }
}

/// `npm:react@18.3.1 for web/shop in prod should be allowed by the rule frontend`.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.package)?;
        if let Some(team) = &self.team {
            write!(f, " for {team}")?;
        }
        if let Some(environment) = &self.environment {
            write!(f, " in {environment}")?;
        }
        if let Some(at) = self.at {
            write!(f, " at {at}")?;
        }
        write!(f, " should be {}", self.effect.participle())?;
        if let Some(rule) = &self.rule {
            write!(f, " by the rule {rule}")?;
        }
        Ok(())
    }
}

impl Outcome<'_> {
    /// One line; where it is not met, what decides instead, what nobody knew, and what each rule had
    /// to say. `paint` colours a word by an effect.
    pub fn told(&self, paint: impl Fn(&str, Effect) -> String) -> String {
        if self.met {
            return format!("{}, and is", self.expectation);
        }
        let Decision { effect, rule, reason, missing, .. } = &self.explanation.decision;
        let mut text =
            format!("{}\n    got      {}", self.expectation, paint(effect.as_str(), *effect));
        // A rule without a reason of its own is named in the reason already.
        if let Some(rule) = rule.as_deref().filter(|rule| !reason.contains(rule)) {
            let _ = write!(text, " by {rule}");
        }
        let _ = write!(text, ": {reason}");
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(Fact::name).collect();
            let _ = write!(text, "\n    unknown  {}", names.join(", "));
        }
        for Considered { rule, effect, matched, why } in &self.explanation.considered {
            let mark = if *matched { '*' } else { ' ' };
            let effect = paint(&format!("{effect:5}"), *effect);
            let _ = write!(text, "\n    {mark} {effect}  {rule}: {why}");
        }
        text
    }
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(|word, _| word.to_owned()))
    }
}

#[cfg(test)]
mod tests;
