//! What a rule says beside its packages, versions, reason and end.

use jiff::Timestamp;
use policies::rules::Rule;
use serde::{Deserialize, Serialize};

/// What else a rule can say, as it was written; absent and empty where it says nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<Timestamp>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waives: Option<String>,
}

impl RuleTerms {
    pub fn of(rule: &Rule) -> Self {
        Self {
            when: rule.when.as_ref().map(|when| when.text().to_owned()),
            teams: rule.teams.iter().map(ToString::to_string).collect(),
            environments: rule.environments.iter().map(ToString::to_string).collect(),
            owner: rule.owner.as_deref().map(str::to_owned),
            link: rule.link.as_deref().map(str::to_owned),
            starts: rule.starts,
            observe: rule.observe,
            waives: rule.waives.as_deref().map(str::to_owned),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
