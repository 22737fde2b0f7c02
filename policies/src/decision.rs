//! The answer for one package version to one asker.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::facts::Missing;

/// What happens to the version. `Deny` beats `Hold` beats `Allow`.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Allow,
    Hold,
    Deny,
}

impl Effect {
    pub const ALL: [Self; 3] = [Self::Allow, Self::Hold, Self::Deny];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }

    /// `allowed`, `held`, `denied`: what the version then is.
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Allow => "allowed",
            Self::Hold => "held",
            Self::Deny => "denied",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is none of `allow`, `hold`, `deny`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an effect is one of allow, hold, deny")]
pub struct UnknownEffect;

impl FromStr for Effect {
    type Err = UnknownEffect;

    fn from_str(text: &str) -> Result<Self, UnknownEffect> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == text).ok_or(UnknownEffect)
    }
}

/// A hash of everything that decisions are made from; equal revisions decide alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Revision(pub Arc<str>);

impl Revision {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why, as a stable kebab-case code that clients and scripts may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionCode {
    AllowedByRule,
    HeldByRule,
    DeniedByRule,
    /// No rule speaks of this version, and it was published here by somebody who may.
    OwnPackage,
    /// No rule speaks of this version; a garden refuses what nobody approved.
    NoRuleAllows,
    /// An advisory says that the version was made to do harm.
    Malicious,
    /// The rules cannot be read at the moment; nobody knows what they say, so all is refused.
    RulesUnavailable,
}

impl DecisionCode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowedByRule => "allowed-by-rule",
            Self::HeldByRule => "held-by-rule",
            Self::DeniedByRule => "denied-by-rule",
            Self::OwnPackage => "own-package",
            Self::NoRuleAllows => "no-rule-allows",
            Self::Malicious => "malicious",
            Self::RulesUnavailable => "rules-unavailable",
        }
    }
}

impl fmt::Display for DecisionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is decided of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Decision {
    pub effect: Effect,
    pub code: DecisionCode,
    /// The rule that made it; absent where none did.
    pub rule: Option<Arc<str>>,
    /// One line for a person: why.
    pub reason: Arc<str>,
    pub revision: Revision,
    /// When this decision may change by itself: a rule starts or expires, a version comes of age.
    /// Nothing may keep it longer.
    pub until: Option<Timestamp>,
    /// Facts that nobody knew, where knowing them could have made it another one.
    #[serde(default, skip_serializing_if = "Missing::is_empty")]
    pub missing: Missing,
    /// The waiver that lifted a deny or a hold on the way here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Arc<str>>,
    /// What a rule that only observes would have made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
}

/// A rule that only observes, and would have decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = WouldDecide)]
pub struct Observed {
    /// Its name.
    pub rule: Arc<str>,
    pub effect: Effect,
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allow
    }
}
