//! Rules that are good by themselves and yet pointless: what `policy check` tells beside faults.
//!
//! A finding is certain, never a guess: a rule is called shadowed only where another one speaks
//! wherever it speaks. What a rule says by itself is looked at in [`alone`], what it says beside the
//! others in [`company`].

mod alone;
mod company;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{Fault, Field, Rule, RuleSet};

/// A set that is pointless all over is told so in pages, not in books.
const MAX_FINDINGS: usize = 1000;

/// Whether somebody has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A server refuses it, or it can never do what it says, whatever else is there.
    Error,
    /// It is pointless by now or beside the others, or it is probably not what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// What kind of finding it is. Scripts rely on the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The file has a fault; a server would not take it.
    Invalid,
    /// It ends before it starts.
    NeverSpeaks,
    /// Its range holds no version.
    NoVersion,
    /// Its condition can not be true.
    NeverTrue,
    /// It waives a rule that allows.
    WaivesAllow,
    /// It said what it had to say.
    Expired,
    /// Its condition can not be false.
    AlwaysTrue,
    /// One of its patterns means nothing that another one does not.
    RepeatedPattern,
    /// A name that is probably meant in lower case.
    LetterCase,
    /// Another rule decides all that it speaks of.
    Shadowed,
    /// Another rule says the same of as much or more.
    Duplicate,
    /// The rule that it waives is not there, or never speaks where the waiver does.
    WaivesNothing,
    /// An expectation names a rule that is not there.
    NoSuchRule,
}

impl Code {
    pub const ALL: [Self; 13] = [
        Self::Invalid,
        Self::NeverSpeaks,
        Self::NoVersion,
        Self::NeverTrue,
        Self::WaivesAllow,
        Self::Expired,
        Self::AlwaysTrue,
        Self::RepeatedPattern,
        Self::LetterCase,
        Self::Shadowed,
        Self::Duplicate,
        Self::WaivesNothing,
        Self::NoSuchRule,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NeverSpeaks => "never-speaks",
            Self::NoVersion => "no-version",
            Self::NeverTrue => "never-true",
            Self::WaivesAllow => "waives-allow",
            Self::Expired => "expired",
            Self::AlwaysTrue => "always-true",
            Self::RepeatedPattern => "repeated-pattern",
            Self::LetterCase => "letter-case",
            Self::Shadowed => "shadowed",
            Self::Duplicate => "duplicate",
            Self::WaivesNothing => "waives-nothing",
            Self::NoSuchRule => "no-such-rule",
        }
    }

    pub const fn severity(self) -> Severity {
        match self {
            Self::Invalid
            | Self::NeverSpeaks
            | Self::NoVersion
            | Self::NeverTrue
            | Self::WaivesAllow => Severity::Error,
            _ => Severity::Warning,
        }
    }
}

/// One thing that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    /// The rule that it is about; absent where a file or an expectation is.
    pub rule: Option<Arc<str>>,
    /// The part of the rule; absent where the whole of it is meant.
    pub field: Option<Field>,
    /// Its place is the rule's, until somebody looks for that of the field.
    pub fault: Fault,
}

impl Rule {
    /// "the rule no-gpl", "the waiver for-the-shop".
    pub(crate) fn titled(&self) -> String {
        let kind = if self.waives.is_some() { "waiver" } else { "rule" };
        format!("the {kind} {}", self.name)
    }
}

impl Finding {
    fn of(
        rule: &Rule,
        code: Code,
        field: Option<Field>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let fault = Fault::of_rule(rule, message, remedy);
        Self { code, rule: Some(rule.name.clone()), field, fault }
    }

    pub const fn severity(&self) -> Severity {
        self.code.severity()
    }
}

impl RuleSet {
    /// What is pointless at this moment, in the order of the rules' names.
    pub fn findings(&self, now: Timestamp) -> Vec<Finding> {
        let company = company::Company::new(self, now);
        let mut findings = Vec::new();
        for rule in self.rules() {
            let alone = of_one(rule, now);
            // What never says anything says nothing beside the others either.
            let dead = alone.iter().any(|finding| finding.code.is_of_the_dead());
            findings.extend(alone);
            if !dead {
                findings.extend(company.findings(rule));
            }
            if findings.len() >= MAX_FINDINGS {
                findings.truncate(MAX_FINDINGS);
                break;
            }
        }
        findings
    }

    /// The waivers that lift nothing, which somebody relies on in vain.
    pub fn idle_waivers(&self) -> Vec<Fault> {
        self.rules()
            .iter()
            .filter_map(|rule| company::idle_waiver(self, rule))
            .map(|finding| finding.fault)
            .take(MAX_FINDINGS)
            .collect()
    }
}

impl Code {
    const fn is_of_the_dead(self) -> bool {
        matches!(self, Self::NeverSpeaks | Self::NoVersion | Self::NeverTrue | Self::Expired)
    }
}

/// What is wrong with a rule by itself.
pub(crate) fn of_one(rule: &Rule, now: Timestamp) -> Vec<Finding> {
    alone::findings(rule, now)
}

#[cfg(test)]
mod tests;
