//! What rules for many packages have in common: their options, their names, and how they are told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use policies::decision::{Decision, DecisionCode, Effect};
use policies::package::{Ecosystem, PackageVersion};
use policies::rules::Draft;

use super::MakeRule;
use crate::api::rules::RuleView;
use crate::cli::client::{Client, ClientError};
use crate::cli::talk::painted;

/// Lines of one kind that are shown; `--json` has them all.
pub(super) const MAX_LINES: usize = 20;
/// Rules of one name that are passed over before somebody has to choose another one.
const MAX_NAMES: usize = 50;

#[derive(Args, Debug)]
pub struct ManyArgs {
    /// Allow what the packages need, too: all that a client would install with them, as one rule
    #[arg(long, conflicts_with = "from")]
    pub with_dependencies: bool,
    /// Every version that a lockfile names, as one rule: package-lock.json, Cargo.lock
    #[arg(long, value_name = "LOCKFILE", conflicts_with_all = ["packages", "versions"])]
    pub from: Option<PathBuf>,
    /// Which versions of each dependency the rule takes
    #[arg(long, value_enum, default_value = "exact", requires = "with_dependencies")]
    pub ranges: Ranges,
    /// Take versions that are allowed already where they will do
    #[arg(long, requires = "with_dependencies")]
    pub prefer_allowed: bool,
    /// Of this registry alone, where there are several: what it is asked for, and where the rule holds
    #[arg(long, value_name = "NAME")]
    pub registry: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ranges {
    /// The versions that were found, and no others
    Exact,
    /// Those and what is compatible with them: ^1.2.3
    Compatible,
}

/// `npm:a@1.2.3`, as a rule names it.
pub(super) fn entry(subject: &PackageVersion, ranges: Ranges) -> String {
    let is_ordered = matches!(subject.package.ecosystem(), Ecosystem::Npm | Ecosystem::Cargo);
    match ranges {
        Ranges::Compatible if is_ordered => format!("{}@^{}", subject.package, subject.version),
        Ranges::Compatible | Ranges::Exact => subject.to_string(),
    }
}

/// Makes the rule, all of it or nothing. Without a name of its own it gets one of this beginning.
pub(super) async fn make(
    command: &MakeRule,
    client: &Client,
    draft: Draft,
    base: &str,
) -> Result<RuleView, ClientError> {
    let mut number = 1;
    loop {
        let free = || match number {
            1 => base.to_owned(),
            number => format!("{base}-{number}"),
        };
        let draft =
            Draft { name: Some(command.name.clone().unwrap_or_else(free)), ..draft.clone() };
        match client.post(&["rules"], &draft).await {
            Ok((rule, _)) => return Ok(rule),
            Err(ClientError::Refused(problem))
                if problem.code == "name-taken" && command.name.is_none() && number < MAX_NAMES =>
            {
                number += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A part of a rule's name.
pub(super) fn slug(text: &str) -> String {
    const LONGEST: usize = 50;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
    let slug: String = text.chars().map(plain).take(LONGEST).collect();
    let says = |word: &&str| word.chars().any(|c| c.is_ascii_alphanumeric());
    let words: Vec<&str> = slug.split('-').filter(says).collect();
    let slug = words.join("-");
    slug.trim_matches(['.', '_']).to_owned()
}

/// Nobody writes an allow for what is known to do harm; who found a false alarm makes a waiver.
pub(super) fn is_malicious(decision: &Decision) -> bool {
    decision.code == DecisionCode::Malicious
}

/// What stays refused, by the rule that refuses it.
pub(in crate::cli) fn refusals<'a>(
    refused: impl Iterator<Item = (&'a PackageVersion, &'a Decision)>,
    colours: bool,
) -> String {
    let mut by_rule: BTreeMap<(Effect, &str), (Vec<String>, &Decision)> = BTreeMap::new();
    for (subject, decision) in refused {
        let rule = decision.rule.as_deref().unwrap_or_default();
        let (subjects, _) =
            by_rule.entry((decision.effect, rule)).or_insert_with(|| (Vec::new(), decision));
        subjects.push(subject.to_string());
    }
    let mut text = String::new();
    for ((effect, rule), (subjects, decision)) in by_rule.into_iter().rev() {
        let word = painted(effect.participle(), effect, colours);
        let _ = write!(text, "still {word}: {}", listed(&subjects));
        if is_malicious(decision) {
            let _ = writeln!(text, ": {}\n  it is left out of the rule", decision.reason);
        } else {
            let _ = writeln!(text, " by the rule {rule}: {}", decision.reason);
            let _ = writeln!(text, "  {effect} beats allow; see: garth why {}", subjects[0]);
        }
    }
    text
}

/// The first few, and how many more.
pub(super) fn listed(texts: &[String]) -> String {
    let mut text = texts.iter().take(MAX_LINES).cloned().collect::<Vec<_>>().join(", ");
    if texts.len() > MAX_LINES {
        let _ = write!(text, " and {} more", texts.len() - MAX_LINES);
    }
    text
}

/// `npm:a@1.0.0 and 64 more (rule allow-a-with-dependencies)`
pub(super) fn made(rule: &RuleView, colours: bool) -> String {
    let word = painted(rule.effect.participle(), rule.effect, colours);
    let mut text = format!("{word}: {}", rule.packages.first().map_or("", String::as_str));
    if rule.packages.len() > 1 {
        let _ = write!(text, " and {} more", rule.packages.len() - 1);
    }
    if let Some(when) = &rule.terms.when {
        let _ = write!(text, " when {when}");
    }
    if let Some(expires) = &rule.expires {
        let _ = write!(text, " until {expires}");
    }
    let _ = writeln!(text, " (rule {})", rule.name);
    text
}

pub(in crate::cli) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Of so many versions it is not known yet what will be decided.
pub(super) fn undecided(count: usize) -> String {
    if count == 0 {
        return String::new();
    }
    let (count, are) = (counted(count, "version"), if count == 1 { "is" } else { "are" });
    format!(
        "{count} {are} decided at the first download: a rule asks for what only the archive says\n"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_entry_is_what_a_rule_takes() {
        for (subject, exact, compatible) in [
            ("npm:@s/a@1.2.3", "npm:@s/a@1.2.3", "npm:@s/a@^1.2.3"),
            ("cargo:serde@1.0.1", "cargo:serde@1.0.1", "cargo:serde@^1.0.1"),
            ("nuget:a.b@1.0.0", "nuget:a.b@1.0.0", "nuget:a.b@1.0.0"),
        ] {
            let subject: PackageVersion = subject.parse().unwrap();
            assert_eq!(entry(&subject, Ranges::Exact), exact);
            assert_eq!(entry(&subject, Ranges::Compatible), compatible);
            for text in [exact, compatible] {
                assert_eq!(policies::rules::Pattern::parse(text).unwrap().to_string(), text);
            }
        }
    }

    #[test]
    fn a_name_is_made_of_what_a_name_may_have() {
        assert_eq!(slug("@acme/ui kit"), "acme-ui-kit");
        assert_eq!(slug("../../x"), "x");
        assert_eq!(slug(&"a".repeat(500)).len(), 50);
    }
}
