//! The answer for one package version to one asker.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happens to the version. `Deny` beats `Hold` beats `Allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Hold,
    Deny,
}

/// A hash of everything that decisions are made from; equal revisions decide alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub std::sync::Arc<str>);

/// Why, as a stable kebab-case code that clients and scripts may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionCode {
    AllowedByRule,
    HeldByRule,
    DeniedByRule,
    /// No rule speaks of this version; a garden refuses what nobody approved.
    NoRuleAllows,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    pub effect: Effect,
    pub code: DecisionCode,
    /// The rule that made it; absent for [`DecisionCode::NoRuleAllows`].
    pub rule: Option<String>,
    /// One line for a person: why.
    pub reason: String,
    pub revision: Revision,
    /// When this decision may change by itself (a rule expires). Nothing may keep it longer.
    pub until: Option<Timestamp>,
}
