//! Rules come and go through the API: checked like a file's, durable before they are in force.

use std::collections::HashSet;

use jiff::Timestamp;
use policies::rules::{Complaint, Draft, Field, Origin, Rule};

use super::trying::named;
use super::{Parts, Rules, made};
use crate::audit::{Action, Entry};
use crate::metadata::records::RuleTerms;
use crate::metadata::{Batch, MetadataError};

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("{}", told(.0))]
    Invalid(Vec<Complaint>),
    #[error("the name {name} is taken by {place}")]
    NameTaken { name: String, place: String },
    #[error("the rule {name} is written in {file}: change it there")]
    MadeByFile { name: String, file: String },
    #[error("there is no rule {0}")]
    NoSuchRule(String),
    /// What would be in force cannot be said now.
    #[error("nothing can be tried at the moment: {0}")]
    NotTried(String),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

fn told(complaints: &[Complaint]) -> String {
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

fn invalid(field: Field, message: impl Into<String>, remedy: &str) -> ChangeError {
    let (message, remedy) = (message.into(), remedy.to_owned());
    ChangeError::Invalid(vec![Complaint { field, at: 0, message, remedy }])
}

/// A rule that is in force now.
#[derive(Clone, Debug)]
pub struct Added {
    pub rule: Rule,
    /// False when a rule without a name of its own was asked for and one that says the same is there.
    pub created: bool,
}

impl Rules {
    /// Puts a rule in force, durably. A draft without a name gets one.
    pub async fn add(&self, draft: Draft, by: &str) -> Result<Added, ChangeError> {
        let mut parts = self.0.parts.lock().await;
        let at = self.0.clock.now();
        let Added { rule, created } = drafted(&parts, draft, by, at)?;
        if !created {
            return Ok(Added { rule, created });
        }
        let entry = self.entry(Action::RuleMade, &rule, by);
        self.commit_made(made::making(&rule, by, at).note(entry, at)).await?;
        self.apply(&mut parts).await;
        tracing::info!(rule = %rule.name, effect = %rule.effect, by, "rule made");
        Ok(Added { rule, created: true })
    }

    /// Puts rules in force in one commit with what `beside` makes of their names: all of it or
    /// nothing. A name that is taken gets a number behind it. A conflict is one of `beside`.
    pub async fn add_beside(
        &self,
        drafts: Vec<Draft>,
        by: &str,
        beside: impl FnOnce(&[String]) -> Batch,
    ) -> Result<Vec<Rule>, ChangeError> {
        let mut parts = self.0.parts.lock().await;
        let at = self.0.clock.now();
        let rules = named(&parts, drafts, |draft| check(draft, by, at))?;
        let names: Vec<String> = rules.iter().map(|rule| rule.name.to_string()).collect();
        let batch = rules.iter().fold(beside(&names), |mut batch, rule| {
            let making = made::making(rule, by, at);
            batch.expectations.extend(making.expectations);
            batch.changes.extend(making.changes);
            batch.note(self.entry(Action::RuleMade, rule, by), at)
        });
        self.commit_made(batch).await?;
        self.apply(&mut parts).await;
        for rule in &rules {
            tracing::info!(rule = %rule.name, effect = %rule.effect, by, "rule made");
        }
        Ok(rules)
    }

    /// What was done to a rule.
    pub(super) fn entry(&self, action: Action, rule: &Rule, by: &str) -> Entry {
        let action = match action {
            Action::RuleMade if rule.waives.is_some() => Action::WaiverMade,
            Action::RuleRemoved if rule.waives.is_some() => Action::WaiverRemoved,
            Action::RuleExpired if rule.waives.is_some() => Action::WaiverExpired,
            action => action,
        };
        let teams: Vec<String> = rule.teams.iter().map(ToString::to_string).collect();
        Entry::new(action)
            .by(by)
            .subject(&rule.name)
            .packages(rule.patterns.iter())
            .versions(rule.versions.as_ref().map(|versions| &*versions.text))
            .why(rule.reason.as_deref())
            .revision(self.current().revision())
            .detail("effect", &rule.effect)
            .detail_if("waives", rule.waives.as_ref())
            .detail_if("owner", rule.owner.as_ref())
            .detail_if("when", RuleTerms::of(rule).when.as_ref())
            .detail_if("teams", Some(teams.join(", ")).filter(|teams| !teams.is_empty()).as_ref())
            .detail_if("expires", rule.expires.as_ref())
            .detail_if("link", rule.link.as_ref())
    }

    async fn commit_made(&self, batch: Batch) -> Result<(), ChangeError> {
        match self.0.metadata.commit(batch).await {
            // Another process over the same store was faster.
            Err(MetadataError::Conflict { key }) if key.starts_with("rule/") => {
                let name = key["rule/".len()..].to_owned();
                let place = "another rule made through the API".to_owned();
                Err(ChangeError::NameTaken { name, place })
            }
            done => Ok(done?),
        }
    }

    /// Takes a rule made through the API out of force, durably; also one whose record is damaged.
    pub async fn remove(&self, name: &str, by: &str) -> Result<(), ChangeError> {
        let mut parts = self.0.parts.lock().await;
        if let Some(fault) = made_by_file(&parts, name) {
            return Err(fault);
        }
        let Some(batch) = made::removing(self.0.metadata.as_ref(), name).await? else {
            return Err(ChangeError::NoSuchRule(name.to_owned()));
        };
        let entry = match parts.made.iter().find(|rule| &*rule.name == name) {
            Some(rule) => self.entry(Action::RuleRemoved, rule, by),
            None => Entry::new(Action::RuleRemoved).by(by).subject(name),
        };
        self.0.metadata.commit(batch.note(entry, self.0.clock.now())).await?;
        self.apply(&mut parts).await;
        tracing::info!(rule = %name, by, "rule removed");
        Ok(())
    }

    /// Brings a committed change in force. The store says what is there, in case that another
    /// process changed it too; while the files are broken their last good rules stay.
    async fn apply(&self, parts: &mut Parts) {
        let stored = self.read_made(parts).await;
        self.put_in_force(parts, stored.err());
    }
}

/// Where a rule of this name stands in a file, that it does.
pub(super) fn made_by_file(parts: &Parts, name: &str) -> Option<ChangeError> {
    let rule = parts.files.iter().find(|rule| &*rule.name == name)?;
    let (Origin::File { file, .. } | Origin::Api { by: file, .. }) = &rule.origin;
    Some(ChangeError::MadeByFile { name: name.to_owned(), file: file.to_string() })
}

/// The rule that a draft comes to beside those that there are, or the one that says the same.
pub(super) fn drafted(
    parts: &Parts,
    mut draft: Draft,
    by: &str,
    at: Timestamp,
) -> Result<Added, ChangeError> {
    let named = draft.name.is_some();
    if !named {
        draft.name = Some(free_name(&draft, parts));
    }
    let rule = check(&draft, by, at)?;
    if !named && let Some(same) = parts.all().find(|other| says_the_same(other, &rule)) {
        return Ok(Added { rule: same.clone(), created: false });
    }
    match parts.all().find(|other| other.name == rule.name) {
        Some(other) => Err(taken(other)),
        None => Ok(Added { rule, created: true }),
    }
}

/// The rule that a draft comes to, if it can be made here.
pub(super) fn check(draft: &Draft, by: &str, at: Timestamp) -> Result<Rule, ChangeError> {
    let rule = draft.check(Origin::Api { by: by.into(), at }).map_err(ChangeError::Invalid)?;
    if rule.is_expired(at) {
        let message = "the rule would have expired already";
        return Err(invalid(Field::Expires, message, "give a later date, or none"));
    }
    let size = made::size(&rule);
    if size > made::MAX_MADE {
        let message = format!(
            "the packages take {size} bytes, more than {} in one rule made here",
            made::MAX_MADE
        );
        let remedy = "split the rule in two, or write it into a policy file";
        return Err(invalid(Field::Packages, message, remedy));
    }
    let terms = made::size_of_terms(&rule);
    if terms > made::MAX_TERMS {
        let message = format!(
            "its condition, teams and the like take {terms} bytes, more than {} in one rule made here",
            made::MAX_TERMS
        );
        return Err(invalid(Field::When, message, "write it into a policy file"));
    }
    Ok(rule)
}

impl Parts {
    pub(super) fn all(&self) -> impl Iterator<Item = &Rule> {
        self.files.iter().chain(&self.made)
    }
}

fn taken(other: &Rule) -> ChangeError {
    let place = match &other.origin {
        Origin::File { file, line, .. } => format!("the rule in {file}, line {line}"),
        Origin::Api { by, .. } => format!("a rule that {by} made"),
    };
    ChangeError::NameTaken { name: other.name.to_string(), place }
}

/// The wish is met by a rule that is there. A wish without a reason asks for no other one, and the
/// order of packages has no meaning.
fn says_the_same(there: &Rule, asked: &Rule) -> bool {
    let range =
        |rule: &Rule| rule.versions.as_ref().map(|versions| versions.text.trim().to_owned());
    there.effect == asked.effect
        && same_packages(there, asked)
        && range(there) == range(asked)
        && (asked.reason.is_none() || there.reason == asked.reason)
        && there.expires == asked.expires
        && RuleTerms::of(there) == RuleTerms::of(asked)
}

fn same_packages(there: &Rule, asked: &Rule) -> bool {
    if there.patterns == asked.patterns {
        return true;
    }
    let named = |rule: &Rule| -> HashSet<String> {
        rule.patterns.iter().map(ToString::to_string).collect()
    };
    // A set of packages is made only where the first one does not tell the two apart.
    asked.patterns.first().is_some_and(|first| there.patterns.contains(first))
        && named(there) == named(asked)
}

/// `allow-left-pad`, then `allow-left-pad-2`.
fn free_name(draft: &Draft, parts: &Parts) -> String {
    let effect = draft
        .effect
        .as_deref()
        .filter(|effect| effect.parse::<policies::decision::Effect>().is_ok());
    let first = draft.packages.first().map_or("", String::as_str);
    let first = first.split_once(':').map_or(first, |(_, name)| name);
    let mut slug = String::new();
    for c in first.chars().take(60) {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => slug.push(c),
            '*' => slug.push_str("-all-"),
            _ => slug.push('-'),
        }
    }
    let words: Vec<&str> = slug.split('-').filter(|word| !word.is_empty()).collect();
    let kind = if draft.waives.is_some() { "waiver" } else { effect.unwrap_or("rule") };
    let base = format!("{kind}-{}", words.join("-"));
    let base = base.trim_end_matches('-');
    let taken: HashSet<&str> = parts.all().map(|rule| &*rule.name).collect();
    numbered(base, |name| taken.contains(name), taken.len())
}

/// The name, or the first free one with a number behind it.
pub(super) fn numbered(base: &str, is_taken: impl Fn(&str) -> bool, names: usize) -> String {
    if !is_taken(base) {
        return base.to_owned();
    }
    // One more number than there are names: one of them is free.
    (2..=names + 2).map(|n| format!("{base}-{n}")).find(|name| !is_taken(name)).unwrap_or_default()
}
