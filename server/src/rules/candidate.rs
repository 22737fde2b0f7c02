//! What would be in force if the files were others.

use std::sync::Arc;

use policies::advisories::Index;
use policies::check::Text;
use policies::rules::{Fault, Rule, RuleSet, parse};
use serde::{Deserialize, Serialize};

use super::{Rules, files};

/// A policy file that somebody sent.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// As a person should see it in front of a fault.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl From<Text> for PolicyText {
    fn from(Text { file: name, text }: Text) -> Self {
        Self { name, text }
    }
}

/// What is in force beside the rules of files, and stays so.
#[derive(Clone, Debug)]
pub struct BesideFiles {
    made: Vec<Rule>,
    advisories: Arc<Index>,
    /// Names that are published here.
    own: Arc<[String]>,
}

impl Rules {
    /// An error says what can not be read now.
    pub async fn beside_files(&self) -> Result<BesideFiles, String> {
        let parts = self.0.parts.lock().await;
        let made = parts.made.clone();
        let advisories = parts.advisories.clone()?;
        Ok(BesideFiles { made, advisories, own: Arc::clone(&parts.own) })
    }
}

impl BesideFiles {
    pub fn advisories(&self) -> &Arc<Index> {
        &self.advisories
    }

    /// The set with the rules of these files, or every fault in them. Takes its time.
    pub fn with_files(&self, texts: &[PolicyText]) -> Result<RuleSet, Vec<Fault>> {
        if texts.len() > files::MAX_FILES {
            let message = format!("{} files are more than {}", texts.len(), files::MAX_FILES);
            return Err(vec![Fault::of_file("policies", message, "join some of them")]);
        }
        let (mut rules, mut faults) = (self.made.clone(), Vec::new());
        for PolicyText { name, text } in texts {
            match parse(name, text) {
                Ok(more) => rules.extend(more),
                Err(more) => faults.extend(more),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(self.put_beside(RuleSet::compile(rules)?))
    }

    /// The same rules with what is beside them now.
    pub fn put_beside(&self, rules: RuleSet) -> RuleSet {
        self.put_beside_with(rules, Arc::clone(&self.own))
    }

    /// The same with other names that are published here; they are sorted.
    pub fn put_beside_with(&self, rules: RuleSet, own: Arc<[String]>) -> RuleSet {
        rules.with_advisories(Arc::clone(&self.advisories)).with_own_names(own)
    }
}
