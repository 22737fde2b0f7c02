//! Whose answers are alike: two askers whom the same rules of a package concern are told the same.
//!
//! So what is made for one of hundreds of teams is made once for all of those between whom no rule
//! makes a difference, and once for everybody where no rule of the package names a team.

use sha2::{Digest as _, Sha256};

use super::RuleSet;
use crate::asker::Asker;
use crate::package::Package;

/// Names those who are told the same of a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Audience([u8; 32]);

impl Audience {
    /// No rule of the package tells anybody apart.
    pub const EVERYBODY: Self = Self([0; 32]);

    pub fn is_everybody(&self) -> bool {
        *self == Self::EVERYBODY
    }
}

impl RuleSet {
    /// Whether any rule at all speaks of some askers alone.
    pub fn tells_askers_apart(&self) -> bool {
        self.any_bound
    }

    /// Whom an answer about this package is for, if this asker gets it. In another set of rules the
    /// same rules may say something else: it goes with the revision.
    pub fn audience(&self, package: &Package, asker: &Asker<'_>) -> Audience {
        if !self.any_bound {
            return Audience::EVERYBODY;
        }
        let mut places: Vec<usize> =
            self.bound.find(package).into_iter().map(|(place, _)| place).collect();
        if places.is_empty() {
            return Audience::EVERYBODY;
        }
        places.sort_unstable();
        places.dedup();
        let mut hash = Sha256::new();
        // The words of a refusal differ by it.
        hash.update([u8::from(asker.team.is_some())]);
        for rule in places.into_iter().map(|place| &self.rules[place]) {
            if rule.concerns(asker) {
                hash.update((rule.name.len() as u64).to_be_bytes());
                hash.update(rule.name.as_bytes());
            }
        }
        Audience(hash.finalize().into())
    }
}
