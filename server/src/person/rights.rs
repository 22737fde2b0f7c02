//! What somebody may do, and with what.
//!
//! A [`Grant`] is one right, whole or for some packages, registries and environments alone. [`Rights`]
//! are several of them. What is asked is always the same question: may this right be used at this
//! [`Place`]? A limit that the place says nothing of is not met, so what is limited to packages
//! reaches nothing that is no package.

mod grant;

use std::fmt;
use std::sync::Arc;

use policies::package::Package;
use policies::rules::Pattern;
use serde::{Deserialize, Serialize};

pub use self::grant::{Grant, GrantFault};

/// Grants of one token, role or claim rule.
pub const MAX_GRANTS: usize = 32;

/// One thing that somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Fetch what the rules let through, and ask the admin API.
    Read,
    /// Publish own packages, and change what is published.
    Publish,
    /// Answer requests.
    Approve,
    /// Bring releases into an environment.
    Promote,
    /// Change what the admin API changes: rules, advisories, teams, people, tokens.
    Administer,
}

impl Right {
    pub const ALL: [Self; 5] =
        [Self::Read, Self::Publish, Self::Approve, Self::Promote, Self::Administer];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Administer => "administer",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a right is used on. The default is everything at once: what changes settings, rules for
/// all packages, other people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    pub registry: Option<&'a str>,
    pub package: Option<&'a Package>,
    /// `None` is the garden itself.
    pub environment: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// A package wherever it comes from.
    pub fn package(package: &'a Package) -> Self {
        Self { package: Some(package), ..Self::default() }
    }

    pub fn in_registry(registry: &'a str, package: &'a Package) -> Self {
        Self { registry: Some(registry), package: Some(package), environment: None }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.package.map(|package| format!(" for {package}")),
            self.registry.map(|registry| format!(" in the registry {registry}")),
            self.environment.map(|environment| format!(" in the environment {environment}")),
        ];
        parts.into_iter().flatten().try_for_each(|part| f.write_str(&part))
    }
}

/// Several grants. The default may only read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Rights {
    grants: Arc<[Grant]>,
    /// Those that know no limit, so that most questions are answered at a glance.
    whole: u8,
}

impl Rights {
    pub const fn has(&self, right: Right) -> bool {
        self.whole & bit(right) != 0
    }

    /// Whether the right is there at all, for whatever.
    pub fn has_some(&self, right: Right) -> bool {
        self.grants.iter().any(|grant| grant.right == right)
    }

    pub fn allow(&self, right: Right, place: &Place<'_>) -> bool {
        self.has(right)
            || self.grants.iter().any(|grant| grant.right == right && grant.reaches(place))
    }

    /// Whether the right may be used on whatever the pattern means, wherever it comes from.
    pub fn allow_all(&self, right: Right, pattern: &Pattern) -> bool {
        self.has(right)
            || self.grants.iter().any(|grant| grant.right == right && grant.reaches_all(pattern))
    }

    /// Every right, without limits.
    pub fn all() -> Self {
        Right::ALL.into_iter().map(Grant::whole).collect()
    }

    pub fn is_everything(&self) -> bool {
        Right::ALL.into_iter().all(|right| self.has(right))
    }

    pub fn none() -> Self {
        [].into_iter().collect()
    }

    /// Reads what somebody asks for.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, GrantFault> {
        let grants = texts.into_iter().map(Grant::parse).collect::<Result<Vec<_>, _>>()?;
        if grants.len() > MAX_GRANTS {
            return Err(GrantFault::Invalid(format!("at most {MAX_GRANTS} rights at once")));
        }
        Ok(grants.into_iter().collect())
    }

    /// Reads what is stored: what can not be read is not given.
    pub fn stored<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().filter_map(|text| Grant::parse(text).ok()).collect()
    }

    /// Who may anything may read, unless it is said what.
    pub fn with_read(self) -> Self {
        if self.has_some(Right::Read) {
            return self;
        }
        std::iter::once(Grant::whole(Right::Read)).chain(self.grants.iter().cloned()).collect()
    }

    /// Those of both.
    pub fn and(&self, others: &Self) -> Self {
        self.grants.iter().chain(others.grants.iter()).cloned().collect()
    }

    /// Whether these give all that the grant does; certain where it says so.
    pub fn covers(&self, grant: &Grant) -> bool {
        self.grants.iter().any(|own| own.covers(grant))
    }

    /// What is in these and not within `others`; certain where it finds nothing.
    pub fn beyond<'a>(&'a self, others: &'a Self) -> impl Iterator<Item = &'a Grant> {
        self.iter().filter(|grant| !others.covers(grant))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter()
    }

    /// As it is stored and sent.
    pub fn texts(&self) -> Vec<String> {
        self.grants.iter().map(ToString::to_string).collect()
    }
}

/// As the API describes it: the texts.
impl utoipa::PartialSchema for Rights {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let texts = <Vec<String> as utoipa::PartialSchema>::schema();
        let utoipa::openapi::RefOr::T(utoipa::openapi::Schema::Array(mut texts)) = texts else {
            return texts;
        };
        let about =
            "Rights, each whole or for some packages alone: `publish`, `publish=npm:@acme/*`.";
        texts.description = Some(about.to_owned());
        texts.into()
    }
}

impl utoipa::ToSchema for Rights {}

const fn bit(right: Right) -> u8 {
    1 << right as u8
}

impl Default for Rights {
    fn default() -> Self {
        [Grant::whole(Right::Read)].into_iter().collect()
    }
}

/// In the order of the rights, each once, and none that another one covers.
impl FromIterator<Grant> for Rights {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        let mut kept: Vec<Grant> = Vec::new();
        for grant in grants {
            if !kept.iter().any(|other| other.covers(&grant)) {
                kept.retain(|other| !grant.covers(other));
                kept.push(grant);
            }
        }
        kept.sort_by_key(|grant| grant.right);
        let unlimited = kept.iter().filter(|grant| grant.is_whole());
        let whole = unlimited.fold(0, |all, grant| all | bit(grant.right));
        Self { grants: kept.into(), whole }
    }
}

impl From<Vec<String>> for Rights {
    fn from(texts: Vec<String>) -> Self {
        Self::stored(texts.iter().map(String::as_str))
    }
}

impl From<Rights> for Vec<String> {
    fn from(rights: Rights) -> Self {
        rights.texts()
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.grants.is_empty() {
            return f.pad("nothing");
        }
        f.pad(&self.texts().join(", "))
    }
}

#[cfg(test)]
mod tests;
