//! What would be in force after a change, without making it.

use std::collections::HashSet;

use policies::rules::{Draft, Rule, RuleSet};

use super::change::{check, drafted, made_by_file, numbered};
use super::{Added, ChangeError, Parts, Rules};

impl Rules {
    /// With a rule more, which is checked as if it were made.
    pub async fn with_rule(&self, draft: Draft, by: &str) -> Result<(Added, RuleSet), ChangeError> {
        let parts = self.0.parts.lock().await;
        let added = drafted(&parts, draft, by, self.0.clock.now())?;
        let more = added.created.then(|| added.rule.clone());
        let set = parts.set_of(parts.all().cloned().chain(more).collect())?;
        Ok((added, set))
    }

    /// With several more, named as an approval names them.
    pub async fn with_rules(
        &self,
        drafts: Vec<Draft>,
        by: &str,
    ) -> Result<(Vec<Rule>, RuleSet), ChangeError> {
        let parts = self.0.parts.lock().await;
        let at = self.0.clock.now();
        let rules = named(&parts, drafts, |draft| check(draft, by, at))?;
        let set = parts.set_of(parts.all().cloned().chain(rules.iter().cloned()).collect())?;
        Ok((rules, set))
    }

    /// Without one that was made through the API.
    pub async fn without_rule(&self, name: &str) -> Result<(Rule, RuleSet), ChangeError> {
        let parts = self.0.parts.lock().await;
        if let Some(fault) = made_by_file(&parts, name) {
            return Err(fault);
        }
        let rule = parts.made.iter().find(|rule| &*rule.name == name).cloned();
        let rule = rule.ok_or_else(|| ChangeError::NoSuchRule(name.to_owned()))?;
        let set =
            parts.set_of(parts.all().filter(|other| other.name != rule.name).cloned().collect())?;
        Ok((rule, set))
    }
}

/// Each with a name that is free.
pub(super) fn named(
    parts: &Parts,
    drafts: Vec<Draft>,
    check: impl Fn(&Draft) -> Result<Rule, ChangeError>,
) -> Result<Vec<Rule>, ChangeError> {
    let mut taken: HashSet<String> = parts.all().map(|rule| rule.name.to_string()).collect();
    let mut rules = Vec::with_capacity(drafts.len());
    for mut draft in drafts {
        let base = draft.name.take().unwrap_or_default();
        draft.name = Some(numbered(&base, |name| taken.contains(name), taken.len()));
        let rule = check(&draft)?;
        taken.insert(rule.name.to_string());
        rules.push(rule);
    }
    Ok(rules)
}

impl Parts {
    /// These rules, beside the advisories and the own names of now.
    fn set_of(&self, rules: Vec<Rule>) -> Result<RuleSet, ChangeError> {
        let untried = |cause: String| ChangeError::NotTried(cause);
        let set = RuleSet::compile(rules).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            untried(faults.join("; "))
        })?;
        let advisories = self.advisories.clone().map_err(untried)?;
        Ok(set.with_advisories(advisories).with_own_names(self.own.clone()))
    }
}
