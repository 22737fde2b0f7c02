//! What a rule says beside its packages, versions, reason and end.

use jiff::Timestamp;
use policies::rules::Rule;
use serde::{Deserialize, Serialize};

/// What else a rule can say, as it was written; absent and empty where it says nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct RuleTerms {
    /// A condition in CEL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whom it concerns; empty: everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Where it holds; empty: everywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where more is to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// From when on it says something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<Timestamp>,
    /// It decides nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    /// The deny or hold that it lifts.
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
