//! The versions that stand behind names in a rule's `packages`, found by the package: a rule that
//! names thousands is asked for each version of each of them.

use std::collections::HashMap;

use super::Pattern;
use crate::package::Package;
use crate::versions::Parsed;

/// Places in the patterns of one rule.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// Of patterns with versions, by the collision key of their package.
    some: HashMap<Box<str>, Vec<usize>>,
    /// Of all others.
    whole: Vec<usize>,
}

impl Ranges {
    pub(super) fn of_patterns(patterns: &[Pattern]) -> Self {
        let mut ranges = Self::default();
        for (place, pattern) in patterns.iter().enumerate() {
            match pattern {
                Pattern::In(package, _) => {
                    let key = package.collision_key().into();
                    ranges.some.entry(key).or_default().push(place);
                }
                Pattern::Everything | Pattern::Every(_) | Pattern::One(_) | Pattern::Like(..) => {
                    ranges.whole.push(place);
                }
            }
        }
        ranges
    }

    /// What the rule says of this package's versions; `None` where it leaves them to `versions`.
    pub(super) fn of<'r>(
        &'r self,
        package: &'r Package,
        patterns: &'r [Pattern],
    ) -> Option<OfPackage<'r>> {
        if self.some.is_empty() {
            return None;
        }
        let places = self.some.get(package.collision_key().as_ref())?;
        let of_package = OfPackage { places, whole: &self.whole, package, patterns };
        // The key alone does not tell `cargo:x` from `npm:x`.
        let is_named = of_package.some().next().is_some();
        is_named.then_some(of_package)
    }
}

/// The versions of one package in one rule.
pub(super) struct OfPackage<'r> {
    places: &'r [usize],
    whole: &'r [usize],
    package: &'r Package,
    patterns: &'r [Pattern],
}

impl<'r> OfPackage<'r> {
    fn some(&self) -> impl Iterator<Item = &'r super::SomeVersions> + '_ {
        self.places.iter().filter_map(|&place| match self.patterns.get(place)? {
            pattern @ Pattern::In(_, versions) if pattern.matches(self.package) => Some(versions),
            _ => None,
        })
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = &'r crate::versions::Range> + '_ {
        self.some().map(|versions| &versions.range)
    }

    /// `stops` reads the ranges widely, as denying and holding do.
    pub(super) fn include(&self, version: &Parsed<'_>, stops: bool) -> bool {
        self.some().any(|versions| {
            if stops { versions.range.covers(version) } else { versions.range.allows(version) }
        })
    }

    /// Another pattern of the rule names the package, too.
    pub(super) fn is_named_otherwise(&self) -> bool {
        self.whole.iter().any(|&place| self.patterns[place].matches(self.package))
    }

    pub(super) fn text(&self) -> String {
        self.some().map(super::SomeVersions::text).collect::<Vec<_>>().join(" || ")
    }
}
