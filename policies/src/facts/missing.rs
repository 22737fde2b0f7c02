//! Sets of facts: what nobody knows, what a condition asks for, what an archive will tell.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fact, UnknownFact};

/// A set of facts, such as those that were missing. Written as a list of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
#[schema(value_type = Vec<String>)]
pub struct Missing(u32);

impl Missing {
    pub const NONE: Self = Self(0);

    pub const fn one(fact: Fact) -> Self {
        Self(1 << fact as u8)
    }

    pub fn of(facts: impl IntoIterator<Item = Fact>) -> Self {
        facts.into_iter().fold(Self::NONE, |all, fact| all.and(Self::one(fact)))
    }

    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    // serde hands a reference to `skip_serializing_if`.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether both have one of them.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Fact> {
        Fact::ALL.into_iter().filter(move |fact| self.0 & Self::one(*fact).0 != 0)
    }
}

/// "its licence and who published it".
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.iter().count().saturating_sub(1);
        for (place, fact) in self.iter().enumerate() {
            let joint = match place {
                0 => "",
                _ if place == last => " and ",
                _ => ", ",
            };
            write!(f, "{joint}{}", fact.words())?;
        }
        Ok(())
    }
}

impl From<Missing> for Vec<String> {
    fn from(missing: Missing) -> Self {
        missing.iter().map(|fact| fact.name().to_owned()).collect()
    }
}

impl TryFrom<Vec<String>> for Missing {
    type Error = UnknownFact;

    fn try_from(names: Vec<String>) -> Result<Self, UnknownFact> {
        names.iter().try_fold(Self::NONE, |all, name| Ok(all.and(Self::one(name.parse()?))))
    }
}
